"""Labelled images as their source has them, and the split that is made of them.

To add a form of source: a file beside this one that gives a `Labelled`, and its line in find.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cog.datasets.splits import TEST_DRAW, TRAIN_DRAW, Split, all_broken, draw_images
from cog.errors import CogError
from cog.images.image_list import choose, every_image
from cog.images.listing import Listing
from cog.plain_text import first_names, printable
from cog.recipe import TOP1, Recipe

SEEDED = "seeded"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled images; each listing has the names of classes as its keys."""

    train: Listing  # all images where there is no `test`
    test: Listing | None
    split: str = ""  # which split it is, of those that the source defines: "train/val"
    metric: str = TOP1  # the headline metric, as the field reports this set
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Listing, ...]:
        """The listings that are there."""
        return (self.train,) if self.test is None else (self.train, self.test)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of all classes, sorted; some may be without images."""
        return tuple(sorted({name for part in self.parts for name in part.paths}))


def split_labelled(labelled: Labelled, recipe: Recipe, *, allow_missing: bool = False) -> Split:
    """The training and test images, as the source defines them, or else by a seeded draw.

    The draw takes `recipe.test_per_class` test images of each class, and at most `recipe.max_train`
    of the rest for training. A class that only trains stays: its name can be a wrong answer.

    Raises:
        CogError: classes without training images, or with too few for the draw (with
            `allow_missing` they are left out); or fewer than two classes, or no test images, left.
    """
    classes = labelled.classes
    short = short_classes(labelled, recipe)
    if short and not allow_missing:
        raise CogError(
            f"{len(short):,} of {len(classes):,} classes cannot be used: {_shown(short)}",
            f"{_advice(labelled, short)}, or give --allow-missing to leave these classes out",
        )
    kept = [name for name in classes if name not in short]
    if len(kept) < 2:
        left = f"; left out: {_shown(short)}" if short else ""
        left += "".join(f"; {note}" for note in labelled.train.notes)
        raise CogError(
            f"a probe needs two classes or more, found {len(kept)} in {labelled.train.root}{left}",
            _advice(labelled, short),
        )
    split = (_drawn if labelled.test is None else _as_defined)(labelled, kept, recipe)
    if not len(split.test):
        found = "".join(f"; {note}" for note in labelled.parts[-1].notes)
        what = f"there are no test images of these classes{found}"
        hint = "add some to the test part, with their labels, or take that part away"
        raise CogError(what, f"{hint} if another one can test")
    notes = (*labelled.notes, *split.notes, *_of_case(kept))
    return replace(split, left_out=tuple(sorted(short)), notes=notes, named=True)


def short_classes(labelled: Labelled, recipe: Recipe) -> dict[str, str]:
    """Of every class that cannot be used, why."""
    short = {}
    folded = {name.casefold(): name for name, paths in labelled.train.paths.items() if paths}
    need = recipe.test_per_class + 1
    for name in labelled.classes:
        have = len(labelled.train.paths.get(name, ()))
        if labelled.test is None and have < need:
            short[name] = f"{have} of {need} images"
        elif not have:
            other = folded.get(name.casefold())
            but = f" (but there are of {printable(other)})" if other else ""
            short[name] = f"no training images{but}"
        if name in short and (remark := labelled.train.remarks.get(name)):
            short[name] += f": {remark.found}"
    return short


def _as_defined(labelled: Labelled, kept: Sequence[str], _: Recipe) -> Split:
    """Every image of the classes that are kept, in the part that it is in."""
    lists, broken, notes = [], {}, []
    for listing, part in zip(labelled.parts, ("train", "test"), strict=True):
        lists.append(every_image(with_classes(listing, kept), part))
        broken[part] = all_broken(listing)
        notes += [f"{part}: {note}" for note in listing.notes]
    untested = [name for name in kept if not labelled.parts[1].paths.get(name)]
    if untested:
        shown = first_names(untested)
        notes.append(f"{len(untested):,} classes have no test images, but stay as answers: {shown}")
    return Split(lists[0], lists[1], (), labelled.split, tuple(notes), broken)


def _drawn(labelled: Labelled, kept: Sequence[str], recipe: Recipe) -> Split:
    """A seeded draw from each class."""
    listing = labelled.train
    rows = {name: np.arange(len(listing.paths[name])) for name in kept}
    test = draw_images(recipe, TEST_DRAW, recipe.test_per_class, rows)
    rest = {name: np.setdiff1d(rows[name], test[name]) for name in kept}
    train = draw_images(recipe, TRAIN_DRAW, recipe.max_train, rest)
    note = (
        f"there is no split: {recipe.test_per_class} images of each class were drawn for testing "
        f"(--test-per-class), the others train, at most {recipe.max_train:,} (--max-train)"
    )
    lists = choose(listing, train, "train"), choose(listing, test, "test")
    return Split(*lists, (), SEEDED, (*listing.notes, note), {"train": all_broken(listing)})


def with_classes(listing: Listing, classes: Sequence[str]) -> Listing:
    """The listing with these very classes; those that it lacks have no images."""
    paths = {name: listing.paths.get(name, ()) for name in classes}
    spans = None
    if listing.spans is not None:
        spans = {name: listing.spans.get(name, np.empty((0, 3), np.int64)) for name in classes}
    return replace(listing, paths=paths, spans=spans)


def _advice(labelled: Labelled, short: Mapping[str, str]) -> str:
    """What to do about classes that cannot be used."""
    remarks = labelled.train.remarks
    if told := ", ".join(dict.fromkeys(remarks[name].advice for name in short if name in remarks)):
        return told
    if labelled.test is None:
        return "add images, or ask for fewer test images: --test-per-class"
    return "add training images of them, under the same names"


def _of_case(kept: Sequence[str]) -> list[str]:
    """A note of classes whose names differ in case alone."""
    alike: dict[str, list[str]] = {}
    for name in kept:
        alike.setdefault(name.casefold(), []).append(name)
    twins = [" and ".join(map(printable, names)) for names in alike.values() if len(names) > 1]
    if not twins:
        return []
    return [f"classes that differ in case alone are taken for different ones: {first_names(twins)}"]


def _shown(short: Mapping[str, str]) -> str:
    """The first of some classes, each with why."""
    return first_names([f"{printable(name)}: {why}" for name, why in short.items()])
