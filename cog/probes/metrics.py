"""How good scores are: top-k accuracy with a stated rule for ties, by class, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError


def label_ranks(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many classes come before the right one in each row; 0 where the right one is first.

    A class comes before another if its score is strictly higher; of equal scores the lower class
    index comes first.

    Args:
        scores: float[m, c], higher is better; infinities are scores like any other.
        labels: int64[m], in 0…c−1.

    Returns:
        int64[m], in 0…c−1.

    Raises:
        CogError: NaN among the scores, or a label that no column stands for.

    >>> label_ranks(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]), np.array([2, 1])).tolist()
    [1, 1]
    """
    if np.isnan(scores).any():
        raise CogError(
            "expected scores that are numbers, found NaN",
            "look for NaN in the features, or for a fit that diverged",
        )
    n_classes = scores.shape[1]
    _check_labels(labels, n_classes)
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    lower = np.arange(n_classes) < labels[:, None]
    before = (scores > own) | ((scores == own) & lower)
    ranks: NDArray[np.int64] = before.sum(axis=1, dtype=np.int64)
    return ranks


def top_k(scores: NDArray[np.floating], labels: NDArray[np.int64], k: int) -> float:
    """Percent of the rows whose right class is among the k first; ties as in `label_ranks`.

    With k ≥ c it is 100.

    Args:
        scores: float[m, c], higher is better.
        labels: int64[m], in 0…c−1.
        k: at least 1.

    Raises:
        CogError: NaN among the scores, labels out of range, no rows, or k below 1.

    >>> top_k(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]), np.array([1, 1]), k=1)
    50.0
    """
    return percent_within(label_ranks(scores, labels), k)


def mean_per_class(ranks: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int) -> float:
    """The mean over classes of their top-1, in percent; classes without images are left out.

    Args and errors are those of `per_class_top1`.

    >>> mean_per_class(np.array([0, 0, 0, 2]), np.array([0, 0, 0, 1]), n_classes=3)
    50.0
    """
    return float(np.nanmean(per_class_top1(ranks, labels, n_classes)))


def per_class_top1(
    ranks: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Top-1 of each class in percent, float64[c]; NaN for a class without images.

    Args:
        ranks: int64[m], what `label_ranks` gives.
        labels: int64[m], in 0…c−1.
        n_classes: c.

    Raises:
        CogError: no rows, ranks and labels of different numbers, or labels out of range.

    >>> per_class_top1(np.array([0, 1, 0]), np.array([0, 0, 2]), n_classes=3).tolist()
    [50.0, nan, 100.0]
    """
    if not len(labels) or ranks.shape != labels.shape:
        raise CogError(
            f"expected a rank for each of at least one label, "
            f"found {len(ranks)} ranks and {len(labels)} labels",
            "give the labels of the images that the ranks are of",
        )
    _check_labels(labels, n_classes)
    counts = np.bincount(labels, minlength=n_classes)
    hits = np.bincount(labels[ranks == 0], minlength=n_classes)
    with np.errstate(invalid="ignore"):
        shares: NDArray[np.float64] = 100.0 * hits / counts
    return shares


def bootstrap_interval(
    ranks: NDArray[np.int64], k: int = 1, level: float = 0.95
) -> tuple[float, float]:
    """Where top-k would lie, in percent, were the m test images drawn anew from themselves.

    The percentile interval of the bootstrap over images. Each draw hits with the share p of hits,
    so that the hits of m draws are binomial (m, p): its quantiles are exact, without any draw. It
    leaves out what another training set or another seed would change.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap, chapter 13.

    Args:
        ranks: int64[m], what `label_ranks` gives.
        k: at least 1.
        level: the share of the draws between the ends, strictly between 0 and 1.

    Raises:
        CogError: no ranks, k below 1, or a level outside (0, 1).

    >>> bootstrap_interval(np.array([0] * 80 + [3] * 20))
    (72.0, 88.0)
    """
    from scipy.stats import binom

    if not 0 < level < 1:
        raise CogError(f"expected a level between 0 and 1, found {level}", "try 0.95")
    share = percent_within(ranks, k) / 100
    ends = binom.ppf([(1 - level) / 2, (1 + level) / 2], len(ranks), share)
    return 100.0 * float(ends[0]) / len(ranks), 100.0 * float(ends[1]) / len(ranks)


def standard_error(values: NDArray[np.floating] | Sequence[float]) -> float:
    """The standard error of the mean of independent values; NaN for fewer than two.

    With s the deviation of the sample (n − 1 in its denominator) it is s / √n.

    >>> round(standard_error([1.0, 2.0, 3.0]), 3)
    0.577
    """
    if len(values) < 2:
        return float("nan")
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def percent_within(ranks: NDArray[np.int64], k: int) -> float:
    """Top-k accuracy in percent from the ranks that `label_ranks` gives.

    Raises:
        CogError: no ranks, or k below 1.

    >>> percent_within(np.array([0, 1, 4, 9]), k=5)
    75.0
    """
    if k < 1 or not len(ranks):
        raise CogError(
            f"expected k ≥ 1 and at least one row, found k = {k} and {len(ranks)} rows",
            "give at least one test image",
        )
    return 100.0 * int((ranks < k).sum()) / len(ranks)


def _check_labels(labels: NDArray[np.int64], n_classes: int) -> None:
    if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
        raise CogError(
            f"expected labels in 0…{n_classes - 1}, found {labels.min()}…{labels.max()}",
            "number the classes from 0, one column of scores each",
        )
