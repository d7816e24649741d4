"""Concepts by the names that people write."""

from __future__ import annotations

import re

from cog.errors import unknown_name
from cog.wordnet.taxonomy import Taxonomy

_NAME = re.compile(r"(.+)\.n\.(\d{1,9})")


def find_concept(taxonomy: Taxonomy, text: str) -> tuple[int, tuple[int, ...]]:
    """The synset that a text means, and the other senses of a word with several.

    `text`: a wnid (n02084071), a synset name (dog.n.01, or domestic_dog.n.01 for the same), or
    a word (dog, hot dog), which means its first sense. Raises `CogError` with the nearest names.
    """
    senses = senses_of(taxonomy, text)
    if senses:
        return senses[0], senses[1:]
    word = _as_lemma(text)
    if re.fullmatch(r"n\d+", word):  # a wnid, perhaps with a digit too few or too many
        taxonomy.index(word)  # raises
    named = _NAME.fullmatch(word)
    n_senses = len(taxonomy.lemmas.senses(named[1])) if named else 0
    names = [f"{named[1]}.n.{number:02d}" for number in range(1, n_senses + 1)] if named else []
    raise unknown_name("concept", text, names or taxonomy.lemmas.alike(word))


def senses_of(taxonomy: Taxonomy, text: str) -> tuple[int, ...]:
    """All that a text can mean: the synset of a wnid or a name, all senses of a word, or none."""
    word = _as_lemma(text)
    if word in taxonomy.index_of:
        return (taxonomy.index_of[word],)
    named = _NAME.fullmatch(word)
    if not named:
        return taxonomy.lemmas.senses(word)
    senses, number = taxonomy.lemmas.senses(named[1]), int(named[2])
    return senses[number - 1 : number] if number else ()


def _as_lemma(text: str) -> str:
    return re.sub(r"\s+", "_", text.strip().lower())
