"""Two concepts or sets compared: one pair with its explanation, or how near two sets are.

In: two `Side`s (concept_sets.py), a measure, a corpus. Out: a `Comparison`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cog.wordnet.concept_sets import Side
from cog.wordnet.information_content import load_information
from cog.wordnet.measures import INFINITE, Floats, find_measure, subsumer_rule
from cog.wordnet.pairs import Explanation, explain_pair
from cog.wordnet.similarity import nearest
from cog.wordnet.taxonomy import Taxonomy


@dataclass(frozen=True)
class Spread:
    """How values are distributed; the mean and the rest leave out the infinite values."""

    count: int
    infinite: int
    mean: float | None  # None if all are infinite
    quartiles: tuple[float, ...]  # minimum, 25 %, median, 75 %, maximum; or empty
    edges: tuple[float, ...]  # [bins + 1]
    histogram: tuple[int, ...]  # [bins]


@dataclass(frozen=True)
class Comparison:
    """What `compare_sides` finds: a pair, or two spreads."""

    added: tuple[int, ...]  # concepts that the corpus did not have
    pair: Explanation | None = None  # of two concepts, or of one and its nearest in a set
    nearest_in: Side | None = None  # the set that `pair.b` is from, if there is one
    spreads: tuple[tuple[Side, Side, Spread], ...] = ()  # (from, to, the best matches)


def compare_sides(
    taxonomy: Taxonomy,
    left: Side,
    right: Side,
    measure: str = "lin",
    subsumer: str = "deepest",
    corpus: str = "imagenet",
) -> Comparison:
    """How alike two sides are; raises `CogError` as `load_information` and `nearest` do."""
    chosen = find_measure(measure)
    subsumer_rule(chosen, subsumer)  # refuses an unknown one
    ic, added = np.zeros(len(taxonomy)), tuple[int, ...]()  # enough for measures by edges
    if chosen.informative:
        ic, added = load_information(taxonomy, corpus, left.concepts + right.concepts)
    if left.is_set and right.is_set:
        spreads = []
        for one, other in ((left, right), (right, left)):
            best = nearest(taxonomy, ic, one.concepts, other.concepts, chosen, subsumer)
            spreads.append((one, other, spread(best.value)))
        return Comparison(added, spreads=tuple(spreads))
    one, other = (right, left) if left.is_set else (left, right)
    a, b = one.concepts[0], other.concepts[0]
    if other.is_set:
        b = int(nearest(taxonomy, ic, [a], other.concepts, chosen, subsumer).seen[0])
    pair = explain_pair(taxonomy, ic, a, b, chosen, subsumer)
    return Comparison(added, pair, other if other.is_set else None)


def spread(values: Floats, bins: int = 10) -> Spread:
    """How `values` (at least one) are distributed.

    >>> spread(np.array([0.0, 1.0, 1.0, 2.0, INFINITE]), bins=2)  # doctest: +ELLIPSIS
    Spread(count=5, infinite=1, mean=1.0, quartiles=(0.0, 0.75, 1.0, 1.25, 2.0), ...
    """
    finite = values[np.abs(values) < INFINITE]
    histogram, edges = _histogram(finite, bins)
    return Spread(
        len(values),
        len(values) - len(finite),
        float(finite.mean()) if len(finite) else None,
        tuple(np.quantile(finite, (0, 0.25, 0.5, 0.75, 1)).tolist()) if len(finite) else (),
        edges,
        histogram,
    )


def _histogram(values: Floats, bins: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """(counts, edges); one bin if all values are equal, none if there are none."""
    if not len(values):
        return (), ()
    if values.min() == values.max():
        return (len(values),), (float(values[0]),) * 2
    counts, edges = np.histogram(values, bins)
    return tuple(counts.tolist()), tuple(edges.tolist())
