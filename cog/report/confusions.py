"""The classes that are most confused, by the part of WordNet in which they lie.

In: cells with their predictions. Out: for each dataset whose classes are wnids, the subtrees with
the most mistakes. A mistake belongs to the deepest synset above the right and the predicted class.

Of each model, probe and solver the first seed counts, all together: a table says what is hard to
tell apart, not for whom.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.progress import Notify
from cog.results.cells import predictions_file
from cog.results.class_accuracies import read_class_rows
from cog.results.columns import dataset_order
from cog.results.predictions import most_bytes, read_predictions
from cog.small_files import NotReadable, read_small
from cog.storage import StoragePath
from cog.wordnet.class_tree import ClassTree, class_tree

SUBTREES, PAIRS = 12, 3  # of a dataset, and of a subtree, that are shown

Classes = tuple[tuple[str, ...], tuple[int, ...]]
"""the wnid of each class, and its number of test images"""


@dataclass(frozen=True)
class Subtree:
    """A synset below which classes are confused."""

    name: str
    height: int
    share: float
    """percent of the dataset's mistakes"""
    pairs: tuple[tuple[str, str, float], ...]
    """right and predicted class, and percent of the subtree's mistakes; the most frequent first"""


@dataclass(frozen=True)
class Confused:
    """What is confused on one dataset."""

    dataset: str
    mistakes: int
    subtrees: tuple[Subtree, ...]
    """those with the most mistakes"""


def most_confused(
    cells: Iterable[tuple[StoragePath, Mapping[str, Any]]], notify: Notify
) -> list[Confused]:
    """The subtrees of each dataset in which most mistakes are, in the order of the datasets.

    `cells`: of one number of shots: the file of accuracies by class and the row of each. `notify`
    takes a line for each file of predictions that is damaged.
    """
    first: dict[tuple[str, ...], tuple[int, StoragePath]] = {}
    for path, row in cells:
        if row.get("n_unlabelled") is not None:
            continue  # of several right classes nobody knows which one was not seen
        key = (row["dataset"], row["model"], row["probe"], row["solver"])
        if key not in first or row["seed"] < first[key][0]:
            first[key] = row["seed"], path
    of_dataset: dict[str, list[tuple[StoragePath, Classes]]] = defaultdict(list)
    for (dataset, *_), (_, path) in first.items():
        classes = _classes(path)
        if classes:
            cell = path.parent.parent / "cells" / f"{path.stem}.json"
            of_dataset[dataset].append((cell, classes))
    found = (_of_dataset(name, of_dataset[name], notify)
             for name in sorted(of_dataset, key=dataset_order))  # fmt: skip
    return [each for each in found if each is not None]


def _classes(path: StoragePath) -> Classes | None:
    """The classes of a table of accuracies by class; None where it cannot be read."""
    try:
        wnids, counts, _ = zip(*read_class_rows(path), strict=True)
    except (OSError, KeyError, TypeError, AttributeError, ValueError, csv.Error):
        return None  # the page says so where it shows the accuracies
    return wnids, counts


def _of_dataset(
    dataset: str, cells: Sequence[tuple[StoragePath, Classes]], notify: Notify
) -> Confused | None:
    """What is confused on one dataset; None without synsets or predictions."""
    wnids, counts = cells[0][1]
    tree = class_tree(wnids)
    if tree is None:
        return None
    labels, c = np.repeat(np.arange(len(wnids)), counts), len(wnids)
    confusions = np.zeros(c * c, np.int64)
    for path, classes in cells:
        if classes != (wnids, counts):
            continue  # other images were left out: its predictions are of other rows
        predicted = _predicted(path, len(labels), c, notify)
        if predicted is not None:
            wrong = (predicted != labels) & (predicted < c)
            confusions += np.bincount(labels[wrong] * c + predicted[wrong], minlength=c * c)
    return _subtrees(dataset, confusions, tree) if confusions.any() else None


def _predicted(
    cell: StoragePath, n_test: int, n_classes: int, notify: Notify
) -> NDArray[np.int64] | None:
    """The first class of each test image, int64[m]; None where predictions cannot be read."""
    file = predictions_file(cell)
    try:
        kept = read_predictions(read_small(file, most_bytes(n_test)), n_test, n_classes)
    except FileNotFoundError:
        return None
    except (OSError, NotReadable) as error:
        notify(f"{file} cannot be used: {error}: left out")
        return None
    return kept.highest[:, 0]


def _subtrees(dataset: str, confusions: NDArray[np.int64], tree: ClassTree) -> Confused:
    """`confusions`: how often class a was taken for b, at a·c + b."""
    above = tree.subsumers.ravel()
    some = np.flatnonzero(confusions)
    some = some[above[some] >= 0]
    sums = np.bincount(above[some], confusions[some], minlength=len(tree.taxonomy))
    total = int(confusions.sum())
    subtrees = []
    for synset in np.argsort(-sums, kind="stable")[:SUBTREES].tolist():
        if not sums[synset]:
            break
        own = some[above[some] == synset]
        most = own[np.argsort(-confusions[own], kind="stable")[:PAIRS]]
        pairs = tuple(
            (_name(tree, right), _name(tree, taken), float(100 * confusions[at] / sums[synset]))
            for at, (right, taken) in ((at, divmod(at, len(tree.synsets))) for at in most.tolist())
        )
        share = float(100 * sums[synset] / total)
        words = _words(tree.taxonomy.names[synset])
        subtrees.append(Subtree(words, int(tree.heights[synset]), share, pairs))
    return Confused(dataset, total, tuple(subtrees))


def _name(tree: ClassTree, label: int) -> str:
    return _words(tree.taxonomy.names[tree.synsets[label]])


def _words(name: str) -> str:
    """A synset's name without its number.

    >>> _words("great_white_shark.n.01")
    'great white shark'
    """
    return name.rsplit(".", 2)[0].replace("_", " ")
