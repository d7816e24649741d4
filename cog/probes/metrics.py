"""How good a probe is: metrics of the ranks that it gives to the right classes of test images.

In: ranks int64[m], how many of the c classes come before the right one (cog/probes/ranks.py);
labels int64[m]; c. Out: numbers in percent. To add a metric: a function and its entry in `METRICS`
here, and its column in cog/results.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError

Ranks = NDArray[np.int64]
Labels = NDArray[np.int64]


def percent_within(ranks: Ranks, k: int) -> float:
    """Top-k accuracy: the percent of images whose right class is among the first k.

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


def mean_per_class(ranks: Ranks, labels: Labels, n_classes: int) -> float:
    """The mean over classes of their top-1; classes without images are left out.

    The arguments and the errors are those of `per_class_top1`.

    >>> mean_per_class(np.array([0, 0, 0, 2]), np.array([0, 0, 0, 1]), n_classes=3)
    50.0
    """
    return float(np.nanmean(per_class_top1(ranks, labels, n_classes)))


def per_class_top1(ranks: Ranks, labels: Labels, n_classes: int) -> NDArray[np.float64]:
    """Top-1 of each class in percent, float64[c]; NaN for a class without images.

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
    if not 0 <= labels.min() <= labels.max() < n_classes:
        raise CogError(
            f"expected labels in 0…{n_classes - 1}, found {labels.min()}…{labels.max()}",
            "number the classes from 0",
        )
    counts = np.bincount(labels, minlength=n_classes)
    hits = np.bincount(labels[ranks == 0], minlength=n_classes)
    with np.errstate(invalid="ignore"):
        shares: NDArray[np.float64] = 100.0 * hits / counts
    return shares


def bootstrap_interval(ranks: Ranks, k: int = 1, level: float = 0.95) -> tuple[float, float]:
    """Where top-k would lie, in percent, if the m test images were drawn anew from themselves.

    The percentile interval of the bootstrap over images, with the share `level` of the draws. Each
    draw hits with the share p of hits, so the number of hits is binomial (m, p): its quantiles are
    exact and need no draw. The interval leaves out what another training set or seed would change.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap, chapter 13.

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


def has_another(labels: Labels) -> NDArray[np.bool_]:
    """Which images are not the only one of their class: bool[m].

    >>> has_another(np.array([3, 0, 3])).tolist()
    [True, False, True]
    """
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    several: NDArray[np.bool_] = counts[classes] > 1
    return several


METRICS: dict[str, Callable[[Ranks, Labels, int], float]] = {
    "top1": lambda ranks, labels, n_classes: percent_within(ranks, 1),
    "top5": lambda ranks, labels, n_classes: percent_within(ranks, 5),
    "mean_class": mean_per_class,
    "top1_low": lambda ranks, labels, n_classes: bootstrap_interval(ranks)[0],
    "top1_high": lambda ranks, labels, n_classes: bootstrap_interval(ranks)[1],
}
"""what a row of the results says of a probe, by the name of its column: percent, more is better"""
