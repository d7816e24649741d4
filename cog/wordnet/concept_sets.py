"""Concepts and sets of concepts as people write them, and how alike two of them are.

In: texts (a concept, a file of concepts, a bundled list). Out: a `Side` of each, and from two a
`Comparison`: one pair with its explanation, or how near two sets are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cog.errors import CogError
from cog.wordnet.concept_lists import BUNDLED, read_names, read_wnids
from cog.wordnet.information_content import load_information
from cog.wordnet.measures import INFINITE, Floats, find_measure
from cog.wordnet.names import find_concept, senses_of
from cog.wordnet.similarity import Explanation, Nearest, explain_pair, nearest
from cog.wordnet.synset_table import is_table, read_synsets
from cog.wordnet.taxonomy import Taxonomy


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    text: str  # what the user wrote
    concepts: tuple[int, ...]  # indices in the taxonomy, each once
    is_set: bool
    notes: tuple[str, ...]  # what the user did not say, such as which sense of a word we took


@dataclass(frozen=True)
class Spread:
    """How values are distributed; all but the two counts leave out the infinite values."""

    count: int
    infinite: int
    mean: float | None = None  # None if all are infinite
    quartiles: tuple[float, ...] = ()  # minimum, 25 %, median, 75 %, maximum
    edges: tuple[float, ...] = ()  # [bins + 1]
    histogram: tuple[int, ...] = ()  # [bins]; one bin if all values are equal


@dataclass(frozen=True)
class Comparison:
    """What `compare_sides` finds: a pair, or two spreads."""

    added: tuple[int, ...]  # concepts that the corpus did not have
    pair: Explanation | None = None  # of two concepts, or of one and its nearest in a set
    nearest_in: Side | None = None  # the set that `pair.b` is from, if there is one
    spreads: tuple[tuple[Side, Side, Spread], ...] = ()  # (from, to, the best matches)
    matches: tuple[Nearest, ...] = ()  # the best match of each member of `from`, a spread each


def read_side(taxonomy: Taxonomy, text: str) -> Side:
    """A bundled list (in1k, in21k, official, excluded), a file of concepts, or one concept.

    A file (read by `read_names`) holds a concept a line: a wnid, a synset name or a word; or it is
    a table of synsets, for whose errors see `read_synsets`. Raises `CogError` for an unknown name,
    for an empty file, and for the name of a file that is not there.
    """
    if text in BUNDLED:
        return set_of(taxonomy, text, read_wnids(text))
    is_known = bool(senses_of(taxonomy, text))
    if Path(text).is_file():
        side = _side_of_file(taxonomy, text)
        note = f"{text}: took the file of this name; for the word, give its wnid"
        return replace(side, notes=(note, *side.notes)) if is_known else side
    if not is_known and ("/" in text or re.search(r"\.[a-z]{2,5}$", text.strip().lower())):
        found = "is a folder, not a file" if Path(text).is_dir() else "does not exist"
        raise CogError(
            f"expected a file of concepts, but {text!r} {found}",
            "give a file with one wnid, synset name or word a line",
        )
    concept, others = find_concept(taxonomy, text)
    note = (
        f"{text}: took its first sense, {taxonomy.names[concept]} ({taxonomy.wnids[concept]});"
        f" others: {', '.join(taxonomy.names[other] for other in others)}"
    )
    return Side(text, (concept,), False, (note,) if others else ())


def _side_of_file(taxonomy: Taxonomy, text: str) -> Side:
    """The set of the concepts in a file, whose path is `text`."""
    if not is_table(Path(text)):
        return set_of(taxonomy, text, read_names(Path(text)))
    table = read_synsets(text, taxonomy)
    return Side(text, tuple(dict.fromkeys(table.synsets.tolist())), True, table.notes)


def set_of(taxonomy: Taxonomy, text: str, names: Sequence[str]) -> Side:
    """The set of the concepts `names`; `text` is what messages call it.

    Raises `CogError` that counts the unknown names, and where there is no name.
    """
    if not names:
        raise CogError(f"no concept in {text!r}", "give one concept a line, as in n02084071")
    found = {name: senses_of(taxonomy, name) for name in names}
    unknown = [name for name in names if not found[name]]
    if unknown:
        try:
            find_concept(taxonomy, unknown[0])
        except CogError as error:
            what = f"{len(unknown)} of the {len(names)} concepts in {text} are unknown: "
            raise CogError(what + some(unknown, 3), f"for {unknown[0]}: {error.hint}") from error
    doubtful = [name for name in names if found[name][1:]]
    several = f"{len(doubtful)} words have several senses, took the first: {some(doubtful, 5)}"
    concepts = dict.fromkeys(senses[0] for senses in found.values())
    return Side(text, tuple(concepts), True, (f"{text}: {several}",) if doubtful else ())


def some(names: Sequence[str], most: int) -> str:
    """The first `most` names, and … for the rest."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def compare_sides(
    taxonomy: Taxonomy,
    left: Side,
    right: Side,
    measure: str = "lin",
    subsumer: str = "deepest",
    corpus: str = "imagenet",
    known: Floats | None = None,
) -> Comparison:
    """How alike two sides are; raises `CogError` as `load_information` and `nearest` do.

    `known`: the information content of `corpus` where the caller has it, float64[n]; it is used if
    the corpus has all concepts.
    """
    chosen = find_measure(measure)
    ic, added = np.zeros(len(taxonomy)), tuple[int, ...]()  # enough for measures by edges
    if chosen.informative:
        concepts = left.concepts + right.concepts
        if known is not None and np.isfinite(known[list(concepts)]).all():
            ic = known
        else:
            ic, added = load_information(taxonomy, corpus, concepts)
    if left.is_set and right.is_set:
        sides = (left, right), (right, left)
        matches = tuple(nearest(taxonomy, ic, one.concepts, other.concepts, chosen, subsumer)
                        for one, other in sides)  # fmt: skip
        spreads = tuple((one, other, spread(best.value))
                        for (one, other), best in zip(sides, matches, strict=True))  # fmt: skip
        return Comparison(added, spreads=spreads, matches=matches)
    one, other = (right, left) if left.is_set else (left, right)
    a, b = one.concepts[0], other.concepts[0]
    if other.is_set:
        b = int(nearest(taxonomy, ic, [a], other.concepts, chosen, subsumer).seen[0])
    pair = explain_pair(taxonomy, ic, a, b, chosen, subsumer)
    return Comparison(added, pair, other if other.is_set else None)


def spread(values: Floats, bins: int = 10) -> Spread:
    """How `values` are distributed.

    >>> spread(np.array([0.0, 1.0, 1.0, 2.0, INFINITE]), bins=2)  # doctest: +ELLIPSIS
    Spread(count=5, infinite=1, mean=1.0, quartiles=(0.0, 0.75, 1.0, 1.25, 2.0), ...
    """
    finite = values[np.abs(values) < INFINITE]
    infinite = len(values) - len(finite)
    if not len(finite):
        return Spread(len(values), infinite)
    quartiles = tuple(np.quantile(finite, (0, 0.25, 0.5, 0.75, 1)).tolist())
    low, high = quartiles[0], quartiles[-1]
    counts, edges = np.histogram(finite, bins if low < high else [low, high])
    histogram = tuple(edges.tolist()), tuple(counts.tolist())
    return Spread(len(values), infinite, float(finite.mean()), quartiles, *histogram)
