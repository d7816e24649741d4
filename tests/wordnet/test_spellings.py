"""What class names may mean: every way of `WAYS`, and plurals as NLTK's morphy has them."""

from __future__ import annotations

from pathlib import Path

import nltk
import numpy as np
import pytest

from cog.wordnet.spellings import WAYS, Vocabulary
from cog.wordnet.taxonomy import Taxonomy
from tests.support.nltk_oracle import DICT, needs_dict, oracle_tool


@pytest.fixture(scope="module")
def vocabulary(wordnet: Taxonomy) -> Vocabulary:
    return Vocabulary(wordnet)


CASES = [  # name, the way, a synset that it may mean
    ("n02084071", "given", "dog.n.01"),
    ("N02084071", "given", "dog.n.01"),
    ("02084071", "given", "dog.n.01"),
    ("n02085620-Chihuahua", "given", "chihuahua.n.03"),
    ("crane.n.05", "given", "crane.n.05"),
    ("dog", "lemma", "dog.n.01"),
    ("hot_dog", "lemma", "hotdog.n.02"),
    ("001.Laysan_albatross", "head", "albatross.n.02"),
    ("saint bernard", "lemma", "saint_bernard.n.01"),
    ("crème_brûlée", "lemma", "creme_brulee.n.01"),
    ("saint-bernard", "spelling", "saint_bernard.n.01"),
    ("pickupTruck", "lemma", "pickup.n.01"),
    ("pork_chop", "spelling", "porkchop.n.01"),
    ("soft coated wheaten terrier", "spelling", "soft-coated_wheaten_terrier.n.01"),
    ("waffles", "plural", "waffle.n.01"),
    ("deviled_eggs", "plural", "deviled_egg.n.01"),
    ("wolves", "plural", "wolf.n.01"),
    ("mice", "plural", "mouse.n.01"),
    ("whiskers", "plural", "whisker.n.02"),
    ("trouser", "lemma", "trouser.n.01"),
    ("knicker", "plural", "bloomers.n.01"),
    ("crane (thing of steel)", "head", "crane.n.04"),
    ("crane (bird)", "hint", "crane.n.05"),
    ("crane [device]", "hint", "crane.n.04"),
    ("crane bird", "hint", "crane.n.05"),
    ("mouse (computer)", "hint", "mouse.n.04"),
    ("maple_tree", "hint", "maple.n.02"),
    ("wheaten_terrier", "longer", "soft-coated_wheaten_terrier.n.01"),
    ("Egyptian", "longer", "egyptian_cat.n.01"),
    ("american_bulldog", "head", "bulldog.n.01"),
    ("jar of honey", "head", "jar.n.01"),
    ("spaghetti_bolognese", "head", "spaghetti.n.01"),
    ("zigzagged", "derived", "zigzag.n.01"),
    ("polka-dotted", "derived", "polka_dot.n.01"),
    ("bumpy", "derived", "bulge.n.01"),
    ("gauzy", "derived", "gauze.n.01"),
]


@pytest.mark.parametrize(("name", "way", "synset"), CASES, ids=[name for name, *_ in CASES])
def test_every_way_of_writing_is_understood(
    wordnet: Taxonomy, vocabulary: Vocabulary, name: str, way: str, synset: str
) -> None:
    found = {(each.way, wordnet.names[each.synset]) for each in vocabulary.readings(name)}
    assert (way, synset) in found


def test_the_cases_have_every_way() -> None:
    assert {way for _, way, _ in CASES} == {*WAYS}


@pytest.mark.parametrize("name", ["gyoza", "n99999999", "…", "", "()", "-", "𓃠", "123", "(bird)"])
def test_what_is_no_noun_has_no_reading_or_a_part_of_it(vocabulary: Vocabulary, name: str) -> None:
    assert {each.way for each in vocabulary.readings(name)} <= {
        "lemma",
        "spelling",
        "longer",
        "head",
    }
    assert name != "gyoza" or vocabulary.readings(name) == ()


def test_a_hint_removes_the_other_senses(wordnet: Taxonomy, vocabulary: Vocabulary) -> None:
    found = vocabulary.readings("crane (bird)")
    assert [wordnet.names[each.synset] for each in found] == ["crane.n.05"]


def test_of_several_names_most_decide(wordnet: Taxonomy, vocabulary: Vocabulary) -> None:
    found = vocabulary.readings("hen, biddy")
    assert {wordnet.names[each.synset] for each in found} == {"hen.n.01"}


@needs_dict
def test_plurals_are_those_of_nltk(
    wordnet: Taxonomy, vocabulary: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 nouns in the plural: every synset that NLTK's morphy finds is among the readings."""
    monkeypatch.setattr(nltk.data, "path", [])
    words = [w for w in wordnet.lemmas.words if w.isalpha() and w.isascii() and len(w) > 3]
    drawn = np.random.default_rng(5).choice(words, 300, replace=False).tolist()
    plurals = [_plural(word) for word in drawn]
    tool = oracle_tool()
    reader = tool.open_nltk(DICT, tmp_path)
    expected = [{f"n{s.offset():08d}" for s in reader.synsets(word, "n")} for word in plurals]
    tool.close_nltk(reader)
    found = [{wordnet.wnids[r.synset] for r in vocabulary.readings(word)} for word in plurals]
    missed = [word for word, a, b in zip(plurals, expected, found, strict=True) if not a <= b]
    assert sum(map(bool, expected)) > 290
    assert missed == []


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2] not in "aeiou" else f"{word}s"
