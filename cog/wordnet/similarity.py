"""How alike two concepts are, and which of a set of seen concepts is nearest to one.

In: a taxonomy, an information content (information_content.py), indices of synsets, a measure.
Out: float64[p] for p pairs (`similarity`), one pair with its formula (`explain_pair`), the values
of all pairs of two sets in blocks (`similarity_blocks`), or for each of k concepts the best of the
seen ones with its value and the synset above both (`nearest`).

Cost: ImageNet-21K against ImageNet-1K, 21.8 million pairs, takes a fraction of a second
(benchmarks/similarity.py measures it against NLTK).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cog.errors import CogError
from cog.wordnet.information_content import require_information
from cog.wordnet.measures import SYMBOLS, Floats, Measure, Terms, find_measure, subsumer_rule
from cog.wordnet.subsumers import (
    NO_SUBSUMER,
    CommonRows,
    common_rows,
    distance_rows,
    pair_terms,
    prefer_first,
    rank_subsumers,
    subsumer_rows,
    terms_of,
)
from cog.wordnet.taxonomy import Ints, Taxonomy

_SEEN_AT_ONCE, _CONCEPTS_AT_ONCE = 1024, 512  # a matrix of float64 this large stays in the cache


@dataclass(frozen=True)
class Explanation:
    """The similarity of one pair, with everything that it comes from."""

    value: float
    a: int  # index in the taxonomy, like b and subsumer
    b: int
    subsumer: int  # −1 where nothing is above both
    rule: str  # how the subsumer was chosen, a key of RULES
    formula: str  # in symbols: 2·IC(s) / (IC(a) + IC(b))
    terms: dict[str, float]  # name → number, as the formula takes them
    note: str  # why the value is not what the formula gives, where that divides by zero; else empty
    numbers: str  # the formula with the numbers put in


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
    numbers = chosen.written.format(**{name: f"{term:.6g}" for name, term in terms.items()})
    formula, note = chosen.written.format(**SYMBOLS), chosen.note(**terms)
    value, rule = float(chosen.formula(**arrays)[0]), subsumer_rule(chosen, subsumer)
    return Explanation(value, a, b, int(subsumers[0]), rule, formula, terms, note, numbers)


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
    of_blocks = [
        _nearest_of_block(taxonomy, ic, concepts, seen[start : start + _SEEN_AT_ONCE], chosen, rule)
        for start in range(0, len(seen), _SEEN_AT_ONCE)
    ]
    best = np.argmax([value for value, _, _ in of_blocks], axis=0), np.arange(len(concepts))
    value, best_seen, above = (np.stack(column)[best] for column in zip(*of_blocks, strict=True))
    if rule == "meeting":
        _, above = pair_terms(taxonomy, ic, concepts, best_seen, chosen, subsumer)
    return Nearest(value, best_seen, above)


def similarity_blocks(
    taxonomy: Taxonomy,
    ic: Floats,
    concepts: Sequence[int] | Ints,
    others: Sequence[int] | Ints,
    measure: str | Measure = "lin",
    subsumer: str = "deepest",
) -> Iterator[tuple[slice, slice, Floats]]:
    """The similarity of each of k concepts to each of b others, in blocks of 512 by 1,024 or less.

    The same values as `similarity` has for these pairs. Yields which concepts, which others, and
    their values float64[·, ·]. Raises `CogError` like `similarity`.
    """
    chosen = find_measure(measure)
    rule = subsumer_rule(chosen, subsumer)
    concepts, others = np.asarray(concepts, np.int32), np.asarray(others, np.int32)
    if chosen.informative:
        require_information(taxonomy, ic, [*concepts, *others])
    for first in range(0, len(others), _SEEN_AT_ONCE):
        block, place = np.unique(others[first : first + _SEEN_AT_ONCE], return_inverse=True)
        rows = common_rows(taxonomy, concepts, block)
        terms_with_block = _terms_with_block(taxonomy, ic, rows, block, chosen.kind, rule)
        for start in range(0, len(concepts), _CONCEPTS_AT_ONCE):
            part = concepts[start : start + _CONCEPTS_AT_ONCE]
            terms, s = terms_with_block(part)
            values = np.broadcast_to(chosen.formula(**terms), s.shape)[:, place]
            yield slice(start, start + len(part)), slice(first, first + len(place)), values


def _nearest_of_block(
    taxonomy: Taxonomy, ic: Floats, concepts: Ints, block: Ints, measure: Measure, rule: str
) -> tuple[Floats, Ints, Ints]:
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
    return value, seen, above


def _terms_with_block(
    taxonomy: Taxonomy, ic: Floats, rows: CommonRows, block: Ints, kind: str, rule: str
) -> Callable[[Ints], tuple[Terms, Ints]]:
    """A function: k concepts → the terms with each of b seen synsets, and the subsumers, [k, b].

    The same as `pair_terms` for all these pairs. Only by "meeting" the subsumers are all −1: the
    terms need none, and `nearest` finds those of the best pairs.
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
            for own, i in zip(s, concepts.tolist(), strict=True):
                if i in rows.under:
                    is_above = np.isin(in_block, rows.under[i][0])
                    own[:] = prefer_first(taxonomy, i, own, is_above)
        return terms_of(taxonomy, ic, kind, concepts[:, None], block[None], s, distances), s

    return terms
