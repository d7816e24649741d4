"""Concepts and sets of concepts as people write them.

In: a text (a concept, a file of concepts, a bundled list). Out: a `Side` of a comparison.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cog.errors import CogError
from cog.wordnet.concept_lists import BUNDLED, read_names, read_wnids
from cog.wordnet.names import find_concept, senses_of
from cog.wordnet.taxonomy import Taxonomy


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    text: str  # what the user wrote
    concepts: tuple[int, ...]  # indices in the taxonomy, each once
    is_set: bool
    notes: tuple[str, ...]  # what the user did not say, such as which sense of a word we took


def read_side(taxonomy: Taxonomy, text: str) -> Side:
    """A bundled list (in1k, in21k, official, excluded), a file of concepts, or one concept.

    A file (read by `read_names`) holds a concept a line: a wnid, a synset name or a word. Raises
    `CogError` for an unknown name, for an empty file, and for the name of a file that is not there.
    """
    if text in BUNDLED:
        return set_of(taxonomy, text, read_wnids(text))
    if Path(text).is_file():
        side = set_of(taxonomy, text, read_names(Path(text)))
        if senses_of(taxonomy, text):
            note = f"{text}: took the file of this name; for the word, give its wnid"
            return replace(side, notes=(note, *side.notes))
        return side
    if _looks_like_a_file(text) and not senses_of(taxonomy, text):
        found = "is a folder, not a file" if Path(text).is_dir() else "does not exist"
        raise CogError(
            f"expected a file of concepts, but {text!r} {found}",
            "give a file with one wnid, synset name or word a line",
        )
    concept, others = find_concept(taxonomy, text)
    if not others:
        return Side(text, (concept,), False, ())
    note = (
        f"{text}: took its first sense, {taxonomy.names[concept]} ({taxonomy.wnids[concept]});"
        f" others: {', '.join(taxonomy.names[other] for other in others)}"
    )
    return Side(text, (concept,), False, (note,))


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
            raise CogError(what + _some(unknown, 3), f"for {unknown[0]}: {error.hint}") from error
    doubtful = [name for name in names if found[name][1:]]
    notes: tuple[str, ...] = ()
    if doubtful:
        several = f"{len(doubtful)} words have several senses, took the first"
        notes = (f"{text}: {several}: {_some(doubtful, 5)}",)
    concepts = dict.fromkeys(senses[0] for senses in found.values())
    return Side(text, tuple(concepts), True, notes)


def _some(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _looks_like_a_file(text: str) -> bool:
    return "/" in text or bool(re.search(r"\.[a-z]{2,5}$", text.strip().lower()))
