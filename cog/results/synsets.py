"""The synsets of the classes of a run's datasets, and what cells predicted among these classes.

In: `runs/splits/distances/NAME.json`, which a run writes before its first cell; classes that are
called by wnids need none. Out: the tree of the classes, and the right and the predicted class of
each test image. A test set has the tree of its dataset: the same mistake costs the same on both.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.hashes import short_hash
from cog.progress import Notify
from cog.recipe import dataset_of_file, parted
from cog.results.cells import class_file, predictions_file
from cog.results.class_accuracies import read_class_rows
from cog.results.distances import read_distance
from cog.results.mistakes import nearest_right
from cog.results.predictions import most_bytes, read_predictions
from cog.small_files import NotReadable, read_lines, read_small, whole_number
from cog.storage import StoragePath
from cog.wordnet.class_tree import ClassTree, class_tree


@dataclass(frozen=True)
class DatasetSynsets:
    """The synsets that a run has for the classes of a dataset; none where no file says them."""

    classes: tuple[str, ...] = ()
    """names"""
    wnids: tuple[str, ...] = ()
    wordnet: str = "bundled"
    """as `load_taxonomy` takes it"""

    @cached_property
    def fingerprint(self) -> str:
        """16 digits that change with them."""
        return short_hash([self.classes, self.wnids, self.wordnet])

    def tree(self, names: tuple[str, ...]) -> tuple[ClassTree, NDArray[np.int64]] | None:
        """The tree of the classes, and which of its classes each of `names` is: int64[c].

        Without a file, names that are wnids are their own synsets. None where a class has no synset
        that WordNet knows, or there are too many classes.

        Raises:
            CogError: their WordNet cannot be read.
        """
        classes, wnids = (self.classes, self.wnids) if self.classes else (names, names)
        index = {name: at for at, name in enumerate(classes)}
        if any(name not in index for name in names):
            return None
        tree = class_tree(wnids, self.wordnet)
        return None if tree is None else (tree, np.array([index[n] for n in names], np.int64))


def synsets_of(runs: StoragePath, dataset: str) -> DatasetSynsets:
    """The synsets of a dataset's classes, or of its test set's, as the folder `runs` has them."""
    document = read_distance(runs, parted(dataset)[0])
    wnids = _texts(document.get("wnids"))
    classes = _texts(document.get("classes")) or wnids
    if len(classes) != len(wnids):
        return DatasetSynsets()
    return DatasetSynsets(classes, wnids, str(document.get("wordnet", DatasetSynsets.wordnet)))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def synsets_reader(runs: StoragePath) -> Callable[[str], DatasetSynsets]:
    """`synsets_of` the datasets of a folder; each file is read once."""
    return cache(lambda dataset: synsets_of(runs, dataset))


@dataclass(frozen=True, eq=False)
class Predicted:
    """The right and the predicted class of each of m test images, as classes of a tree."""

    tree: ClassTree
    names: tuple[str, ...]
    """what the dataset calls the classes of the tree, which are more than a test set may have"""
    labels: NDArray[np.int64]
    """[m]"""
    first: NDArray[np.int64]
    """[m], the class that came first; the number of classes where none did"""


class NoSynsets(Exception):
    """The classes of a cell have no synsets, so nothing can be said of its mistakes."""


def read_predicted(cell: StoragePath, synsets: DatasetSynsets, notify: Notify) -> Predicted | None:
    """What the cell at `cell` predicted; None without predictions that can be read.

    `notify` takes a line for a file that is damaged.

    Raises:
        NoSynsets: its classes have none.
    """
    if not (file := predictions_file(cell)).is_file():
        return None
    try:
        names, counts, _ = zip(*read_class_rows(class_file(cell)), strict=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error):
        return None  # what shows accuracies by class says so
    try:
        found = synsets.tree(names)
        if found is None:
            raise NoSynsets
        n_test = sum(counts)
        highest = read_predictions(read_small(file, most_bytes(n_test)), n_test, len(names)).highest
    except (CogError, OSError, NotReadable) as error:
        notify(f"{file} cannot be used: {error}: left out")
        return None
    tree, index = found
    first = np.append(index, len(tree.synsets))[highest[:, 0]]
    labels = np.repeat(index, counts)
    if (right := right_file(cell)).is_file():
        several = _read_right(right, cell, len(names))
        if several is None or len(several[1]) != n_test:
            return None  # images were left out, and nobody knows which lines are theirs
        labels = nearest_right(first, index[several[0]], several[1], tree)
    return Predicted(tree, synsets.classes or names, labels, first)


def right_file(cell: StoragePath) -> StoragePath:
    """The file of the right classes of a cell's test images, where they have several."""
    return cell.parent.parent.parent / "splits" / "right" / f"{cell.stem.split('--')[0]}.txt"


def _read_right(
    file: StoragePath, cell: StoragePath, n_classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """The right classes of all images, and how many each has; None where they cannot be read.

    Files of splits count all wanted classes; the test images of the dataset show which are left.
    """
    dataset = parted(dataset_of_file(file.stem))[0]
    tests = file.parent.parent / "test" / f"{dataset}.txt"
    try:
        own = sorted({whole_number(line.rpartition(" ")[2]) for line in read_lines(tests)})
        lines = [line.split() for line in read_lines(file)]
        index = {label: at for at, label in enumerate(own)}
        classes = [index[whole_number(label)] for line in lines for label in line]
    except (OSError, NotReadable, KeyError):
        return None
    counts = np.array([len(line) for line in lines], np.int64)
    return (np.array(classes, np.int64), counts) if len(own) == n_classes else None
