"""Pairs of synsets: the terms that a measure's formula takes, and the formula in words.

In: a taxonomy, an information content, indices a and b. Out: terms (measures.py) as arrays [p]
with the subsumers, or for one pair an `Explanation`.
The ancestors of each synset are a set; the subsumer is the best of those in common. Some
microseconds a pair; for all pairs of two large sets see `nearest` in similarity.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cog.wordnet.information_content import require_information
from cog.wordnet.measures import SYMBOLS, Floats, Measure, Terms, find_measure, subsumer_rule
from cog.wordnet.subsumers import NO_SUBSUMER, prefer_first, rank_subsumers
from cog.wordnet.taxonomy import Ints, Taxonomy

Distances = dict[int, dict[int, int]]  # as Taxonomy.distances_up gives them


@dataclass(frozen=True)
class Explanation:
    """The similarity of one pair, with everything that it comes from."""

    a: int  # index in the taxonomy, like b and subsumer
    b: int
    subsumer: int  # −1 where nothing is above both
    rule: str  # how the subsumer was chosen, a key of RULES
    value: float
    terms: dict[str, float]  # name → number, as the formula takes them
    formula: str  # in symbols: 2·IC(s) / (IC(a) + IC(b))
    numbers: str  # the same with the numbers put in
    note: str  # why the value is not what the formula gives, where that divides by zero; else empty


def explain_pair(
    taxonomy: Taxonomy,
    ic: Floats,
    a: int,
    b: int,
    measure: str | Measure = "lin",
    subsumer: str = "deepest",
) -> Explanation:
    """The similarity of synsets a and b, their subsumer, and the terms of the formula."""
    chosen = find_measure(measure)
    arrays, subsumers = pair_terms(taxonomy, ic, [a], [b], chosen, subsumer)
    terms = {name: float(np.ravel(array)[0]) for name, array in arrays.items()}
    return Explanation(
        a,
        b,
        int(subsumers[0]),
        subsumer_rule(chosen, subsumer),
        float(chosen.formula(**arrays)[0]),
        terms,
        chosen.written.format(**SYMBOLS),
        chosen.written.format(**{name: f"{number:.6g}" for name, number in terms.items()}),
        chosen.note(**terms),
    )


def pair_terms(
    taxonomy: Taxonomy,
    ic: Floats,
    a: Sequence[int] | Ints,
    b: Sequence[int] | Ints,
    measure: Measure,
    subsumer: str = "deepest",
) -> tuple[Terms, Ints]:
    """The terms of p pairs, each [p] or a scalar, and their subsumers int32[p]."""
    rule = subsumer_rule(measure, subsumer)
    a, b = np.asarray(a, np.int32), np.asarray(b, np.int32)
    if measure.informative:
        require_information(taxonomy, ic, [*a, *b])
    up = taxonomy.distances_up([*a, *b])
    order = rank_subsumers(taxonomy, ic, np.fromiter(up, np.int32), rule)
    rank = {i: number for number, i in enumerate(order.tolist())}
    s = np.array([_best_common(up, rank, rule, x, y) for x, y in _each(a, b)], np.int32)
    if rule == "min-depth":
        is_above = np.array([x in up[y] for x, y in _each(a, b)], bool)
        s = prefer_first(taxonomy, a, s, is_above)

    def distances(one: Ints, other: Ints) -> Floats:
        return np.array([_distance(up, x, y) for x, y in _each(one, other)])

    return terms_of(taxonomy, ic, measure.kind, a, b, s, distances), s


def _each(one: Ints, other: Ints) -> zip[tuple[int, int]]:
    return zip(one.tolist(), other.tolist(), strict=True)


def _best_common(up: Distances, rank: dict[int, int], rule: str, x: int, y: int) -> int:
    """The subsumer by the rank, or for "meeting" by the distance and then by the rank."""
    common = up[x].keys() & up[y].keys()
    if rule == "meeting":
        return max(common, key=lambda i: (-up[x][i] - up[y][i], rank[i]), default=NO_SUBSUMER)
    return max(common, key=rank.__getitem__, default=NO_SUBSUMER)


def _distance(up: Distances, x: int, y: int) -> float:
    """Edges of the shortest path from x to y through a synset above both; inf if there is none."""
    if y == NO_SUBSUMER:
        return np.inf
    common = up[x].keys() & up[y].keys()
    return min((float(up[x][i] + up[y][i]) for i in common), default=np.inf)


def terms_of(
    taxonomy: Taxonomy,
    ic: Floats,
    kind: str,
    a: Ints,
    b: Ints,
    s: Ints,
    distances: Callable[[Ints, Ints], Floats],
) -> Terms:
    """The terms of a kind of measure (measures.py) for synsets a and b with subsumers s.

    a, b and s broadcast to one shape. `distances` gives the edges of the shortest paths between
    synsets, inf where the second is NO_SUBSUMER.
    """
    if kind == "information":  # nothing above both: no information in common
        return {"same": a == b, "ic_a": ic[a], "ic_b": ic[b], "ic_s": np.append(ic, 0.0)[s]}
    if kind == "path":
        return {"distance": distances(a, b), "height": np.array(float(taxonomy.depth.max()))}
    return {
        "depth_s": taxonomy.depth[s] + 1.0,
        "distance_a": distances(a, s),
        "distance_b": distances(b, s),
    }
