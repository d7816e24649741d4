"""How far models rank alike in two groupings of the same concepts: Kendall's tau with intervals.

In: accuracies of models by concept, and two levels of every concept. Out: tau-b for each level.

A model's accuracy in a level is the mean over the concepts of that level. Nothing is fitted again:
a concept's accuracy was measured among the classes of the level that the run had it in.

The interval is that of the percentile bootstrap over concepts (Efron, 1979): concepts are drawn
with replacement, the same ones for all models and for both groupings, and tau is computed anew. It
says how far tau depends on which concepts are in the benchmark; the models are as given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.results.class_accuracies import ConceptAccuracies

Floats = NDArray[np.float64]
_AT_ONCE = 1 << 22  # products of signs in memory at once
_LEVEL = 0.95


@dataclass(frozen=True)
class Agreement:
    """How far the ranks of models in one level agree between two groupings."""

    level: int
    concepts: tuple[int, int]  # that have accuracies, in the first grouping and in the second
    tau: float  # NaN where a grouping has no concept, or all models are equal there
    low: float  # of the 95 % interval
    high: float


def rank_agreement(
    accuracies: ConceptAccuracies,
    first: Sequence[int],
    second: Sequence[int],
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Agreement, ...]:
    """tau-b of the models' accuracies in each level by one grouping and by the other.

    `first`, `second`: the level of each of the c concepts, 0 for none.
    """
    groupings = np.asarray(first), np.asarray(second)
    weights = _draws(len(accuracies.wnids), resamples, seed)
    found = []
    for level in sorted({*groupings[0].tolist(), *groupings[1].tolist()} - {0}):
        members = [grouping == level for grouping in groupings]
        one, two = (_means(accuracies.top1, group, weights) for group in members)
        taus = kendall_taus(one, two)
        drawn = taus[1:][np.isfinite(taus[1:])]
        low, high = np.nan, np.nan
        if len(drawn) and np.isfinite(taus[0]):
            low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        counts = int(members[0].sum()), int(members[1].sum())
        found.append(Agreement(level, counts, float(taus[0]), float(low), float(high)))
    return tuple(found)


def _draws(n: int, resamples: int, seed: int) -> Floats:
    """How often each of n concepts counts: once in the first row, as drawn in the others."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / max(n, 1)), size=resamples)
    return np.vstack([np.ones((1, n)), drawn])


def _means(top1: Floats, group: NDArray[np.bool_], weights: Floats) -> Floats:
    """The weighted mean accuracy of each model in a group of concepts; [draws, m], or NaN."""
    weights = weights[:, group]
    total = weights.sum(axis=1, keepdims=True)
    sums = weights @ top1[:, group].T
    # rounded, so that models that are equal stay equal: sums of floats differ in their last bits
    means = np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)
    rounded: Floats = np.round(means, 9)
    return rounded


def kendall_taus(one: Floats, two: Floats) -> Floats:
    """Kendall's tau-b of each row of `one` with the same row of `two`; [r, m] each; float64[r].

    NaN where a row has NaN or only ties. Kendall, Biometrika 33 (1945) 239.

    >>> kendall_taus(np.array([[1.0, 2.0, 3.0, 3.0]]), np.array([[1.0, 3.0, 2.0, 2.0]]))
    array([0.2])
    """
    return np.concatenate([np.empty(0), *_taus(one, two)])


def _taus(one: Floats, two: Floats) -> Iterator[Floats]:
    """The taus, as many rows at once as memory allows."""
    i, j = np.triu_indices(one.shape[1], k=1)
    step = max(1, _AT_ONCE // max(1, len(i)))
    for start in range(0, len(one), step):
        x, y = (
            np.sign(part[:, i] - part[:, j])
            for part in (one[start : start + step], two[start : start + step])
        )
        scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
        yield np.divide((x * y).sum(axis=1), scale, out=np.full(len(x), np.nan), where=scale > 0)
