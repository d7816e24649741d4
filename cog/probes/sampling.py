"""Which training images a probe learns from: the validation part, and nested few-shot subsets.

The rows of a class are shuffled by a generator of (seed, purpose, class), so what is drawn from a
class depends only on the seed, its label and its own rows.
Source: the split and few-shot functions of the public code's feature_ops.py, without its slice that
loses every class of fewer than five images. Cost: one sort of the labels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError

_VALIDATION, _SHOTS, _SHOTS_ANEW = 0, 1, 2  # purposes: the draws of one seed are independent


def validation_split(
    labels: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take a share of every class for validation; gives the rows to train on and to validate on.

    Of n images of a class int(n × share) validate, but at least one, and at least one is left to
    train on. A class of one image trains on it and is not validated. Labels and seed are not
    negative; both results are sorted, and together they are all rows.

    Raises:
        CogError: a share outside (0, 1).

    >>> train, validation = validation_split(np.repeat([0, 1, 2], [10, 3, 1]), 0.2, seed=22)
    >>> len(train), len(validation), int(train[-1])
    (11, 3, 13)
    """
    if not 0 < share < 1:
        raise CogError(f"expected a validation share between 0 and 1, found {share}", "try 0.2")
    chosen = np.zeros(len(labels), bool)
    for label, rows in _rows_by_class(labels, np.arange(len(labels))):
        count = min(max(int(len(rows) * share), 1), len(rows) - 1)
        chosen[_shuffled(rows, seed, _VALIDATION, label)[:count]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def few_shot(
    labels: NDArray[np.int64],
    shots: int,
    rows: NDArray[np.int64],
    seed: int,
    anew: bool = False,
) -> NDArray[np.int64]:
    """Draw `shots` images a class from some rows: int64, sorted; a class with fewer gives all.

    `labels` are those of all images. In the official order `rows` are those that
    `validation_split` leaves to train on. For one seed the draws are nested: those of 1 shot lie
    within those of 2. `anew`: another draw of the same seed, nested likewise.

    Raises:
        CogError: fewer than one shot.

    >>> labels = np.repeat([0, 1], [5, 2])
    >>> labels[few_shot(labels, 3, np.arange(7), seed=22)].tolist()
    [0, 0, 0, 1, 1]
    """
    if shots < 1:
        raise CogError(f"expected at least 1 shot, found {shots}", "try --shots 1, or --shots all")
    drawn = [
        _shuffled(own, seed, _SHOTS_ANEW if anew else _SHOTS, label)[:shots]
        for label, own in _rows_by_class(labels, rows)
    ]
    return np.sort(np.concatenate([*drawn, np.zeros(0, np.int64)]))


def _rows_by_class(
    labels: NDArray[np.int64], rows: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each label of the rows, with its rows in ascending order."""
    rows = np.sort(rows)
    order = rows[np.argsort(labels[rows], kind="stable")]
    found, starts = np.unique(labels[order], return_index=True)
    return zip(found.tolist(), np.split(order, starts[1:]), strict=False)


def _shuffled(rows: NDArray[np.int64], seed: int, purpose: int, label: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, purpose, label]).permutation(rows)
