"""Which images train and which test: a seeded draw, or the official lists."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.datasets.matching import match_listed
from cog.datasets.official_lists import read_lists
from cog.datasets.official_pickles import totals_note
from cog.datasets.right_classes import RightClasses
from cog.errors import ClassesError, CogError
from cog.images.find import find_images
from cog.images.image_list import ImageList, choose
from cog.images.listing import Listing, Remark
from cog.plain_text import first_names
from cog.recipe import WNID, Recipe, file_name, fitted_on
from cog.storage import StoragePath, write_text

_UNLISTED = "in no test list"
_SHOWN = 10  # counts of classes in a message
NAMES = "names"  # the folder of lists of the names of classes
RIGHT = "right"  # that of right classes, where images have several
TEST_DRAW, TRAIN_DRAW, REFIT_DRAW = 0, 1, 2  # each class has one random stream for each draw


@dataclass(frozen=True, eq=False)
class Split:
    """Training and test images of one dataset; labels are indices in the classes kept."""

    train: ImageList
    test: ImageList
    left_out: tuple[str, ...]  # wanted classes without enough images, sorted
    kind: str  # seeded | official-test | official; of labelled images also which: train/val
    notes: tuple[str, ...] = ()  # for the user, one sentence each
    broken: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """of the official train and test folders: path → why it is no image that can be read"""
    named: bool = False  # whether the classes have names that paths do not tell
    right: RightClasses | None = None  # of the test images, where these have several
    within: ImageList | None = None
    """a list that the test images are part of, and whose features they have: these have none of
    their own"""
    train_within: bool = False  # whether the training images are part of that list too

    @property
    def feature_lists(self) -> tuple[ImageList, ...]:
        """The lists whose features serve the training and the test images, these last."""
        tests = self.within or self.test
        return (tests,) if self.train_within else (self.train, tests)

    def rows_within(self, images: ImageList) -> NDArray[np.int64]:
        """Which images of `within` some of them are: int64[m]."""
        at = {path: row for row, path in enumerate(self.feature_lists[-1].paths)}
        return np.array([at[path] for path in images.paths], np.int64)


def split_images(
    root: Path,
    wnids: Sequence[str],
    recipe: Recipe,
    *,
    tests: Path | None = None,
    allow_missing: bool = False,
    image_key: str | None = None,
) -> Split:
    """Find the images of a dataset and split them.

    Without `tests`, a seeded draw takes `recipe.test_per_class` test images from each class. With
    `tests`, a folder of official lists, the listed images test. Of the rest, a seeded draw takes at
    most `recipe.max_train` training images a class. If `tests` is the official pickle (the file, or
    its folder), the draw takes only images that it lists for training.

    Each class has random streams of its own, so it does not depend on other classes. The training
    draw depends only on the images that do not test, so a test list that `write_split` wrote gives
    the same training images again.

    Raises:
        CogError: no such folder; classes that are missing or have fewer images than the recipe
            needs (with `allow_missing` they are left out); fewer than two classes left; a list
            that does not fit the wnids, or that names an image that is not there.
    """
    _check(recipe)
    wnids = tuple(sorted(set(wnids)))
    listed, to_train = read_lists(tests, wnids)
    listing = find_images(root, wnids, image_key=image_key)
    short = _short_classes(listing, listed, recipe)
    kept = keep_classes(
        wnids, short, listing.remarks, allow_missing=allow_missing, notes=listing.notes
    )
    notes: list[str] = []
    test = rest = {wnid: np.arange(len(listing.paths[wnid])) for wnid in kept}
    if listed is None:
        test = draw_images(recipe, TEST_DRAW, recipe.test_per_class, test)
    else:
        test = _listed_rows(listing, kept, listed, "test", notes)
    if to_train is not None:
        rest = _listed_rows(listing, kept, to_train, "training", notes)
    rest = {wnid: np.setdiff1d(rest[wnid], test[wnid]) for wnid in kept}
    train = draw_images(recipe, TRAIN_DRAW, recipe.max_train, rest)
    kind = "seeded" if listed is None else "official-test" if to_train is None else "official"
    lists = choose(listing, train, "train"), choose(listing, test, "test")
    if kind != "seeded" and (note := totals_note(wnids, *map(len, lists))):
        notes.append(note)
    return Split(*lists, tuple(sorted(short)), kind, (*listing.notes, *notes))


def _check(recipe: Recipe) -> None:
    """Refuse sizes that are impossible."""
    if not (recipe.test_per_class >= 1 and 1 <= recipe.min_train <= recipe.max_train):
        raise CogError(
            f"expected at least 1 test image a class and 1 ≤ min-train ≤ max-train; found "
            f"{recipe.test_per_class} test images, min-train {recipe.min_train} and max-train "
            f"{recipe.max_train}",
            "change --test-per-class, --min-train or --max-train",
        )


def _short_classes(
    listing: Listing, listed: Mapping[str, Sequence[str]] | None, recipe: Recipe
) -> dict[str, str]:
    """Of every class with too few images, how many are there and are needed: `have/need`, why."""
    short = {}
    for wnid, paths in listing.paths.items():
        n_test = recipe.test_per_class if listed is None else len(listed[wnid])
        if len(paths) < n_test + recipe.min_train:
            remark = listing.remarks.get(wnid)
            short[wnid] = f"{len(paths)}/{n_test + recipe.min_train}"
            short[wnid] += f" ({remark.found})" if remark else ""
        elif not n_test:
            short[wnid] = _UNLISTED
    return short


def keep_classes(
    wnids: Sequence[str],
    short: Mapping[str, str],
    remarks: Mapping[str, Remark],
    *,
    allow_missing: bool,
    notes: Sequence[str] = (),
) -> tuple[str, ...]:
    """The wnids that are not `short` (wnid → what it has and needs).

    The hint has the advice of the `remarks` about those that are; where there is none, the error
    has the `notes` of the listing, which say what it left out.

    Raises:
        CogError: some are short and `allow_missing` is false, or fewer than two are left.
    """
    kept = tuple(wnid for wnid in wnids if wnid not in short)
    if len(kept) >= 2 and (allow_missing or not short):
        return kept
    advice = tuple(dict.fromkeys(remarks[wnid].advice for wnid in sorted(short.keys() & remarks)))
    notes = () if advice else tuple(notes)

    def say(classes: Mapping[str, str], wanted: int, datasets: int) -> tuple[str, str]:
        found = f", found {wanted - len(classes)}" if datasets == 1 else " of each dataset"
        few = f"a probe needs two classes or more{found}"
        what = f"{len(classes):,} of {wanted:,} classes are missing or short (have/need): "
        what += "; ".join([_by_reason(classes), *notes])
        listed = set(classes.values()) != {_UNLISTED}
        more = "add images" if listed else "give --split lists that name images of them"
        more = ", ".join(advice) or more
        fewer = "ask for fewer images: --test-per-class, --min-train"
        if classes and not allow_missing:
            return what, f"{more}, give --allow-missing to leave these classes out, or {fewer}"
        return f"{few}; {what}" if classes else few, f"{more}, or {fewer}"

    raise ClassesError(say, short, len(wnids), ("short", allow_missing, advice, notes))


def _by_reason(short: Mapping[str, str]) -> str:
    """The classes that are short, those with one reason together.

    >>> _by_reason({"n2": "0/4", "n1": "0/4", "n3": "3/4"})
    'n1, n2: 0/4; n3: 3/4'
    """
    classes: dict[str, list[str]] = {}
    for name, reason in sorted(short.items()):
        classes.setdefault(reason, []).append(name)
    shown = [f"{first_names(names)}: {reason}" for reason, names in classes.items()]
    more = f"; and {len(shown) - _SHOWN:,} more counts" if len(shown) > _SHOWN else ""
    return "; ".join(shown[:_SHOWN]) + more


def all_broken(listing: Listing) -> dict[str, str]:
    """What is broken of all classes, path → why."""
    return {path: why for faults in listing.broken.values() for path, why in faults.items()}


def draw_images(
    recipe: Recipe, stream: int, size: int, rows: Mapping[str, NDArray[np.intp]]
) -> dict[str, NDArray[np.intp]]:
    """At most `size` of the rows of each class, drawn by a random stream of the class's own."""
    drawn = {}
    for name, own in rows.items():
        generator = np.random.default_rng([recipe.split_seed, _number_of(name), stream])
        drawn[name] = generator.permutation(own)[:size]
    return drawn


def _number_of(name: str) -> int:
    """The number of a class, for its random streams: that of a wnid, else a hash of the name.

    >>> _number_of("n02084071"), _number_of("dog") == _number_of("Dog")
    (2084071, False)
    """
    if WNID.fullmatch(name):
        return int(name[1:])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _listed_rows(
    listing: Listing,
    wnids: Sequence[str],
    listed: Mapping[str, Sequence[str]],
    part: str,
    notes: list[str],
) -> dict[str, NDArray[np.intp]]:
    """The rows of the listed images of each class; a note says which have another name on disk."""
    rows: dict[str, NDArray[np.intp]] = {}
    absent: list[str] = []
    renamed: dict[str, str] = {}
    for wnid in wnids:
        rows[wnid], missing, other = match_listed(listed[wnid], listing.paths[wnid])
        absent += missing
        renamed |= other
    if absent:
        more = f" and {len(absent) - 20:,} more" if len(absent) > 20 else ""
        raise CogError(
            f"{len(absent):,} listed {part} images are not in {listing.root}: "
            f"{', '.join(absent[:20])}{more}",
            "add those images, or omit --split to split the images that are there",
        )
    if renamed:
        path, own = next(iter(renamed.items()))
        notes.append(
            f"{len(renamed):,} listed {part} images differ from the list in case or extension: "
            f"{path} is {own}"
        )
    return rows


def write_split(split: Split, folder: StoragePath, dataset: str) -> None:
    """Write `test/<dataset>.txt` and `train/<dataset>.txt` in the form of the official lists.

    `--split FOLDER/test` reads them. As in the official lists, labels are indices in all wanted
    classes, with those left out. Names of classes that paths do not tell are in
    `names/<dataset>.txt`, one a line. Of a further test set, `test/<dataset>@<name>.txt` is all;
    where its images have several right classes, `right/<dataset>@<name>.txt` has those of an image
    in a line, the label first. A file that is equal already is not written.
    """
    for file, text in _changed_files(split, folder, dataset).items():
        write_text(file, text)


def refuse_another_split(split: Split, folder: StoragePath, dataset: str) -> None:
    """Refuse, by a CogError, a folder with another split of the dataset: it would mix results."""
    for file in _changed_files(split, folder, dataset):
        if file.is_file():
            raise CogError(
                f"{file} is of another split of {dataset}: its images or classes differ",
                "give another --out, or the images, levels and split of the run that wrote it",
            )


def _changed_files(split: Split, folder: StoragePath, dataset: str) -> dict[StoragePath, str]:
    """The files of a split that are not there or differ, and what belongs in them."""
    wanted = sorted([*split.train.classes, *split.left_out])
    label_of = {wnid: label for label, wnid in enumerate(wanted)}
    texts = {}
    learns = fitted_on(dataset) == dataset
    for images in (split.test, split.train) if learns else (split.test,):
        labels = [label_of[images.classes[label]] for label in images.labels.tolist()]
        lines = zip(images.paths, labels, strict=True)
        texts[images.split] = "".join(f"{path} {label}\n" for path, label in lines)
    if split.right:
        own = [[label_of[split.test.classes[each]] for each in of] for of in split.right.of_each()]
        texts[RIGHT] = "".join(f"{' '.join(map(str, labels))}\n" for labels in own)
    if split.named:
        texts[NAMES] = "".join(f"{name}\n" for name in wanted)
    files = {folder / part / f"{file_name(dataset)}.txt": text for part, text in texts.items()}
    return {
        file: text
        for file, text in files.items()
        if not file.is_file() or file.read_bytes() != text.encode()
    }
