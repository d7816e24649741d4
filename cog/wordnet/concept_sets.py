"""Concepts and sets of concepts as people write them, and how a set of similarities is spread.

In: a text (a concept, a file of concepts, a bundled list). Out: a `Side` of a comparison. In:
similarities. Out: their `Spread`: quartiles, mean, histogram.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.recipe import WNID
from cog.wordnet.concept_lists import BUNDLED, read_wnids
from cog.wordnet.measures import INFINITE
from cog.wordnet.names import find_concept, senses_of
from cog.wordnet.taxonomy import Taxonomy


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    text: str
    """what the user wrote"""
    concepts: tuple[int, ...]
    """positions in the taxonomy, each once"""
    is_set: bool
    notes: tuple[str, ...]
    """choices made for the user: the senses of ambiguous words"""


@dataclass(frozen=True)
class Spread:
    """How values are spread; `infinite` of them (jcn of equal information, lch where no way leads)
    are counted and otherwise left out."""

    count: int
    infinite: int
    mean: float | None
    """None if all are infinite"""
    quartiles: tuple[float, ...]
    """minimum, 25 %, median, 75 %, maximum, linearly between values; empty if all are infinite"""
    edges: tuple[float, ...]
    """[bins + 1]"""
    histogram: tuple[int, ...]
    """[bins]"""


def read_side(taxonomy: Taxonomy, text: str) -> Side:
    """A bundled list (in1k, in21k, official, excluded), a file of concepts, or one concept.

    A file holds a concept a line: a wnid, a synset name or a word; of a CSV the column `wnid`,
    or else the first. Raises `CogError` for a name that is unknown, for an empty file, and for
    what looks like a file and is none.
    """
    if text in BUNDLED:
        return set_of(taxonomy, text, read_wnids(text))
    if Path(text).is_file():
        side = set_of(taxonomy, text, _read_file(Path(text)))
        if senses_of(taxonomy, text):
            note = f"{text}: took the file of this name, not the word; for that, give its wnid"
            return replace(side, notes=(note, *side.notes))
        return side
    if _looks_like_a_file(text) and not senses_of(taxonomy, text):
        found = "is a folder, not a file" if Path(text).is_dir() else "is not there"
        raise CogError(
            f"expected a file of concepts, but {text!r} {found}",
            "give a file with one wnid, synset name or word a line",
        )
    concept, others = find_concept(taxonomy, text)
    notes = (_sense_note(taxonomy, text, concept, others),) if others else ()
    return Side(text, (concept,), False, notes)


def set_of(taxonomy: Taxonomy, text: str, names: Sequence[str]) -> Side:
    """The set of the concepts that `names` mean; `text` is what to call it.

    Raises `CogError` that says how many of them are unknown.
    """
    found = [senses_of(taxonomy, name) for name in names]
    unknown = [name for name, senses in zip(names, found, strict=True) if not senses]
    if unknown:
        try:
            find_concept(taxonomy, unknown[0])
        except CogError as error:
            what = f"{len(unknown)} of the {len(names)} concepts in {text} are unknown: "
            listed = ", ".join(unknown[:3]) + (", …" if unknown[3:] else "")
            raise CogError(what + listed, f"for {unknown[0]}: {error.hint}") from error
    doubtful = [name for name, senses in zip(names, found, strict=True) if senses[1:]]
    notes: tuple[str, ...] = ()
    if doubtful:
        listed = ", ".join(doubtful[:5]) + (", …" if len(doubtful) > 5 else "")
        notes = (f"{text}: {len(doubtful)} words have several senses, took the first: {listed}",)
    return Side(text, tuple(dict.fromkeys(senses[0] for senses in found)), True, notes)


def _looks_like_a_file(text: str) -> bool:
    return "/" in text or bool(re.search(r"\.[a-z]{2,5}$", text.strip().lower()))


def _sense_note(taxonomy: Taxonomy, text: str, concept: int, others: Iterable[int]) -> str:
    listed = ", ".join(taxonomy.names[other] for other in others)
    return (
        f"{text}: took its first sense, {taxonomy.names[concept]} ({taxonomy.wnids[concept]});"
        f" others: {listed}"
    )


def _read_file(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CogError(
            f"cannot read {str(path)!r} as a list of concepts: {error}",
            "give a text file with one wnid, synset name or word a line",
        ) from error
    rows = list(csv.reader(line for line in lines if line.strip() and not line.startswith("#")))
    column = 0
    if rows and "wnid" in rows[0]:
        column = rows[0].index("wnid")
        rows = rows[1:]
    names = [row[column].strip() for row in rows if len(row) > column]
    if not names:
        raise CogError(f"no concept in {str(path)!r}", "give one concept a line, as in n02084071")
    return [name.split()[0] if WNID.match(name.lower()) else name for name in names]


def spread(values: NDArray[np.float64], bins: int = 10) -> Spread:
    """How `values` (at least one) are spread.

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


def _histogram(values: NDArray[np.float64], bins: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """(counts, edges); one bin if all values are equal, none if there are none."""
    if not len(values):
        return (), ()
    if values.min() == values.max():
        return (len(values),), (float(values[0]),) * 2
    counts, edges = np.histogram(values, bins)
    return tuple(counts.tolist()), tuple(edges.tolist())
