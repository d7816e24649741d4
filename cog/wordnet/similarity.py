"""How alike two concepts are, and which of a set of seen concepts is nearest to one.

In: a taxonomy, an information content (information_content.py), indices of synsets, a measure.
Out: float64[p] for p pairs (`similarity`), or for each of k concepts the best of the seen ones
with its value and the synset above both (`nearest`).

- The subsumer s of a pair is one of the synsets above both. For measures by information content,
  "deepest" takes the greatest `max_depth`, ties the first by name (NLTK's
  `lowest_common_hypernyms()[0]`; the benchmark's rule); "most-informative" takes the greatest
  information content (NLTK's rule for these measures). The other kinds choose as NLTK does: by
  the shortest path between a and b ("path"), or by the greatest `min_depth` ("depth").
- Pairs: ancestors as sets, the best of those in common, then the formula on whole arrays.
- A concept against a set: subsumers.py gives the subsumers and distances to all seen synsets as
  whole matrices, then comes the formula, then its maximum. Equal rows are computed once.
- Both share the order of subsumers, NLTK's exception (subsumers.py) and the terms (`terms_of` in
  pairs.py). They differ in how they find what two synsets have in common: as sets for a pair, as
  rows for a set: microseconds against nanoseconds a pair. Tests compare them bit by bit.
- Ties go to the seen synset that is first by wnid.

Cost: ImageNet-21K against ImageNet-1K, 21.8 million pairs, takes a fraction of a second
(benchmarks/similarity.py measures it against NLTK).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from cog.errors import CogError
from cog.wordnet.information_content import require_information
from cog.wordnet.measures import Floats, Measure, Terms, find_measure, subsumer_rule
from cog.wordnet.pairs import pair_terms, terms_of
from cog.wordnet.subsumers import (
    NO_SUBSUMER,
    CommonRows,
    common_rows,
    distance_rows,
    prefer_first,
    rank_subsumers,
    subsumer_rows,
)
from cog.wordnet.taxonomy import Ints, Taxonomy

_SEEN_AT_ONCE, _CONCEPTS_AT_ONCE = 1024, 512  # a matrix of float64 this large stays in the cache


@dataclass(frozen=True)
class Nearest:
    """The best of the seen synsets for each of k concepts."""

    value: Floats  # [k], the similarity
    seen: Ints  # [k], index in the taxonomy
    subsumer: Ints  # [k], index in the taxonomy; −1 where nothing is above both


def similarity(
    taxonomy: Taxonomy,
    ic: Floats,
    a: Sequence[int] | Ints,
    b: Sequence[int] | Ints,
    measure: str | Measure = "lin",
    subsumer: str = "deepest",
) -> Floats:
    """The similarity of p pairs of synsets; float64[p].

    `ic` float64[n]; `a`, `b` indices [p]. `subsumer` matters for measures by information content.
    Raises `CogError` for an unknown measure or rule, and for a synset with an infinite `ic`.
    """
    chosen = find_measure(measure)
    terms, _ = pair_terms(taxonomy, ic, a, b, chosen, subsumer)
    return chosen.formula(**terms)


def nearest(
    taxonomy: Taxonomy,
    ic: Floats,
    concepts: Sequence[int] | Ints,
    seen: Sequence[int] | Ints,
    measure: str | Measure = "lin",
    subsumer: str = "deepest",
) -> Nearest:
    """For each of k concepts the seen synset most similar to it; ties: the first by wnid.

    `ic` float64[n]; `concepts` [k] and `seen` are indices. The concept is the first of the pair.
    Raises `CogError` like `similarity`, and when `seen` is empty.
    """
    chosen = find_measure(measure)
    rule = subsumer_rule(chosen, subsumer)
    concepts, seen = np.asarray(concepts, np.int32), np.unique(np.asarray(seen, np.int32))
    if not len(seen):
        raise CogError("expected at least one seen concept, found none", "give a list of wnids")
    if chosen.informative:
        require_information(taxonomy, ic, [*concepts, *seen])
    blocks = (seen[start : start + _SEEN_AT_ONCE] for start in range(0, len(seen), _SEEN_AT_ONCE))
    best = reduce(
        _better,
        (_nearest_of_block(taxonomy, ic, concepts, block, chosen, rule) for block in blocks),
    )
    if rule == "meeting":
        _, above = pair_terms(taxonomy, ic, concepts, best.seen, chosen, subsumer)
        return Nearest(best.value, best.seen, above)
    return best


def _better(first: Nearest, second: Nearest) -> Nearest:
    """The better of two for each concept; the first where they are equal."""
    later = second.value > first.value
    return Nearest(
        np.where(later, second.value, first.value),
        np.where(later, second.seen, first.seen),
        np.where(later, second.subsumer, first.subsumer),
    )


def _nearest_of_block(
    taxonomy: Taxonomy, ic: Floats, concepts: Ints, block: Ints, measure: Measure, rule: str
) -> Nearest:
    """`nearest` for some of the seen synsets; concepts with equal terms are computed once."""
    rows = common_rows(taxonomy, concepts, block)
    own = ic[concepts] if measure.informative else np.zeros(len(concepts))
    alike = np.stack([rows.row[concepts], rows.lift[concepts], own])
    _, first, group = np.unique(alike, axis=1, return_index=True, return_inverse=True)
    terms_with_block = _terms_with_block(taxonomy, ic, rows, block, measure.kind, rule)
    parts = []
    for start in range(0, max(1, len(first)), _CONCEPTS_AT_ONCE):
        part = concepts[first[start : start + _CONCEPTS_AT_ONCE]]
        terms, s = terms_with_block(part)
        values = np.broadcast_to(measure.formula(**terms), s.shape)
        best = (np.arange(len(part)), values.argmax(axis=1))  # the first of equals: block is sorted
        parts.append((values[best], block[best[1]], s[best]))
    value, seen, above = (np.concatenate(column)[group] for column in zip(*parts, strict=True))
    return Nearest(value, seen, above)


def _terms_with_block(
    taxonomy: Taxonomy, ic: Floats, rows: CommonRows, block: Ints, kind: str, rule: str
) -> Callable[[Ints], tuple[Terms, Ints]]:
    """A function: k concepts → the terms with each of b seen synsets, and the subsumers, [k, b].

    The same as `pair_terms` for all these pairs, but for "meeting", where no subsumer is looked
    for: its terms need none, and `nearest` finds those of the best pairs.
    """
    in_block = np.searchsorted(rows.columns, block)
    if rule == "meeting":
        subsumers = np.full((len(rows.owners), len(block)), NO_SUBSUMER, np.int32)
    else:
        order = rank_subsumers(taxonomy, ic, rows.columns, rule)
        subsumers = subsumer_rows(taxonomy, rows, order)[:, in_block]
    if kind != "information":
        edges = np.pad(distance_rows(taxonomy, rows), ((0, 0), (0, 1)), constant_values=np.inf)
        column = np.full(len(taxonomy) + 1, -1, np.int32)  # of each synset; NO_SUBSUMER: the inf
        column[rows.columns] = np.arange(len(rows.columns))

    def distances(one: Ints, other: Ints) -> Floats:
        return edges[rows.row[one], column[other]] + rows.lift[one]

    def terms(concepts: Ints) -> tuple[Terms, Ints]:
        s = subsumers[rows.row[concepts]]
        if rule == "min-depth":
            for at, i in enumerate(concepts.tolist()):
                if i in rows.under:
                    is_above = np.isin(in_block, rows.under[i][0])
                    s[at] = prefer_first(taxonomy, i, s[at], is_above)
        return terms_of(taxonomy, ic, kind, concepts[:, None], block[None], s, distances), s

    return terms
