"""Which pictures train and which test: a seeded draw, or the official test lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.atomic import write_text
from cog.errors import CogError
from cog.images import ImageList, Listing, choose, find_pictures
from cog.recipe import Recipe

TEST_DRAW, TRAIN_DRAW = 0, 1  # a class has one random stream for each


@dataclass(frozen=True, eq=False)
class Split:
    """Training and test pictures of one dataset; labels count the classes that are there."""

    train: ImageList
    test: ImageList
    left_out: tuple[str, ...]  # wanted wnids without enough pictures, sorted
    kind: str  # seeded | official-test | official


def split_pictures(
    root: Path,
    wnids: Sequence[str],
    recipe: Recipe,
    *,
    tests: Path | None = None,
    allow_missing: bool = False,
) -> Split:
    """Find the pictures of a dataset and split them.

    Without `tests`, `recipe.test_per_class` pictures a class are drawn to test. With `tests`, a
    folder of official lists, the listed ones test. The rest trains, at most `recipe.max_train` a
    class, drawn with a seed.

    A class draws from streams of its own, so other classes change nothing for it; and the training
    draw sees only what does not test, so a written test list gives the same training set again.

    Raises:
        CogError: no such folder; classes that are missing or have fewer pictures than the recipe
            needs (with `allow_missing` they are left out); fewer than two classes left; a list
            that does not fit the wnids, or names a picture that is not there.
    """
    _check(recipe)
    wnids = tuple(sorted(set(wnids)))
    listed = None if tests is None else read_test_lists(tests, wnids)
    listing = find_pictures(root, wnids)
    short = _short_classes(listing, listed, recipe)
    kept = keep_classes(wnids, short, allow_missing=allow_missing)
    if listed is None:
        test = {wnid: _draw_test(wnid, len(listing.paths[wnid]), recipe) for wnid in kept}
    else:
        test = _listed_rows(listing, {wnid: listed[wnid] for wnid in kept})
    train = {wnid: _draw_train(wnid, len(listing.paths[wnid]), test[wnid], recipe) for wnid in kept}
    kind = "seeded" if listed is None else "official-test"
    left_out = tuple(sorted(short))
    return Split(choose(listing, train, "train"), choose(listing, test, "test"), left_out, kind)


def _check(recipe: Recipe) -> None:
    """Refuse sizes that no split can have."""
    if not (recipe.test_per_class >= 1 and 1 <= recipe.min_train <= recipe.max_train):
        raise CogError(
            f"expected at least 1 test picture a class and 1 ≤ min-train ≤ max-train; found "
            f"{recipe.test_per_class} to test, {recipe.min_train} to {recipe.max_train} to train",
            "change --test-per-class, --min-train or --max-train",
        )


def _short_classes(
    listing: Listing, listed: Mapping[str, Sequence[str]] | None, recipe: Recipe
) -> dict[str, str]:
    """Have/need of every class with fewer pictures than its test and its training need."""
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
        CogError: some are short and that is not allowed, or fewer than two are left.
    """
    kept = tuple(wnid for wnid in wnids if wnid not in short)
    found = ", ".join(f"{wnid}: {reason}" for wnid, reason in sorted(short.items()))
    if short and not allow_missing:
        raise CogError(
            f"{len(short):,} of {len(wnids):,} classes are missing or short (have/need): {found}",
            "add pictures, give --allow-missing to go on without them, or ask for fewer pictures: "
            "--test-per-class, --min-train",
        )
    if len(kept) < 2:
        detail = f"; missing or short (have/need): {found}" if found else ""
        raise CogError(
            f"a probe needs two classes or more, found {len(kept)}{detail}",
            "add pictures, or ask for fewer a class: --test-per-class, --min-train",
        )
    return kept


def _generator(recipe: Recipe, wnid: str, draw: int) -> np.random.Generator:
    """The random stream of one class for one purpose."""
    number = wnid.removeprefix("n")
    if not number.isdecimal():
        raise CogError(f"{wnid!r} is no wnid", "wnids look like n02084071")
    return np.random.default_rng([recipe.split_seed, int(number), draw])


def _draw_test(wnid: str, n_pictures: int, recipe: Recipe) -> NDArray[np.intp]:
    """Rows that test, drawn from all pictures of a class."""
    generator = _generator(recipe, wnid, TEST_DRAW)
    return generator.permutation(n_pictures)[: recipe.test_per_class]


def _draw_train(
    wnid: str, n_pictures: int, test: NDArray[np.intp], recipe: Recipe
) -> NDArray[np.intp]:
    """Rows that train: those that do not test, or `max_train` of them."""
    rest = np.setdiff1d(np.arange(n_pictures), test)
    if len(rest) <= recipe.max_train:
        return rest
    return _generator(recipe, wnid, TRAIN_DRAW).permutation(rest)[: recipe.max_train]


def _listed_rows(
    listing: Listing, listed: Mapping[str, Sequence[str]]
) -> dict[str, NDArray[np.intp]]:
    """The rows of the listed pictures of each class."""
    rows: dict[str, NDArray[np.intp]] = {}
    absent: list[str] = []
    for wnid, paths in listed.items():
        row_of = {path: row for row, path in enumerate(listing.paths[wnid])}
        absent += [path for path in paths if path not in row_of]
        rows[wnid] = np.array([row_of[path] for path in paths if path in row_of], np.intp)
    if absent:
        more = f" and {len(absent) - 20:,} more" if len(absent) > 20 else ""
        raise CogError(
            f"{len(absent):,} listed test pictures are not in {listing.root}: "
            f"{', '.join(absent[:20])}{more}",
            "add those pictures, or leave --split out for a split of the pictures that are there",
        )
    return rows


def read_test_lists(folder: Path, wnids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The pictures of each wnid that the lists of a folder (`*.txt`) name, sorted.

    A line is `n01322508/n01322508_2514.JPEG 0`; the label is the place of the wnid among the sorted
    `wnids`. Lines of other wnids belong to other levels and are passed over.

    Raises:
        CogError: no list there, or a line whose label is not that of `wnids`.
    """
    files = sorted(folder.glob("*.txt"))
    if not files:
        inner = folder / "test"
        name = inner if any(inner.glob("*.txt")) else "the folder that holds them"
        raise CogError(f"no test lists (*.txt) in {folder}", f"give --split {name}")
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    listed: dict[str, set[str]] = {wnid: set() for wnid in wnids}
    for file in files:
        for number, line in _lines(file):
            wnid = line.partition("/")[0]
            if wnid not in label_of:
                continue
            path, *label = line.rsplit(maxsplit=1)
            if label != [str(label_of[wnid])]:
                raise CogError(
                    f"{file} line {number}: expected a picture and label {label_of[wnid]}, the "
                    f"place of {wnid} among its {len(wnids):,} classes; found {line!r}",
                    "give --split and --levels that belong together",
                )
            listed[wnid].add(path)
    return {wnid: tuple(sorted(paths)) for wnid, paths in listed.items()}


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without the space around them."""
    with file.open(encoding="utf-8", errors="replace") as text:
        for number, line in enumerate(text, start=1):
            yield number, line.strip()


def write_split(split: Split, folder: Path, dataset: str) -> None:
    """Write `test/<dataset>.txt` and `train/<dataset>.txt` in the form of the official lists.

    `--split FOLDER/test` takes them. Labels count all wanted classes, those left out too, as in the
    official lists. A file that already says the same is left alone.
    """
    for file, text in _split_texts(split, folder, dataset).items():
        if not file.is_file() or file.read_bytes() != text.encode():
            write_text(file, text)


def refuse_another_split(split: Split, folder: Path, dataset: str) -> None:
    """Refuse a folder where another split of the dataset was written: results would be mixed.

    Raises:
        CogError: a file is there and says something else.
    """
    for file, text in _split_texts(split, folder, dataset).items():
        if file.is_file() and file.read_bytes() != text.encode():
            raise CogError(
                f"{file} is of another split of {dataset}: its pictures or classes differ",
                "give another --out, or the pictures, levels and split of that run",
            )


def _split_texts(split: Split, folder: Path, dataset: str) -> dict[Path, str]:
    """The files of a split and what they say."""
    wanted = sorted([*split.train.wnids, *split.left_out])
    label_of = {wnid: label for label, wnid in enumerate(wanted)}
    texts = {}
    for images in (split.test, split.train):
        labels = [label_of[images.wnids[label]] for label in images.labels.tolist()]
        texts[folder / images.split / f"{dataset}.txt"] = "".join(
            f"{path} {label}\n" for path, label in zip(images.paths, labels, strict=True)
        )
    return texts
