"""The classes that are most confused, by the part of WordNet in which they lie.

In: cells with their predictions, and the synsets of their classes. Out: for each dataset whose
classes have synsets, the subtrees with the most mistakes. A mistake belongs to the deepest synset
above the right and the predicted class.

Of each model, probe and solver the first seed counts, all together: a table says what is hard to
tell apart, not for whom.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.progress import Notify
from cog.recipe import WNID
from cog.results.columns import dataset_order, full_name
from cog.results.synsets import DatasetSynsets, NoSynsets, read_predicted, synsets_of
from cog.storage import StoragePath
from cog.wordnet.class_tree import ClassTree

SUBTREES, PAIRS = 12, 3  # of a dataset, and of a subtree, that are shown


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
    runs: StoragePath, cells: Iterable[tuple[StoragePath, Mapping[str, Any]]], notify: Notify
) -> list[Confused]:
    """The subtrees of each dataset in which most mistakes are, in the order of the datasets.

    `cells`: of the folder `runs`, of one number of shots: the file and the row of each. `notify`
    takes a line for each file of predictions that is damaged.
    """
    first: dict[tuple[str, ...], tuple[int, StoragePath]] = {}
    for path, row in cells:
        if row.get("n_unlabelled") is not None:
            continue  # of several right classes nobody knows which one was not seen
        key = (full_name(row), row["model"], row["probe"], row["solver"])
        if key not in first or row["seed"] < first[key][0]:
            first[key] = row["seed"], path
    of_dataset: dict[str, list[StoragePath]] = defaultdict(list)
    for (dataset, *_), (_, path) in first.items():
        of_dataset[dataset].append(path)
    found = (
        _of_dataset(dataset, paths, synsets_of(runs, dataset), notify)
        for dataset, paths in sorted(of_dataset.items(), key=lambda item: dataset_order(item[0]))
    )
    return [each for each in found if each is not None]


def _of_dataset(
    dataset: str, cells: Sequence[StoragePath], synsets: DatasetSynsets, notify: Notify
) -> Confused | None:
    """What is confused on one dataset; None without synsets or predictions."""
    read = None
    confusions = [np.empty(0, np.int64)]
    for cell in cells:
        try:
            read = read_predicted(cell, synsets, notify)
        except NoSynsets:
            return None
        if read is not None:
            tree, names = read.tree, read.names
            wrong = (read.first != read.labels) & (read.first < len(names))
            confusions.append(read.labels[wrong] * len(names) + read.first[wrong])
    pairs, counts = np.unique(np.concatenate(confusions), return_counts=True)
    return _subtrees(dataset, pairs, counts, tree, names) if len(pairs) else None


def _subtrees(
    dataset: str,
    pairs: NDArray[np.int64],
    counts: NDArray[np.int64],
    tree: ClassTree,
    names: Sequence[str],
) -> Confused:
    """`pairs`: a·c + b where class a was taken for b; `counts`: how often."""
    above, total = tree.subsumers.ravel()[pairs], int(counts.sum())
    sums = np.bincount(above[above >= 0], counts[above >= 0], minlength=len(tree.taxonomy))
    subtrees = []
    for synset in np.argsort(-sums, kind="stable")[:SUBTREES].tolist():
        if not sums[synset]:
            break
        own = np.flatnonzero(above == synset)
        most = own[np.argsort(-counts[own], kind="stable")[:PAIRS]]
        shown = tuple(
            (_name(tree, names, right), _name(tree, names, taken), float(100 * n / sums[synset]))
            for n, (right, taken) in (
                (counts[at], divmod(int(pairs[at]), len(names))) for at in most.tolist()
            )
        )
        share = float(100 * sums[synset] / total)
        words = _words(tree.taxonomy.names[synset])
        subtrees.append(Subtree(words, int(tree.heights[synset]), share, shown))
    return Confused(dataset, total, tuple(subtrees))


def _name(tree: ClassTree, names: Sequence[str], label: int) -> str:
    """What people call a class: its name, or the words of a class that is called by its wnid."""
    if WNID.fullmatch(names[label]):
        return _words(tree.taxonomy.names[tree.synsets[label]])
    return names[label]


def _words(name: str) -> str:
    """A synset's name without its number.

    >>> _words("great_white_shark.n.01")
    'great white shark'
    """
    return name.rsplit(".", 2)[0].replace("_", " ")
