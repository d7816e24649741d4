"""How alike two concepts are, and which of a set of seen concepts is nearest to one.

In: a taxonomy, an information content (information.py), positions of synsets, a measure's name.
Out: float64[p] for p pairs (`similarity`), or for each of k concepts the best of the seen ones
with its value and the synset above both (`nearest`).

- The subsumer s of a pair is chosen among all synsets above both. For lin, resnik and jcn:
  "deepest" takes the greatest `max_depth`, ties the first by name (NLTK's
  `lowest_common_hypernyms()[0]`; the benchmark's rule); "most-informative" the greatest
  information content (NLTK's rule for these measures). The others choose as NLTK does: path and
  lch where the shortest way turns, wup by the greatest `min_depth`.
- Pairs: ancestors as sets, the best of those in common, then the formula on whole arrays.
- A concept against a set: rows.py gives the subsumers and distances to all seen synsets as whole
  matrices, then the formula, then its maximum. Equal rows are computed once.
- Ties go to the seen synset that is first by wnid.

Cost: ImageNet-21K against ImageNet-1K, 21.8 million pairs, takes a fraction of a second
(benchmarks/similarity.py measures it against NLTK).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.wordnet.information_content import information_content as information_content
from cog.wordnet.information_content import require_information
from cog.wordnet.measures import MEASURES as MEASURES
from cog.wordnet.measures import SUBSUMERS as SUBSUMERS
from cog.wordnet.measures import Floats, Measure, Terms, find_measure, subsumer_rule
from cog.wordnet.pairs import height, pair_terms
from cog.wordnet.subsumers import (
    NO_SUBSUMER,
    CommonRows,
    common_rows,
    distance_rows,
    rank_subsumers,
    subsumer_rows,
)
from cog.wordnet.taxonomy import Taxonomy

Ints = NDArray[np.int32]

_SEEN_AT_ONCE, _CONCEPTS_AT_ONCE = 1024, 512  # a matrix of float64 this large stays in the cache


@dataclass(frozen=True)
class Nearest:
    """The best of the seen synsets for each of k concepts."""

    value: Floats
    """[k], the similarity"""
    seen: Ints
    """[k], position in the taxonomy"""
    subsumer: Ints
    """[k], position in the taxonomy; −1 where nothing is above both"""


def similarity(
    taxonomy: Taxonomy,
    ic: Floats,
    a: Sequence[int] | Ints,
    b: Sequence[int] | Ints,
    measure: str | Measure = "lin",
    subsumer: str = "deepest",
) -> Floats:
    """The similarity of p pairs of synsets; float64[p].

    `ic` float64[n]; `a`, `b` positions [p]. `subsumer` matters for lin, resnik and jcn alone.
    Raises `CogError` for an unknown measure or rule, or a synset that `ic` knows nothing of.
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

    `ic` float64[n]; `concepts` [k] and `seen` are positions. The concept is the first of the pair.
    Raises `CogError` like `similarity`, and when `seen` is empty.
    """
    chosen = find_measure(measure)
    rule = subsumer_rule(chosen, subsumer)
    concepts, seen = np.asarray(concepts, np.int32), np.unique(np.asarray(seen, np.int32))
    if not len(seen):
        raise CogError("expected at least one seen concept, found none", "give a list of wnids")
    if chosen.kind == "information":
        require_information(taxonomy, ic, [*concepts, *seen])
    blocks = (seen[start : start + _SEEN_AT_ONCE] for start in range(0, len(seen), _SEEN_AT_ONCE))
    best = reduce(
        _better,
        (_nearest_of_block(taxonomy, ic, concepts, block, chosen, rule) for block in blocks),
    )
    if rule == "meeting":
        _, turns = pair_terms(taxonomy, ic, concepts, best.seen, chosen, subsumer)
        return Nearest(best.value, best.seen, turns)
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
    informative = measure.kind == "information"
    own = ic[concepts] if informative else np.zeros(len(concepts))
    alike = np.stack([rows.row[concepts], rows.lift[concepts], own])
    _, first, group = np.unique(alike, axis=1, return_index=True, return_inverse=True)
    terms_of = _TERMS[measure.kind](taxonomy, ic, rows, block, rule)
    parts = []
    for start in range(0, max(1, len(first)), _CONCEPTS_AT_ONCE):
        part = concepts[first[start : start + _CONCEPTS_AT_ONCE]]
        terms, s = terms_of(part)
        values = np.broadcast_to(measure.formula(**terms), s.shape)
        best = (np.arange(len(part)), values.argmax(axis=1))  # the first of equals: block is sorted
        parts.append((values[best], block[best[1]], s[best]))
    value, seen, above = (np.concatenate(column)[group] for column in zip(*parts, strict=True))
    return Nearest(value, seen, above)


# What pairs.pair_terms gives for pairs, for all pairs of concepts [k] with a block of seen synsets
# [b]: terms that broadcast to [k, b], and subsumers [k, b]. One function for each kind of measure.
Matrices = Callable[[Ints], tuple[Terms, Ints]]


def _information_matrices(
    taxonomy: Taxonomy, ic: Floats, rows: CommonRows, block: Ints, rule: str
) -> Matrices:
    order = rank_subsumers(taxonomy, ic, rows.columns, rule)
    subsumers = subsumer_rows(taxonomy, rows, order)[:, np.searchsorted(rows.columns, block)]
    ic_of_subsumers = np.append(ic, 0.0)[subsumers]

    def matrices(concepts: Ints) -> tuple[Terms, Ints]:
        row = rows.row[concepts]
        terms = {
            "same": concepts[:, None] == block,
            "ic_a": ic[concepts, None],
            "ic_b": ic[None, block],
            "ic_s": ic_of_subsumers[row],
        }
        return terms, subsumers[row]

    return matrices


def _path_matrices(
    taxonomy: Taxonomy, ic: Floats, rows: CommonRows, block: Ints, rule: str
) -> Matrices:
    distances = distance_rows(taxonomy, rows)[:, np.searchsorted(rows.columns, block)]

    def matrices(concepts: Ints) -> tuple[Terms, Ints]:
        distance = distances[rows.row[concepts]] + rows.lift[concepts, None]
        none = np.full(distance.shape, NO_SUBSUMER, np.int32)  # found for the best pairs, later
        return {"distance": distance, "height": height(taxonomy)}, none

    return matrices


def _depth_matrices(
    taxonomy: Taxonomy, ic: Floats, rows: CommonRows, block: Ints, rule: str
) -> Matrices:
    places = np.searchsorted(rows.columns, block)
    order = rank_subsumers(taxonomy, ic, rows.columns, rule)
    subsumers = subsumer_rows(taxonomy, rows, order)[:, places]
    distances = np.pad(distance_rows(taxonomy, rows), ((0, 0), (0, 1)), constant_values=np.inf)
    seen_rows = rows.row[block]

    def matrices(concepts: Ints) -> tuple[Terms, Ints]:
        s = subsumers[rows.row[concepts]]
        for at, i in enumerate(concepts.tolist()):  # NLTK prefers the concept itself among equals
            if i in rows.under:
                below = np.isin(places, rows.under[i][0])
                s[at, below & (taxonomy.min_depth[s[at]] == taxonomy.min_depth[i])] = i
        column = np.where(s == NO_SUBSUMER, -1, np.searchsorted(rows.columns, s))
        row, lift = rows.row[concepts, None], rows.lift[concepts, None]
        return {
            "depth_s": taxonomy.depth[s] + 1.0,
            "distance_a": distances[row, column] + lift,
            "distance_b": distances[seen_rows, column],
        }, s

    return matrices


_TERMS = {"information": _information_matrices, "path": _path_matrices, "depth": _depth_matrices}
