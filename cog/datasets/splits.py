"""Which images train and which test: a seeded draw, or the official lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.datasets.matching import match_listed
from cog.datasets.official_lists import read_lists
from cog.datasets.official_pickles import totals_note
from cog.errors import CogError
from cog.images.find import find_images
from cog.images.image_list import ImageList, choose
from cog.images.listing import Listing
from cog.recipe import Recipe
from cog.storage import StoragePath, write_text

TEST_DRAW, TRAIN_DRAW = 0, 1  # each class has one random stream for each draw


@dataclass(frozen=True, eq=False)
class Split:
    """Training and test images of one dataset; labels are indices in the classes kept."""

    train: ImageList
    test: ImageList
    left_out: tuple[str, ...]  # wanted wnids without enough images, sorted
    kind: str  # seeded | official-test | official
    notes: tuple[str, ...] = ()  # for the user, one sentence each


def split_images(
    root: Path,
    wnids: Sequence[str],
    recipe: Recipe,
    *,
    tests: Path | None = None,
    allow_missing: bool = False,
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
    listing = find_images(root, wnids)
    short = _short_classes(listing, listed, recipe)
    kept = keep_classes(wnids, short, allow_missing=allow_missing)
    notes: list[str] = []
    if listed is None:
        test = {wnid: _draw_test(wnid, len(listing.paths[wnid]), recipe) for wnid in kept}
    else:
        test = _listed_rows(listing, {wnid: listed[wnid] for wnid in kept}, "test", notes)
    if to_train is None:
        rest = {wnid: np.arange(len(listing.paths[wnid])) for wnid in kept}
    else:
        rest = _listed_rows(listing, {wnid: to_train[wnid] for wnid in kept}, "training", notes)
    train = {wnid: _draw_train(wnid, rest[wnid], test[wnid], recipe) for wnid in kept}
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
    """The images that are there and that are needed, `have/need`, of every class with too few."""
    short = {}
    for wnid, paths in listing.paths.items():
        n_test = recipe.test_per_class if listed is None else len(listed[wnid])
        if len(paths) < n_test + recipe.min_train:
            short[wnid] = f"{len(paths)}/{n_test + recipe.min_train}"
        elif not n_test:
            short[wnid] = "in no test list"
    return short


def keep_classes(
    wnids: Sequence[str], short: Mapping[str, str], *, allow_missing: bool
) -> tuple[str, ...]:
    """The wnids that are not `short` (wnid → what it has and needs).

    Raises:
        CogError: some are short and `allow_missing` is false, or fewer than two are left.
    """
    kept = tuple(wnid for wnid in wnids if wnid not in short)
    found = ", ".join(f"{wnid}: {reason}" for wnid, reason in sorted(short.items()))
    if short and not allow_missing:
        raise CogError(
            f"{len(short):,} of {len(wnids):,} classes are missing or short (have/need): {found}",
            "add images, give --allow-missing to leave these classes out, or ask for fewer images: "
            "--test-per-class, --min-train",
        )
    if len(kept) < 2:
        detail = f"; missing or short (have/need): {found}" if found else ""
        raise CogError(
            f"a probe needs two classes or more, found {len(kept)}{detail}",
            "add images, or ask for fewer a class: --test-per-class, --min-train",
        )
    return kept


def _generator(recipe: Recipe, wnid: str, draw: int) -> np.random.Generator:
    """The random stream of one class for one purpose."""
    number = wnid.removeprefix("n")
    if not number.isdecimal():
        raise CogError(f"{wnid!r} is not a wnid", "give wnids like n02084071")
    return np.random.default_rng([recipe.split_seed, int(number), draw])


def _draw_test(wnid: str, n_images: int, recipe: Recipe) -> NDArray[np.intp]:
    """The rows of test images, drawn from all images of a class."""
    generator = _generator(recipe, wnid, TEST_DRAW)
    return generator.permutation(n_images)[: recipe.test_per_class]


def _draw_train(
    wnid: str, rows: NDArray[np.intp], test: NDArray[np.intp], recipe: Recipe
) -> NDArray[np.intp]:
    """The rows of training images: those of `rows` that do not test, at most `max_train`."""
    rest = np.setdiff1d(rows, test)
    if len(rest) <= recipe.max_train:
        return rest
    return _generator(recipe, wnid, TRAIN_DRAW).permutation(rest)[: recipe.max_train]


def _listed_rows(
    listing: Listing, listed: Mapping[str, Sequence[str]], part: str, notes: list[str]
) -> dict[str, NDArray[np.intp]]:
    """The rows of the listed images of each class; a note says which have another name on disk."""
    rows: dict[str, NDArray[np.intp]] = {}
    absent: list[str] = []
    renamed: dict[str, str] = {}
    for wnid, paths in listed.items():
        match = match_listed(paths, listing.paths[wnid])
        absent += match.absent
        renamed |= match.renamed
        rows[wnid] = match.rows
    if absent:
        more = f" and {len(absent) - 20:,} more" if len(absent) > 20 else ""
        raise CogError(
            f"{len(absent):,} listed {part} images are not in {listing.root}: "
            f"{', '.join(absent[:20])}{more}",
            "add those images, or omit --split to split the images that are there",
        )
    if renamed:
        example = next(iter(renamed.items()))
        notes.append(
            f"{len(renamed):,} listed {part} images differ from the list in case or extension: "
            f"{example[0]} is {example[1]}"
        )
    return rows


def write_split(split: Split, folder: StoragePath, dataset: str) -> None:
    """Write `test/<dataset>.txt` and `train/<dataset>.txt` in the form of the official lists.

    `--split FOLDER/test` reads them. As in the official lists, labels are indices in all wanted
    classes, with those left out. A file that is equal already is not written.
    """
    for file, text in _split_texts(split, folder, dataset).items():
        if not file.is_file() or file.read_bytes() != text.encode():
            write_text(file, text)


def refuse_another_split(split: Split, folder: StoragePath, dataset: str) -> None:
    """Refuse a folder with another split of the dataset: it would mix results.

    Raises:
        CogError: a file is there and differs.
    """
    for file, text in _split_texts(split, folder, dataset).items():
        if file.is_file() and file.read_bytes() != text.encode():
            raise CogError(
                f"{file} is of another split of {dataset}: its images or classes differ",
                "give another --out, or the images, levels and split of the run that wrote it",
            )


def _split_texts(split: Split, folder: StoragePath, dataset: str) -> dict[StoragePath, str]:
    """The files of a split and their contents."""
    wanted = sorted([*split.train.wnids, *split.left_out])
    label_of = {wnid: label for label, wnid in enumerate(wanted)}
    texts = {}
    for images in (split.test, split.train):
        labels = [label_of[images.wnids[label]] for label in images.labels.tolist()]
        texts[folder / images.split / f"{dataset}.txt"] = "".join(
            f"{path} {label}\n" for path, label in zip(images.paths, labels, strict=True)
        )
    return texts
