"""`cog similarity`: what it prints for concepts and sets, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click import UsageError
from click.testing import CliRunner, Result

from cog.cli.similarity import similarity
from cog.errors import CogError
from cog.wordnet.concept_lists import read_wnids
from cog.wordnet.concept_sets import read_side, spread
from cog.wordnet.information_content import load_information
from cog.wordnet.measures import MEASURES
from cog.wordnet.similarity import nearest
from cog.wordnet.similarity import similarity as values_of_pairs
from cog.wordnet.taxonomy import Taxonomy
from tests.support.nltk_oracle import DICT, needs_dict, oracle_tool


def run(*words: str) -> Result:
    result = CliRunner().invoke(similarity, words, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result


def test_two_words_take_their_first_senses_and_say_so() -> None:
    result = run("dog", "cat")
    assert result.stdout.startswith("lin(dog.n.01, cat.n.01) = 0.741824\n")
    assert "n02075296  carnivore.n.01  (the deepest synset above both)" in result.stdout
    assert "2·IC(s) / (IC(a) + IC(b))\n      = 2·4.17235 / (4.81973 + 6.42917)" in result.stdout
    assert "dog: took its first sense, dog.n.01 (n02084071); others: frump.n.01" in result.stderr


def test_a_wnid_and_a_synset_name_print_nothing_on_stderr() -> None:
    assert run("n02084071", "cat.n.01").stderr == ""


@pytest.mark.parametrize("measure", MEASURES)
def test_json_holds_the_value_and_its_terms(wordnet: Taxonomy, measure: str) -> None:
    record = json.loads(run("n02084071", "n02121620", "--measure", measure, "--json").stdout)
    a, b = wordnet.indices(["n02084071", "n02121620"])
    ic, _ = load_information(wordnet)
    assert record["value"] == values_of_pairs(wordnet, ic, [a], [b], measure)[0]
    assert record["subsumer"] == {"wnid": "n02075296", "name": "carnivore.n.01"}
    assert record["terms"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_concept_and_a_set_give_the_nearest(wordnet: Taxonomy, turned: bool) -> None:
    words = ["in1k", "n02430045"] if turned else ["n02430045", "in1k"]  # a deer
    record = json.loads(run(*words, "--json").stdout)
    ic, _ = load_information(wordnet)
    seen = wordnet.indices(read_wnids("in1k"))
    best = nearest(wordnet, ic, [wordnet.index("n02430045")], seen)
    assert record["nearest_in"] == "in1k (1000 concepts)"
    assert record["b"]["wnid"] == wordnet.wnids[best.seen[0]]
    assert record["value"] == best.value[0]


def test_two_sets_give_both_distributions(wordnet: Taxonomy, tmp_path: Path) -> None:
    (tmp_path / "levels.csv").write_text("name,wnid\ndog.n.01,n02084071\ncat.n.01,n02121620\n")
    (tmp_path / "words.txt").write_text("# mine\nwolf\nhot dog\nn02084071 dog\n")
    paths = [str(tmp_path / name) for name in ("levels.csv", "words.txt")]
    result = run(*paths, "--json")
    there, back = json.loads(result.stdout)
    assert (there["count"], back["count"]) == (2, 3)
    left = wordnet.indices(["n02084071", "n02121620"])
    right = [*read_side(wordnet, paths[1]).concepts]
    ic, _ = load_information(wordnet, "imagenet", right)  # hot dog is not in the corpus
    best = nearest(wordnet, ic, left, right)
    assert there["mean"] == best.value.mean()
    assert there["quartiles"][4] == 1.0
    assert sum(back["histogram"]) == 3
    assert "2 words have several senses, took the first: wolf, hot dog" in result.stderr
    assert "not in the corpus, added with its ancestors: hotdog.n.01" in result.stderr
    assert "mean" in run(*paths).stdout


def test_infinite_values_stay_out_of_mean_and_bars(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("n02084071\nn02121620\n")
    (tmp_path / "b.txt").write_text("n02084071\n")
    text = run(str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), "--measure", "jcn").stdout
    assert "1 infinite, left out of these numbers and of the bars" in text
    assert (
        "infinite: nothing tells them apart" in run("n02084071", "dog", "--measure", "jcn").stdout
    )


def test_the_levels_are_sets() -> None:
    from cog.levels.files import read_levels

    record = json.loads(run("L5", "in1k", "--json").stdout)[0]
    table = read_levels().table
    similarities = table[table["level"] == 5]["similarity"]
    assert record["count"] == len(similarities)
    assert record["mean"] == pytest.approx(similarities.mean())


def test_measures_by_edges_need_no_corpus() -> None:
    assert run("freedom.n.01", "n02084071", "--measure", "path").stderr == ""
    assert "freedom.n.01" in run("freedom.n.01", "n02084071").stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["dogg", "cat"], "dog"),
        (["dog", "cat", "--measure", "lim"], "lin"),
        (["dog", "cat", "--subsumer", "deep"], "deepest"),
        (["dog", "cat", "--ic", "imagnet"], "imagenet"),
        (["dog", "cat", "--wordnet", "no/such/folder"], "data.noun"),
    ],
)
def test_unknown_names_show_what_there_is(words: list[str], named: str) -> None:
    with pytest.raises(CogError) as error:
        run(*words)
    assert named in error.value.hint


def test_a_file_without_concepts_is_refused(wordnet: Taxonomy, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(CogError, match="no concept in"):
        read_side(wordnet, str(tmp_path / "empty.txt"))
    (tmp_path / "image.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(CogError, match="cannot read"):
        read_side(wordnet, str(tmp_path / "image.png"))


def test_spread_of_equal_and_of_no_finite_values() -> None:
    same = spread(np.array([0.5, 0.5]))
    assert (same.histogram, same.edges, same.mean) == ((2,), (0.5, 0.5), 0.5)
    infinite = spread(np.array([1e300]))
    assert (infinite.histogram, infinite.infinite, infinite.mean) == ((), 1, None)
    assert infinite.quartiles == ()


def test_the_median_of_two_lies_between_them() -> None:
    assert spread(np.array([1.0, 2.0, 1e300])).quartiles == (1.0, 1.25, 1.5, 1.75, 2.0)


def test_a_set_with_itself_has_no_mean_of_infinities() -> None:
    text = run("in1k", "in1k", "--measure", "jcn").stdout
    assert "1e+300" not in text
    assert "mean none: no value is finite" in text
    assert json.loads(run("in1k", "in1k", "--measure", "jcn", "--json").stdout)[0]["mean"] is None


@pytest.mark.parametrize(("measure", "b"), [("jcn", "dog.n.01"), ("lin", "entity.n.01")])
def test_a_value_that_is_not_the_formula_has_a_note(measure: str, b: str) -> None:
    first = run("entity.n.01", b, "--measure", measure).stdout.splitlines()[0]
    assert first.startswith(f"{measure}(entity.n.01, {b}) = 0  (0")
    assert "say" in first


def test_a_file_with_the_name_of_a_word_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dog").write_text("n02084071\n")
    assert (
        "dog: took the file of this name; for the word, give its wnid"
        in run("dog", "cat.n.01").stderr
    )


@pytest.mark.parametrize("text", ["mine.txt", "no/such/file", "levels.csv"])
def test_a_missing_file_is_not_taken_for_a_word(text: str) -> None:
    with pytest.raises(CogError, match="does not exist"):
        run(text, "cat.n.01")


def test_unknown_concepts_of_a_file_are_counted_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("n02084071\nn99999999\ndogg\n")
    with pytest.raises(CogError, match=r"2 of the 3 concepts in .*mine\.txt .*: n99999999, dogg"):
        run(str(tmp_path / "mine.txt"), "in1k")


@pytest.mark.parametrize("words", [("--measure", "lim"), ("--subsumer", "deep"), ("--ic", "im")])
def test_an_unknown_name_is_refused_before_any_output(words: tuple[str, str]) -> None:
    result = CliRunner().invoke(similarity, ["dog", "cat", *words])
    assert isinstance(result.exception, CogError)
    assert result.output == ""


def test_levels_may_be_written_small() -> None:
    assert run("l3", "n02084071").stdout == run("L3", "n02084071").stdout


def test_the_example_of_a_concept_and_a_set_has_one_sense() -> None:
    assert run("giraffe", "in1k", "--measure", "path").stderr == ""


def test_help_shows_an_example() -> None:
    assert "cog similarity dog cat" in run("--help").stdout


@needs_dict
def test_nltk_finds_the_same_best_matches_of_two_sets(tmp_path: Path) -> None:
    """Every pair by NLTK, over a small corpus of its own; the best both ways, member by member."""
    pytest.importorskip("nltk")
    tool, rng = oracle_tool(), np.random.default_rng(3)
    wnids = rng.permutation(read_wnids("in1k"))[:20].tolist()
    table = "class,wnid\n" + "".join(f"class {i},{wnid}\n" for i, wnid in enumerate(wnids[:5]))
    (tmp_path / "table.csv").write_text(table + f"again,{wnids[0]}\n")
    (tmp_path / "list.txt").write_text("\n".join(wnids[4:11]))
    (tmp_path / "corpus.txt").write_text("\n".join(wnids))
    a, b, ic = (str(tmp_path / name) for name in ("table.csv", "list.txt", "corpus.txt"))
    reader = tool.open_nltk(DICT, tmp_path)
    try:
        of = {wnid: reader.synset_from_pos_and_offset("n", int(wnid[1:])) for wnid in wnids}
        _, counts = tool.count_corpus(of.values())
        values = {
            (x, y): (*tool.deepest_values(of[x], of[y], counts), of[x].path_similarity(of[y]),
                     of[x].wup_similarity(of[y]))
            for x in wnids[:5] for y in wnids[4:11]
        }  # fmt: skip
    finally:
        tool.close_nltk(reader)
    for at, measure in enumerate(("lin", "resnik", "jcn", "path", "wup")):  # lch takes NLTK 30 s
        own = {pair: each[at] for pair, each in values.items()}
        out = tmp_path / f"{measure}.csv"
        result = run(a, b, "--measure", measure, "--ic", ic, "--json", "--out", str(out))
        rows = list(csv.DictReader(out.read_text().splitlines()))
        assert len(rows) == 5 + 7
        for row in rows:
            pair = (row["wnid"], row["nearest_wnid"])
            best = max(value for key, value in own.items() if row["wnid"] == key[row["from"] == b])
            found = float(row["value"])
            assert found == pytest.approx(best) or (best, found) == (1e300, np.inf)
            assert own[pair if row["from"] == a else pair[::-1]] == best
        for spread_of, one in zip(json.loads(result.stdout), (a, b), strict=True):
            finite = [float(row["value"]) for row in rows if row["from"] == one]
            finite = [value for value in finite if value < np.inf]
            assert spread_of["mean"] == pytest.approx(np.mean(finite))
            assert spread_of["quartiles"][2] == pytest.approx(np.median(finite))


def test_a_table_that_is_not_finished_is_no_set(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("class,wnid,check\ncat,n02121808,look\nsphynx,,look\n")
    with pytest.raises(CogError, match="no synset for 1 of the 2 classes: 'sphynx'"):
        run(str(table), "in1k")
    table.write_text("class,wnid,check\ncat,domestic_cat.n.01,look\n")
    assert "still marks 1 of the 1 classes: 'cat'" in run(str(table), "in1k").stderr
    with pytest.raises(UsageError, match="two sets"):
        run("dog", "in1k", "--out", str(tmp_path / "out.csv"))
