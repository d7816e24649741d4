"""Pairs of synsets: what the formula of a measure is given for them, and the formula in words.

In: a taxonomy, an information content, positions a and b. Out: terms (measures.py) as arrays [p]
with the subsumers, or for one pair an `Explanation`.
The ancestors of each synset are a set; the subsumer is the best of those in common. Some
microseconds a pair; for all pairs of two large sets see rows.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.wordnet.information_content import require_information
from cog.wordnet.measures import (
    INFINITE,
    Floats,
    Measure,
    Terms,
    find_measure,
    jcn,
    lin,
    subsumer_rule,
)
from cog.wordnet.subsumers import NO_SUBSUMER, rank_subsumers
from cog.wordnet.taxonomy import Taxonomy

Ints = NDArray[np.int32]
SYMBOLS = {
    "ic_a": "IC(a)",
    "ic_b": "IC(b)",
    "ic_s": "IC(s)",
    "distance": "edges(a, b)",
    "height": "height",
    "depth_s": "depth(s)",
    "distance_a": "edges(a, s)",
    "distance_b": "edges(b, s)",
}


@dataclass(frozen=True)
class Explanation:
    """The similarity of one pair, with everything that it comes from."""

    a: int
    """position in the taxonomy, like b and subsumer"""
    b: int
    subsumer: int
    """−1 where nothing is above both"""
    rule: str
    """how the subsumer was chosen: a rule of SUBSUMERS, "meeting" or "min-depth" """
    value: float
    terms: dict[str, float]
    """name → number, as the formula takes them"""
    formula: str
    """in symbols: 2·IC(s) / (IC(a) + IC(b))"""
    numbers: str
    """the same with the numbers put in"""
    note: str = ""
    """why the value is not what the formula gives, where it divides by zero or says nothing"""


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
    value = float(chosen.formula(**arrays)[0])
    return Explanation(
        a,
        b,
        int(subsumers[0]),
        subsumer_rule(chosen, subsumer),
        value,
        terms,
        chosen.written.format(**SYMBOLS),
        chosen.written.format(**{name: f"{number:.6g}" for name, number in terms.items()}),
        _exception(chosen, value, terms),
    )


def _exception(measure: Measure, value: float, terms: dict[str, float]) -> str:
    """Why a value is not the one that the formula gives."""
    if value == INFINITE:
        return "infinite: nothing tells them apart"
    if measure.formula is jcn and 0 in (terms["ic_a"], terms["ic_b"]):
        return "0 by NLTK's rule: one is a root, which says nothing"
    if measure.formula is lin and terms["ic_a"] + terms["ic_b"] == 0:
        return "0, for both are roots, which say nothing"
    return ""


def pair_terms(
    taxonomy: Taxonomy,
    ic: Floats,
    a: Sequence[int] | Ints,
    b: Sequence[int] | Ints,
    measure: Measure,
    subsumer: str = "deepest",
) -> tuple[Terms, Ints]:
    """What a formula is given for p pairs, each [p], and their subsumers int32[p]."""
    rule = subsumer_rule(measure, subsumer)
    a, b = np.asarray(a, np.int32), np.asarray(b, np.int32)
    if measure.kind == "information":
        require_information(taxonomy, ic, [*a, *b])
    ways = taxonomy.ways_up([*a, *b])
    s = _pair_subsumers(taxonomy, ic, a, b, ways, rule)
    if measure.kind == "information":
        ic_s = np.append(ic, 0.0)[s]  # nothing above both: no information in common
        return {"same": a == b, "ic_a": ic[a], "ic_b": ic[b], "ic_s": ic_s}, s
    if measure.kind == "path":
        distance = _distances(a, s, ways) + _distances(b, s, ways)
        return {"distance": distance, "height": height(taxonomy)}, s
    return {
        "depth_s": taxonomy.depth[s] + 1.0,
        "distance_a": _distances(a, s, ways),
        "distance_b": _distances(b, s, ways),
    }, s


def height(taxonomy: Taxonomy) -> Floats:
    """The depth of the deepest synset, as a scalar array."""
    return np.array(float(taxonomy.depth.max()))


def _pair_subsumers(
    taxonomy: Taxonomy, ic: Floats, a: Ints, b: Ints, ways: dict[int, dict[int, int]], rule: str
) -> Ints:
    order = rank_subsumers(taxonomy, ic, np.fromiter(ways, np.int32), rule)
    rank = {i: place for place, i in enumerate(order.tolist())}

    def choose(x: int, y: int) -> int:
        common = ways[x].keys() & ways[y].keys()
        if rule == "meeting":
            return max(
                common, key=lambda i: (-ways[x][i] - ways[y][i], rank[i]), default=NO_SUBSUMER
            )
        best = max(common, key=rank.__getitem__, default=NO_SUBSUMER)
        if (
            rule == "min-depth"
            and x in common
            and taxonomy.min_depth[x] == taxonomy.min_depth[best]
        ):
            return x  # NLTK prefers the first of the pair among equals
        return best

    return np.array([choose(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)], np.int32)


def _distances(a: Ints, b: Ints, ways: dict[int, dict[int, int]]) -> Floats:
    """Edges of the shortest way from a to b through a synset above both; inf if there is none."""

    def distance(x: int, y: int) -> float:
        if y == NO_SUBSUMER:
            return np.inf
        common = ways[x].keys() & ways[y].keys()
        return min((float(ways[x][i] + ways[y][i]) for i in common), default=np.inf)

    return np.array([distance(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)])
