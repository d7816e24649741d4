"""What a class name may mean: the noun synsets that its words have, as people spell them.

In: a taxonomy, the name of a class. Out: its readings, each a synset and the way that led to it.
The ways are tried in the order of `WAYS`; the first that finds a synset is taken. To what a whole
name means, what it means with one more word is added, and trusted less. The rules for plurals are
those of WordNet's manual page morphy(7WN); of its 2,054 exceptions for nouns only a few are here.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from cog.wordnet.names import senses_of
from cog.wordnet.taxonomy import Taxonomy

WAYS = {  # way → what it says of a synset, and how far it is trusted before the set has voted
    "given": ("the name is a wnid, an offset or a synset name", 1.0),
    "lemma": ("the name is one of the synset's words", 1.0),
    "spelling": ("the same but for hyphens, spaces, accents and capitals", 1.0),
    "plural": ("the same in the singular or in the plural", 1.0),
    "hint": ("a word and a hint: crane (bird), crane bird; the synset lies below the hint", 1.0),
    "derived": ("the noun of an adjective: stripe for striped", 0.5),
    "longer": ("the name and more words: Persian cat for Persian", 0.35),
    "head": ("a part of the name, which means more: bulldog for American bulldog", 0.5),
}
_SUFFIXES = (
    ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
    ("men", "man"), ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("oes", "o"),
)  # fmt: skip
_IRREGULAR = {
    "cacti": "cactus", "children": "child", "dice": "die", "feet": "foot", "fungi": "fungus",
    "geese": "goose", "larvae": "larva", "lice": "louse", "mice": "mouse", "octopi": "octopus",
    "oxen": "ox", "teeth": "tooth",
}  # fmt: skip
_ADJECTIVES = (
    ("ed", ""), ("ed", "e"), ("y", ""), ("y", "e"), ("ly", "le"), ("like", ""),
)  # fmt: skip
_WNID = re.compile(r"n?(\d{8})(?:[-_. ].*)?", re.IGNORECASE)
_NUMBER = re.compile(r"\d+[-_. ]+(?=\D)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_HINT = re.compile(r"(.*\S)\s*[(\[]([^()\[\]]+)[)\]]\s*")
_SEVERAL = re.compile(r"\s*[,;/]\s*|\s+or\s+")
_AFTER_HEAD = re.compile(r"\s(?:of|with|in|on|for|from|to)\s")


@dataclass(frozen=True)
class Reading:
    """A synset that a name may mean."""

    synset: int  # index in the taxonomy
    way: str  # a key of WAYS
    sense: int = 1  # which sense of the word it is; WordNet has the commonest first


class Vocabulary:
    """The words of a taxonomy, found by their letters and digits alone."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        """Sort the words by their keys; 0.3 s for WordNet."""
        self.taxonomy = taxonomy
        words = [(_key(word), word) for word in taxonomy.lemmas.words]
        self._forward = sorted(words)
        self._backward = sorted((key[::-1], word) for key, word in words)

    def readings(self, name: str) -> tuple[Reading, ...]:
        """What a name may mean, each synset once; none if no rule finds a noun.

        A name of several parts, as in "tench, Tinca tinca", means what most of its parts mean.
        """
        given = self._given(name)
        if given:
            return given
        parts = [part for part in _SEVERAL.split(_plain(name)) if _key(part)]
        of_parts = [found for part in parts if (found := self._of_part(part))]
        votes = Counter(synset for found in of_parts for synset in {each.synset for each in found})
        most = max(votes.values(), default=0)
        best: dict[int, Reading] = {}
        for reading in (reading for found in of_parts for reading in found):
            if votes[reading.synset] == most:
                best.setdefault(reading.synset, reading)
        return tuple(best.values())

    def _given(self, name: str) -> tuple[Reading, ...]:
        numbered = _WNID.fullmatch(name.strip())
        text = f"n{numbered[1]}" if numbered else name
        if not numbered and not re.fullmatch(r".+\.n\.\d+", name.strip()):
            return ()
        return tuple(Reading(synset, "given") for synset in senses_of(self.taxonomy, text)[:1])

    def _of_part(self, text: str) -> tuple[Reading, ...]:
        """The readings of a name without commas, by the first way that has any."""
        hinted = _HINT.fullmatch(text)
        if hinted:
            return self._hinted(hinted[1], hinted[2]) or _as_head(self._whole(hinted[1]))
        found = self._whole(text)
        if found:
            return (*found, *self._longer(text, 1, backward=False))
        words = text.split()
        for at in range(len(words) - 1, 0, -1):
            found = self._below(" ".join(words[:at]), " ".join(words[at:]))
            if found:
                return found
        return self._derived(text) or self._longer(text, 9, backward=True) or self._head(words)

    def _whole(self, text: str) -> tuple[Reading, ...]:
        """The senses of a text that is a word but for its spelling, then those of its singular.

        So damages are a payment, or more than one damage; NLTK finds both too.
        """
        found = _numbered("lemma", senses_of(self.taxonomy, text))
        found = found or _numbered("spelling", self._spelt(text))
        for form in _singulars(text):
            found += _numbered("plural", self._spelt(form), after=len(found))
        return found or _numbered("plural", self._spelt(f"{text}s"))

    def _spelt(self, text: str) -> tuple[int, ...]:
        key = _key(text)
        at = bisect_left(self._forward, (key, ""))
        found: dict[int, None] = {}
        while key and self._forward[at : at + 1] and self._forward[at][0] == key:
            found |= dict.fromkeys(self.taxonomy.lemmas.senses(self._forward[at][1]))
            at += 1
        return tuple(found)

    def _hinted(self, text: str, hint: str) -> tuple[Reading, ...]:
        found = self._below(text, hint)
        for compound in (f"{hint} {text}", f"{text} {hint}"):
            found = found or tuple(Reading(each.synset, "hint") for each in self._whole(compound))
        return found

    def _below(self, text: str, hint: str) -> tuple[Reading, ...]:
        """The senses of a text that lie below a sense of a hint."""
        hints = {reading.synset for reading in self._whole(hint)}
        found = self._whole(text) if hints else ()
        return tuple(
            Reading(reading.synset, "hint", reading.sense)
            for reading in found
            if hints & {*self.taxonomy.with_ancestors([reading.synset]).tolist()} - {reading.synset}
        )

    def _longer(self, text: str, most: int, backward: bool) -> tuple[Reading, ...]:
        """The senses of words that begin with the text, or end with it, and have ≤ most more."""
        words = list(_extended(self._forward, _key(text), most, lambda parts: parts))
        if backward:
            key = _key(text)[::-1]
            words += _extended(
                self._backward, key, most, lambda parts: [part[::-1] for part in parts[::-1]]
            )
        synsets = (sense for word in words for sense in _numbered("longer", self._senses(word)))
        return tuple(synsets)

    def _senses(self, word: str) -> tuple[int, ...]:
        return self.taxonomy.lemmas.senses(word)

    def _head(self, words: list[str]) -> tuple[Reading, ...]:
        """The longest end of a name that is a word, else its longest start."""
        head = _AFTER_HEAD.split(" ".join(words))[0].split()
        ends = [head[at:] for at in range(len(head)) if head[at:] != words]
        starts = [words[:at] for at in range(len(words) - 1, 0, -1)]
        for part in (*ends, *starts):
            found = self._whole(" ".join(part))
            if found:
                return _as_head(found)
        return ()

    def _derived(self, text: str) -> tuple[Reading, ...]:
        for end, other in _ADJECTIVES:
            stem = text.removesuffix(end)
            if stem == text or len(stem) < 3:
                continue
            single = stem[:-1] if stem[-1:] == stem[-2:-1] else stem
            synsets = self._spelt(stem + other) or self._spelt(single + other)
            if synsets:
                return _numbered("derived", synsets)
        return ()


def _numbered(way: str, synsets: Iterable[int], after: int = 0) -> tuple[Reading, ...]:
    return tuple(Reading(synset, way, sense) for sense, synset in enumerate(synsets, after + 1))


def _as_head(found: Iterable[Reading]) -> tuple[Reading, ...]:
    return tuple(Reading(each.synset, "head", each.sense) for each in found)


def _extended(
    sorted_words: list[tuple[str, str]],
    key: str,
    most: int,
    turned: Callable[[list[str]], list[str]],
) -> Iterator[str]:
    """The words whose first parts make up the key, with at most `most` other parts."""
    at = bisect_left(sorted_words, (key, ""))
    while key and at < len(sorted_words) and sorted_words[at][0].startswith(key):
        whole, word = sorted_words[at]
        parts = turned(re.split(r"[^0-9a-z]+", word))
        starts = list(accumulate(parts))
        if whole != key and key in starts and len(parts) - starts.index(key) - 1 <= most:
            yield word
        at += 1


def _plain(name: str) -> str:
    """A name in lower case, with a space between its words, and without a number before it."""
    text = _CAMEL.sub(" ", _NUMBER.sub("", name.strip()))
    text = unicodedata.normalize("NFKD", text)
    text = "".join(sign for sign in text if not unicodedata.combining(sign))
    return re.sub(r"[\s_]+", " ", text).strip().lower()


def _key(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text)


def _singulars(text: str) -> Iterator[str]:
    """The singulars that a plural may have, as far as its last word goes."""
    start, last = text[: text.rfind(" ") + 1], text[text.rfind(" ") + 1 :]
    if last in _IRREGULAR:
        yield start + _IRREGULAR[last]
    for end, other in _SUFFIXES:
        if last.endswith(end) and len(last) > len(end) + 2 and not last.endswith("ss"):
            yield start + last.removesuffix(end) + other
