"""Every measure: against NLTK, against its definition on random hierarchies, and in itself."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nltk
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cog.cli.main import main
from cog.errors import CogError
from cog.wordnet.concept_lists import read_wnids
from cog.wordnet.information_content import (
    information_content,
    load_information,
    require_information,
)
from cog.wordnet.measures import MEASURES, SUBSUMERS, Measure, find_measure
from cog.wordnet.similarity import explain_pair, nearest, similarity
from cog.wordnet.taxonomy import Taxonomy
from tests.support.nltk_oracle import DICT, needs_dict, oracle_tool
from tests.support.random_taxonomies import naive, parent_lists, taxonomy_of

TOOL = oracle_tool()
ORACLE = Path(__file__).parents[1] / "data" / "similarity_oracle.npz"
CASES = [
    (name, rule)
    for name, measure in MEASURES.items()
    for rule in (SUBSUMERS if measure.informative else SUBSUMERS[:1])
]


def column(measure: str, rule: str) -> str:
    return f"{measure} {rule}" if MEASURES[measure].informative else measure


NLTK_CASES = [case for case in CASES if column(*case) in TOOL.COLUMNS]


@pytest.fixture(scope="module")
def imagenet(wordnet: Taxonomy) -> np.ndarray:
    return load_information(wordnet)[0]


@pytest.fixture(scope="module")
def corpora(wordnet: Taxonomy, imagenet: np.ndarray) -> dict[str, np.ndarray]:
    return {"imagenet": imagenet, "wordnet": load_information(wordnet, "wordnet")[0]}


@pytest.mark.parametrize(("measure", "rule"), NLTK_CASES)
@pytest.mark.parametrize("corpus", ["imagenet", "wordnet"])
def test_equals_nltk_on_the_committed_pairs(
    wordnet: Taxonomy, corpora: dict[str, np.ndarray], corpus: str, measure: str, rule: str
) -> None:
    with np.load(ORACLE) as oracle:
        pairs = oracle[f"{corpus} pairs"]
        expected = oracle[f"{corpus} values"][:, TOOL.COLUMNS.index(column(measure, rule))]
    a, b = (wordnet.indices(f"n{offset:08d}" for offset in side) for side in pairs.T)
    found = similarity(wordnet, corpora[corpus], a, b, measure, rule)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_committed_pairs_are_hard_enough(wordnet: Taxonomy) -> None:
    with np.load(ORACLE) as oracle:
        pairs, values = oracle["imagenet pairs"], oracle["imagenet values"]
    assert len(pairs) >= 5000
    several = np.diff(wordnet.parent_starts) > 1
    a, b = (wordnet.indices(f"n{offset:08d}" for offset in side) for side in pairs.T)
    assert (several[a] | several[b]).mean() > 0.5  # of all nouns 2.6 % have several parents
    assert (values[:, 0] != values[:, 1]).sum() > 20  # the two rules for the subsumer differ
    assert set(TOOL.COLUMNS) == {column(*case) for case in NLTK_CASES}


def live_differences(tmp_path: Path, wordnet: Taxonomy, number: int, whole: bool) -> np.ndarray:
    """The largest difference from NLTK, run now, for each of NLTK_CASES, on `number` fresh pairs.

    Not `whole`: a fortieth of the corpus, and we give NLTK the height of the hierarchy, which it
    would read every noun to find.
    """
    tool = TOOL
    reader = tool.open_nltk(DICT, tmp_path)
    if not whole:
        reader._max_depth["n", False] = int(wordnet.depth.max())
    members = tool.official_members(reader, 1 if whole else 40)
    corpus, counts = tool.count_corpus(members)
    pairs = tool.draw_pairs(corpus, number, seed=37)
    expected = np.array([tool.values(*pair, counts) for pair in pairs])
    tool.close_nltk(reader)

    def indices(synsets: Iterable[Any]) -> np.ndarray:
        return wordnet.indices(f"n{synset.offset():08d}" for synset in synsets)

    a, b = (indices(side) for side in zip(*pairs, strict=True))
    ic = information_content(wordnet, indices(members))
    found = [similarity(wordnet, ic, a, b, *case) for case in NLTK_CASES]
    order = [tool.COLUMNS.index(column(*case)) for case in NLTK_CASES]
    return np.abs(np.array(found).T - expected[:, order]).max(axis=0)


@needs_dict
def test_equals_nltk_run_now(
    wordnet: Taxonomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nltk.data, "path", [])
    assert (live_differences(tmp_path, wordnet, 200, whole=False) < 1e-9).all()


@needs_dict
@pytest.mark.long
def test_equals_nltk_run_now_on_many_pairs(
    wordnet: Taxonomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nltk.data, "path", [])
    assert (live_differences(tmp_path, wordnet, 20_000, whole=True) < 1e-9).all()


@pytest.mark.parametrize(("measure", "rule"), CASES)
def test_nearest_of_imagenet_1k_equals_the_best_pair(
    wordnet: Taxonomy, imagenet: np.ndarray, measure: str, rule: str
) -> None:
    seen = wordnet.indices(read_wnids("in1k"))
    concepts = wordnet.indices(read_wnids("in21k"))[::700]
    found = nearest(wordnet, imagenet, concepts, seen, measure, rule)
    pairs = np.repeat(concepts, len(seen)), np.tile(seen, len(concepts))
    every = similarity(wordnet, imagenet, *pairs, measure, rule).reshape(len(concepts), -1)
    np.testing.assert_array_equal(found.value, every.max(axis=1))
    np.testing.assert_array_equal(found.seen, seen[every.argmax(axis=1)])
    for i, b, s in zip(
        concepts.tolist(), found.seen.tolist(), found.subsumer.tolist(), strict=True
    ):
        assert explain_pair(wordnet, imagenet, i, b, measure, rule).subsumer == s


@pytest.mark.parametrize(("measure", "rule"), CASES)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_pairs_and_nearest_equal_their_definitions(
    measure: str, rule: str, data: st.DataObject
) -> None:
    parents = data.draw(parent_lists(one_root=data.draw(st.booleans())))
    every = list(range(len(parents)))
    names = [f"c{number}.n.01" for number in data.draw(st.permutations(every))]
    taxonomy = taxonomy_of(parents, names)
    double = naive(taxonomy, parents)
    ic = information_content(taxonomy, every)
    if not taxonomy.depth.max():
        return  # no edge at all: NLTK's lch has no value
    expected = [[double.value(ic, a, b, measure, rule) for b in every] for a in every]
    found = similarity(
        taxonomy, ic, np.repeat(every, len(every)), np.tile(every, len(every)), measure, rule
    )
    np.testing.assert_allclose(found.reshape(len(every), -1), expected, rtol=1e-12)

    seen = sorted(data.draw(st.sets(st.sampled_from(every), min_size=1)))
    best = nearest(taxonomy, ic, every, seen, measure, rule)
    of_pairs = found.reshape(len(every), -1)[:, seen]
    np.testing.assert_array_equal(best.value, of_pairs.max(axis=1))
    np.testing.assert_array_equal(best.seen, np.array(seen)[of_pairs.argmax(axis=1)])
    for i in every:
        s = explain_pair(taxonomy, ic, i, int(best.seen[i]), measure, rule).subsumer
        common = double.ancestors(i) & double.ancestors(int(best.seen[i]))
        assert s == best.subsumer[i]
        assert (s in common) if common else (s == -1)


def test_no_concept_has_no_nearest(wordnet: Taxonomy, imagenet: np.ndarray) -> None:
    for measure in MEASURES:
        assert len(nearest(wordnet, imagenet, [], [0], measure).value) == 0
        assert len(similarity(wordnet, imagenet, [], [], measure)) == 0


def test_more_concepts_than_a_block_holds_give_the_same(
    wordnet: Taxonomy, imagenet: np.ndarray
) -> None:
    every = wordnet.indices(read_wnids("in21k"))
    concepts, seen = every[::17], every[::8]  # 1,285 and 2,731: blocks have 512 and 1,024
    whole = nearest(wordnet, imagenet, concepts, seen)
    few = concepts[::60]
    pairs = np.repeat(few, len(seen)), np.tile(seen, len(few))
    values = similarity(wordnet, imagenet, *pairs).reshape(len(few), -1)
    np.testing.assert_array_equal(whole.value[::60], values.max(axis=1))
    np.testing.assert_array_equal(whole.seen[::60], seen[values.argmax(axis=1)])
    alone = nearest(wordnet, imagenet, few, seen)
    np.testing.assert_array_equal(whole.subsumer[::60], alone.subsumer)


@settings(deadline=None)
@given(parent_lists(), st.data())
def test_information_content_counts_every_synset_once(
    parents: list[list[int]], data: st.DataObject
) -> None:
    taxonomy = taxonomy_of(parents)
    members = data.draw(st.sets(st.sampled_from(range(len(parents))), min_size=1))
    ic = information_content(taxonomy, members)
    counts, total = naive(taxonomy, parents).corpus_counts(members)
    for i, row in enumerate(parents):
        expected = -np.log(counts[i] / total) if i in counts else np.inf
        assert ic[i] == pytest.approx(expected, rel=1e-15)  # numpy 1.26 rounds arrays another way
        assert ic[i] >= 0
        assert not np.signbit(ic[i])
        assert all(ic[i] >= ic[parent] for parent in row)
        assert row or ic[i] == 0  # the root


@settings(deadline=None)
@given(parent_lists(), st.sampled_from(SUBSUMERS))
def test_lin_is_a_share_symmetric_and_one_with_itself(parents: list[list[int]], rule: str) -> None:
    taxonomy = taxonomy_of(parents)
    every = np.arange(len(parents))
    ic = information_content(taxonomy, every)
    a, b = np.repeat(every, len(every)), np.tile(every, len(every))
    values = similarity(taxonomy, ic, a, b, "lin", rule)
    assert ((values >= 0) & (values <= 1)).all()
    np.testing.assert_array_equal(values, similarity(taxonomy, ic, b, a, "lin", rule))
    with_itself = similarity(taxonomy, ic, every, every, "lin", rule)
    np.testing.assert_array_equal(with_itself[ic > 0], 1.0)


@settings(deadline=None)
@given(parent_lists(), st.integers(0, 11))
def test_an_unrelated_branch_changes_no_path(parents: list[list[int]], at: int) -> None:
    size = len(parents)
    more = [*parents, [at % size], [size], [size, size + 1]]
    a, b = np.repeat(np.arange(size), size), np.tile(np.arange(size), size)
    ic = np.zeros(size + 3)
    before = similarity(taxonomy_of(parents), ic, a, b, "path")
    np.testing.assert_array_equal(before, similarity(taxonomy_of(more), ic, a, b, "path"))


def test_official_corpus_has_23547_synsets(wordnet: Taxonomy, imagenet: np.ndarray) -> None:
    assert np.isfinite(imagenet).sum() == 23_547
    assert imagenet[wordnet.index("n00001740")] == 0
    dog = wordnet.index("n02084071")
    under = np.isfinite(imagenet[wordnet.descendants(dog)]).sum()
    assert imagenet[dog] == pytest.approx(-np.log(under / 23_547), rel=1e-15)


def test_concepts_outside_the_corpus_are_added(wordnet: Taxonomy, imagenet: np.ndarray) -> None:
    freedom, dog = wordnet.index("n13991823"), wordnet.index("n02084071")
    ic, added = load_information(wordnet, "imagenet", [dog, freedom])
    assert added == (freedom,)
    new = np.isfinite(ic) & ~np.isfinite(imagenet)
    assert set(np.flatnonzero(new)) <= set(wordnet.with_ancestors([freedom]).tolist())
    assert ic[freedom] == pytest.approx(np.log(23_547 + new.sum()))


def test_file_of_wnids_is_a_corpus(wordnet: Taxonomy, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("n02084071\nn02121620\n")
    ic, _ = load_information(wordnet, str(tmp_path / "mine.txt"))
    expected = information_content(wordnet, wordnet.indices(["n02084071", "n02121620"]))
    np.testing.assert_array_equal(ic, expected)


def test_counts_of_wordnet_similarity_are_read_as_nltk_reads_them(
    wordnet: Taxonomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nltk.corpus.reader.wordnet import WordNetICCorpusReader

    text = "wnver::x\n1740n 100 ROOT\n1930n 40.5\n2084071n 2\n2121620n 0\n1740v 7 ROOT\n"
    (tmp_path / "ic-mine.dat").write_text(text)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    counts = WordNetICCorpusReader(str(tmp_path), ["ic-mine.dat"]).ic("ic-mine.dat")["n"]
    ic, added = load_information(wordnet, str(tmp_path / "ic-mine.dat"))
    assert added == ()
    for i, wnid in enumerate(wordnet.wnids):
        count = counts.get(int(wnid[1:]), 0)
        assert ic[i] == (-np.log(count / counts[0]) if count else np.inf)
    with pytest.raises(CogError, match=r"cat\.n\.01 \(n02121620\)"):
        load_information(wordnet, str(tmp_path / "ic-mine.dat"), [wordnet.index("n02121620")])


@pytest.mark.parametrize("text", ["", "head\n1740n\n", "head\n1740n x ROOT\n", "head\n7n 1 ROOT\n"])
def test_damaged_counts_are_refused(wordnet: Taxonomy, tmp_path: Path, text: str) -> None:
    (tmp_path / "ic.dat").write_text(text)
    with pytest.raises(CogError, match=r"ic\.dat"):
        load_information(wordnet, str(tmp_path / "ic.dat"))


def test_unknown_names_show_the_nearest(wordnet: Taxonomy, imagenet: np.ndarray) -> None:
    with pytest.raises(CogError, match="unknown measure 'lim'") as error:
        find_measure("lim")
    assert "lin" in error.value.hint
    with pytest.raises(CogError, match="unknown subsumer rule"):
        nearest(wordnet, imagenet, [0], [0], "lin", "lowest")
    with pytest.raises(CogError, match="no corpus 'imagnet'") as error:
        load_information(wordnet, "imagnet")
    assert "imagenet" in error.value.hint


def test_what_cannot_be_compared_is_refused(wordnet: Taxonomy, imagenet: np.ndarray) -> None:
    freedom = wordnet.index("n13991823")  # outside the official corpus
    with pytest.raises(CogError, match=r"freedom\.n\.01"):
        similarity(wordnet, imagenet, [freedom], [0])
    with pytest.raises(CogError, match=r"and 1 more"):
        require_information(wordnet, imagenet, [freedom, freedom])
    with pytest.raises(CogError, match="at least one seen"):
        nearest(wordnet, imagenet, [0], [])
    assert similarity(wordnet, imagenet, [freedom], [0], "path") > 0  # needs no corpus


def written_value(numbers: str) -> float:
    """What a formula with its numbers gives; not a number where it divides by zero."""
    readable = numbers.replace("·", "*").replace("−", "-").replace("-ln", "-log")
    try:
        return float(eval(readable, {"log": np.log, "inf": np.inf}))
    except ZeroDivisionError:
        return math.nan


@pytest.mark.parametrize(("measure", "rule"), CASES)
@settings(deadline=None, max_examples=30)
@given(parents=parent_lists(one_root=False))
def test_a_value_is_what_the_written_formula_gives_or_a_note_says_why(
    measure: str, rule: str, parents: list[list[int]]
) -> None:
    taxonomy = taxonomy_of(parents)
    every = range(len(parents))
    ic = information_content(taxonomy, every)
    if not taxonomy.depth.max():
        return  # no edge at all: NLTK's lch has no value
    for a in every:
        found = explain_pair(taxonomy, ic, a, len(parents) - 1, measure, rule)
        # six digits of each number are shown, and differences of them have fewer
        written = pytest.approx(written_value(found.numbers), rel=1e-2, abs=1e-5)
        assert bool(found.note) != (found.value == written), found


@pytest.mark.parametrize(("measure", "rule"), CASES)
def test_explanation_adds_up(
    wordnet: Taxonomy, imagenet: np.ndarray, measure: str, rule: str
) -> None:
    dog, cat = wordnet.index("n02084071"), wordnet.index("n02121620")
    found = explain_pair(wordnet, imagenet, dog, cat, measure, rule)
    assert found.value == similarity(wordnet, imagenet, [dog], [cat], measure, rule)[0]
    assert wordnet.names[found.subsumer] == "carnivore.n.01"
    assert written_value(found.numbers) == pytest.approx(found.value, rel=1e-4)


def test_an_entry_alone_adds_a_measure(
    wordnet: Taxonomy, imagenet: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, its formula and its note reach the commands, and its help lists it."""
    toy = Measure(
        lambda distance, height: 1 - distance / (2 * height),
        "path",
        "Toy",
        "1 − {distance} / (2·{height})",
        lambda distance, height: "" if distance else "the same synset",
    )
    monkeypatch.setitem(MEASURES, "toy", toy)
    dog, cat = wordnet.index("n02084071"), wordnet.index("n02121620")
    assert similarity(wordnet, imagenet, [dog], [cat], "toy") == [1 - 4 / 38]

    def cog(*words: str) -> str:
        return CliRunner().invoke(main, words, catch_exceptions=False).stdout

    said = cog("similarity", "n02084071", "n02121620", "--measure", "toy")
    assert "toy(dog.n.01, cat.n.01) = 0.894737\n" in said
    assert "toy = 1 − edges(a, b) / (2·height)\n      = 1 − 4 / (2·19)\n" in said
    assert "= 1  (the same synset)" in cog("similarity", "dog", "dog", "--measure", "toy")
    assert "toy" in cog("similarity", "--help")
    assert "toy" in cog("build-levels", "--help")

    (tmp_path / "mine.txt").write_text("n02121620\nn01503061\n")  # cat, bird
    words = ("--eligible", str(tmp_path / "mine.txt"), "--n-levels", "2", "--size", "1")
    out = str(tmp_path / "levels")
    cog("build-levels", *words, "--measure", "toy", "--out", out)
    assert "toy = 1 − edges(a, b)" in cog("levels", "explain", "n02121620", "--levels", out)
    assert cog("levels", "check", out) == f"{out}: sound\n"


def test_a_measure_of_ones_own(wordnet: Taxonomy, imagenet: np.ndarray) -> None:
    path = Path(__file__).parents[2] / "examples" / "own_measure.py"
    spec = importlib.util.spec_from_file_location("own_measure", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    assert isinstance(example.FAITH, Measure)
    dog, cat = wordnet.index("n02084071"), wordnet.index("n02121620")
    terms = explain_pair(wordnet, imagenet, dog, cat, "lin").terms
    shared = terms["ic_s"]
    expected = shared / (terms["ic_a"] + terms["ic_b"] - shared)
    found = similarity(wordnet, imagenet, [dog], [cat], example.FAITH)
    assert found == pytest.approx([expected])
    assert nearest(wordnet, imagenet, [dog], [cat], example.FAITH).value == found
