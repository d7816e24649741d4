"""The files of a split, read again: which images they name, and the hashes that these give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cog.datasets.right_classes import RightClasses
from cog.datasets.splits import NAMES, RIGHT, Split
from cog.evaluation.cells import split_hash
from cog.evaluation.verify.findings import RESTORE, BrokenError, Finding, why
from cog.images.image_list import ImageList, with_own_classes
from cog.recipe import REFIT, file_name, fitted_on, is_refit, of_levels, parted
from cog.small_files import NotReadable, read_lines, whole_number
from cog.storage import StoragePath

Lines = tuple[tuple[str, ...], list[int]]
"""the paths of a list of images, and their labels as the file has them"""


@dataclass(frozen=True)
class KeptSplit:
    """The split of one dataset, as `runs/splits` keeps it."""

    train: ImageList
    test: ImageList
    labels: tuple[int, ...]
    """of each class that is kept, its index among all wanted classes"""
    right: RightClasses | None = None
    """of the test images, where these have several"""
    within: ImageList | None = None
    """the list whose features the test images have, where they have none of their own"""
    train_within: bool = False
    """whether the training images have these too"""

    @property
    def lists(self) -> tuple[ImageList, ImageList]:
        """Training and test images."""
        return self.train, self.test

    @property
    def split(self) -> Split:
        """The split that it was, as far as its files tell."""
        return Split(
            self.train, self.test, (), "", right=self.right, within=self.within,
            train_within=self.train_within,
        )  # fmt: skip

    @property
    def hash(self) -> str:
        """The `split_hash` of its cells."""
        return split_hash(self.lists, self.right)


def split_file(runs: StoragePath, dataset: str, split: str) -> StoragePath:
    """The file of the training or test images of a dataset; a test set trains on its dataset's."""
    name = file_name(dataset if split in ("test", RIGHT) else fitted_on(dataset))
    return runs / "splits" / split / f"{name}.txt"


def read_split(runs: StoragePath, dataset: str) -> KeptSplit:
    """The split of a dataset.

    A list of classes tells the name of each label, or else the paths of training images, their
    wnid; a class is kept if it has training images.

    Raises:
        BrokenError: a file is missing, or cannot be such a list.
    """
    files = {split: split_file(runs, dataset, split) for split in ("train", "test")}
    lines = {split: _read(file) for split, file in files.items()}
    named = split_file(runs, dataset, NAMES)
    if not of_levels(fitted_on(dataset)) and named.is_file():
        class_of = _names_of(named, lines["train"][1])
    else:
        class_of = _wnids_of(files["train"], lines["train"])
    labels = tuple(sorted(class_of))
    classes = tuple(class_of[label] for label in labels)
    if list(classes) != sorted(set(classes)):
        raise _broken(files["train"], "labels in the order of the classes", "another order")
    index = {label: number for number, label in enumerate(labels)}
    lists = {}
    for split, (paths, own) in lines.items():
        unknown = sorted(set(own) - set(index))
        if unknown:
            found = f"label {unknown[0]}, which no training image has"
            raise _broken(files[split], "labels of the training images", found)
        numbers = np.array([index[label] for label in own], np.int64)
        lists[split] = ImageList("", "folder", paths, numbers, classes, split)
    if split_file(runs, dataset, RIGHT).is_file():
        right = _read_right(split_file(runs, dataset, RIGHT), index, lists["test"])
        within = read_split(runs, parted(dataset)[0]).test
        return KeptSplit(lists["train"], lists["test"], labels, right, within)
    if is_refit(dataset):
        within = read_split(runs, dataset.removesuffix(REFIT)).test
        drawn = _are_drawn(lists["train"], lists["test"], within)
        return KeptSplit(lists["train"], lists["test"], labels, None, within, drawn)
    if parted(dataset)[1]:
        lists["test"] = with_own_classes(lists["test"])
    return KeptSplit(lists["train"], lists["test"], labels)


def _are_drawn(train: ImageList, test: ImageList, within: ImageList) -> bool:
    """Whether images to refit on are drawn from those of a test set; else they may only look so.

    Paths are relative: those of another root may be the same, but then the test images have them.
    """
    paths = {*train.paths}
    return paths <= {*within.paths} and paths.isdisjoint(test.paths)


def _read_right(file: StoragePath, index: Mapping[int, int], images: ImageList) -> RightClasses:
    """The right classes of a list of images, from the labels that a file has of each in a line."""
    try:
        lines = [
            [index[whole_number(label)] for label in line.split()] for line in read_lines(file)
        ]
    except (OSError, NotReadable, KeyError) as error:
        raise _broken(file, "labels of the training images", why(error)) from error
    first = [line[0] for line in lines if line]
    if first != images.labels.tolist() or len(first) != len(lines):
        raise _broken(file, f"a line of each of {len(images):,} images, its label first", "others")
    return RightClasses.of(lines)


def _wnids_of(file: StoragePath, lines: Lines) -> dict[int, str]:
    """The wnid of each label, which the paths of its images tell."""
    wnid_of: dict[int, str] = {}
    for path, label in zip(*lines, strict=True):
        wnid = path.partition("/")[0]
        if wnid_of.setdefault(label, wnid) != wnid:
            raise _broken(file, f"one wnid for label {label}", f"{wnid_of[label]}, {wnid}")
    return wnid_of


def _names_of(file: StoragePath, labels: list[int]) -> dict[int, str]:
    """The name of each label that is there, from a list of all classes."""
    try:
        names = read_lines(file)
    except (OSError, NotReadable) as error:
        raise _broken(file, "a name a line", why(error)) from error
    if labels and max(labels) >= len(names):
        raise _broken(file, f"{max(labels) + 1} names", str(len(names)))
    return {label: names[label] for label in set(labels)}


def _read(file: StoragePath) -> Lines:
    """The paths and labels of a file of `path label` lines."""
    try:
        lines = read_lines(file)
    except (OSError, NotReadable) as error:
        raise _broken(file, "lines `path label`", why(error)) from error
    paths: list[str] = []
    labels: list[int] = []
    for number, line in enumerate(lines, start=1):
        path, _, label = line.rpartition(" ")
        if not (path and label.isascii() and label.isdecimal() and len(label) < 10):
            raise _broken(file, "lines `path label`", f"{line[:80]!r} in line {number}")
        paths.append(path)
        labels.append(int(label))
    return tuple(paths), labels


def _broken(file: StoragePath, expected: str, found: str) -> BrokenError:
    return BrokenError(Finding(str(file), expected, found, RESTORE))


def wrong_classes(split: KeptSplit, wanted: tuple[str, ...], file: object) -> Iterator[Finding]:
    """Whether each class of a split is the one that the levels have at its label."""
    for label, wnid in zip(split.labels, split.train.classes, strict=True):
        there = wanted[label] if label < len(wanted) else "no class"
        if there != wnid:
            yield Finding(
                str(file), f"{there} at label {label}, as the levels have it", wnid, RESTORE
            )
            return
