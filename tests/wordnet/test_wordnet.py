"""The hierarchy: its three sources agree with each other and with NLTK, and its walks are right."""

from __future__ import annotations

import zipfile
from pathlib import Path

import nltk
import numpy as np
import pytest
from hypothesis import given, settings

from cog.errors import CogError
from cog.wordnet.files import TABLE, Nouns, read_dict_folder, read_table
from cog.wordnet.names import find_concept
from cog.wordnet.taxonomy import Taxonomy, load_taxonomy, make_taxonomy
from tests.support.nltk_oracle import DICT, needs_dict, oracle_tool, table_tool
from tests.support.random_taxonomies import naive, parent_lists, taxonomy_of

# A WordNet of five synsets in the format of wndb(5WN); 20 has two parents, one by instance.
DATA = """\
  1 A line of the licence.
00000010 03 n 02 Entity 0 thing 1 002 ~ 00000030 n 0000 ~ 00000040 n 0000 | all there is
00000020 18 n 01 Rex 0 003 @i 00000030 n 0000 @ 00000040 n 0000 + 00000099 v 0101 | a king
00000030 18 n 01 person 0 001 @ 00000010 n 0000 | someone; with a | in the gloss
00000040 03 n 01 thing 0 001 @ 00000010 n 0000 | something
00000050 03 n 01 prey 0 001 @ 00000020 n 0000 | is hunted
"""
INDEX = """\
  1 A line of the licence.
entity n 1 1 ~ 1 0 00000010
person n 1 1 @ 1 0 00000030
prey n 1 1 @ 1 0 00000050
rex n 1 2 @ @i 1 0 00000020
thing n 2 2 @ ~ 2 0 00000040 00000010
"""

write_table = table_tool().write_table


def write_dict(folder: Path, data: str = DATA, index: str = INDEX) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.noun").write_text(data)
    (folder / "index.noun").write_text(index)
    return folder


def hierarchy_differences(left: Taxonomy, right: Taxonomy) -> tuple[str, ...]:
    """What differs between two hierarchies, a line for each synset; empty if they are equal."""
    ours, theirs = _edges_by_wnid(left), _edges_by_wnid(right)
    lines = [f"{wnid}: only in the first" for wnid in sorted(ours.keys() - theirs.keys())]
    lines += [f"{wnid}: only in the second" for wnid in sorted(theirs.keys() - ours.keys())]
    lines += [
        f"{wnid}: {ours[wnid]} in the first, {theirs[wnid]} in the second"
        for wnid in sorted(ours.keys() & theirs.keys())
        if ours[wnid] != theirs[wnid]
    ]
    return tuple(lines)


def _edges_by_wnid(taxonomy: Taxonomy) -> dict[str, tuple[str, tuple[str, ...]]]:
    """wnid → (name, wnids of the parents)."""
    starts, parents = taxonomy.parent_starts.tolist(), taxonomy.parents.tolist()
    return {
        wnid: (name, tuple(sorted(taxonomy.wnids[p] for p in parents[start:stop])))
        for wnid, name, start, stop in zip(
            taxonomy.wnids, taxonomy.names, starts, starts[1:], strict=False
        )
    }


def test_bundled_table_is_wordnet_3_0(wordnet: Taxonomy) -> None:
    assert len(wordnet) == 82_115
    assert wordnet.wnids == tuple(sorted(wordnet.wnids))
    roots = np.flatnonzero(np.diff(wordnet.parent_starts) == 0)
    assert [wordnet.names[i] for i in roots] == ["entity.n.01"]
    assert wordnet.depth.max() == 19  # NLTK's lch divides by it


def test_dog_is_both_a_canine_and_a_domestic_animal(wordnet: Taxonomy) -> None:
    dog = wordnet.index("n02084071")
    assert wordnet.names[dog] == "dog.n.01"
    assert [wordnet.names[i] for i in wordnet.parents_of(dog)] == [
        "domestic_animal.n.01",
        "canine.n.02",
    ]
    assert (wordnet.depth[dog], wordnet.min_depth[dog]) == (13, 8)
    animal = wordnet.index("n00015388")
    assert animal in wordnet.with_ancestors([dog])
    assert dog in wordnet.descendants(animal)
    assert animal not in wordnet.descendants(dog)


def test_instances_are_under_their_class(wordnet: Taxonomy) -> None:
    einstein, _ = find_concept(wordnet, "Einstein")
    assert [wordnet.names[i] for i in wordnet.parents_of(einstein)] == ["physicist.n.01"]


def test_unknown_wnid_shows_the_nearest(wordnet: Taxonomy) -> None:
    with pytest.raises(CogError, match="n02084072") as error:
        wordnet.index("n02084072")
    assert "n02084071" in error.value.hint
    with pytest.raises(CogError, match="n99999999"):
        wordnet.index("n99999999")


@pytest.mark.parametrize(
    ("text", "name", "others"),
    [
        ("n02084071", "dog.n.01", 0),
        ("dog.n.01", "dog.n.01", 0),
        ("domestic_dog.n.01", "dog.n.01", 0),
        ("Hot Dog.n.02", "hotdog.n.02", 0),
        ("dog", "dog.n.01", 6),
        ("hot dog", "hotdog.n.01", 2),
        ("eiffel_tower", "eiffel_tower.n.01", 0),
    ],
)
def test_find_concept(wordnet: Taxonomy, text: str, name: str, others: int) -> None:
    concept, senses = find_concept(wordnet, text)
    assert wordnet.names[concept] == name
    assert len(senses) == others


@pytest.mark.parametrize(
    ("text", "near"), [("dogg", "dog"), ("zebraa", "zebra"), ("dog.n.08", "dog.n.07"), ("", "")]
)
def test_unknown_concept_shows_the_nearest(wordnet: Taxonomy, text: str, near: str) -> None:
    with pytest.raises(CogError, match="unknown concept") as error:
        find_concept(wordnet, text)
    assert near in error.value.hint


def test_every_name_finds_its_synset(wordnet: Taxonomy) -> None:
    for i in range(0, len(wordnet), 97):
        assert find_concept(wordnet, wordnet.names[i]) == (i, ())


def test_a_wnid_may_be_padded_and_in_capitals(wordnet: Taxonomy) -> None:
    assert find_concept(wordnet, " N02084071 ") == (wordnet.index("n02084071"), ())


@pytest.mark.parametrize("text", ["n0208407", "n020840711", "n02084072"])
def test_a_mistyped_wnid_is_not_taken_for_a_word(wordnet: Taxonomy, text: str) -> None:
    with pytest.raises(CogError, match="not a noun synset of WordNet"):
        find_concept(wordnet, text)


def test_unknown_wnids_of_a_list_are_counted_with_its_name(wordnet: Taxonomy) -> None:
    with pytest.raises(CogError, match=r"2 of the 3 wnids in mine\.txt .*: n99999998, n99999999"):
        wordnet.indices(["n99999998", "n02084071", "n99999999"], "mine.txt")


def test_dict_folder_is_read_as_its_format_says(tmp_path: Path) -> None:
    taxonomy = load_taxonomy(str(write_dict(tmp_path / "dict")))
    assert taxonomy.wnids == tuple(f"n000000{number}0" for number in range(1, 6))
    assert taxonomy.names == ("entity.n.01", "rex.n.01", "person.n.01", "thing.n.01", "prey.n.01")
    assert [taxonomy.parents_of(i).tolist() for i in range(5)] == [[], [2, 3], [0], [0], [1]]
    assert taxonomy.depth.tolist() == [0, 2, 1, 1, 3]
    assert find_concept(taxonomy, "thing") == (3, (0,))


def test_table_round_trip_gives_equal_hierarchy_and_equal_bytes(tmp_path: Path) -> None:
    nouns = read_dict_folder(write_dict(tmp_path / "dict"))
    write_table(nouns, tmp_path / "a.npz")
    again = read_table(tmp_path / "a.npz")
    write_table(again, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert again.names == nouns.names
    np.testing.assert_array_equal(again.parents, nouns.parents)
    assert again.read_lemmas().words == nouns.read_lemmas().words


@pytest.mark.parametrize("zipped", [False, True])
def test_nltk_corpus_unpacked_or_zipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    folder = write_dict(tmp_path / "corpora" / "wordnet")
    if zipped:
        with zipfile.ZipFile(tmp_path / "corpora" / "wordnet.zip", "w") as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, f"wordnet/{file.name}")
                file.unlink()
        folder.rmdir()
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    assert (
        hierarchy_differences(
            load_taxonomy("nltk"), load_taxonomy(str(write_dict(tmp_path / "dict")))
        )
        == ()
    )


def test_missing_nltk_corpus_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with pytest.raises(CogError, match="NLTK") as error:
        load_taxonomy("nltk")
    assert "nltk.download('wordnet')" in error.value.hint


def test_differences_are_reported(tmp_path: Path) -> None:
    left = load_taxonomy(str(write_dict(tmp_path / "left")))
    moved = DATA.replace("person 0 001 @ 00000010", "person 0 001 @ 00000040")
    right = load_taxonomy(str(write_dict(tmp_path / "right", moved)))
    (line,) = hierarchy_differences(left, right)
    assert line.startswith("n00000030: ('person.n.01', ('n00000010',)) in the first")


def test_cycle_is_refused_by_name(tmp_path: Path) -> None:
    data = DATA.replace("person 0 001 @ 00000010", "person 0 001 @ 00000050")
    with pytest.raises(CogError, match="cycle") as error:
        load_taxonomy(str(write_dict(tmp_path, data)))
    circle = error.value.what.partition("cycle: ")[2].split(" → ")
    assert circle[0] == circle[-1]
    assert set(circle) == {"n00000020", "n00000030", "n00000050"}


@pytest.mark.parametrize(
    ("data", "index"),
    [
        (DATA[:-80], INDEX),  # cut in the middle of a line
        (DATA.replace("@ 00000010", "@ 00000011"), INDEX),  # a parent that is not there
        (DATA, INDEX.replace("rex n", "tex n")),  # a word without senses
        (DATA.replace(" n 02 Entity", " n zz Entity"), INDEX),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, data: str, index: str) -> None:
    with pytest.raises(CogError, match="contradict"):
        load_taxonomy(str(write_dict(tmp_path, data, index)))


def test_folder_without_wordnet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(DATA)
    with pytest.raises(CogError, match=r"no index\.noun"):
        load_taxonomy(str(tmp_path))


@pytest.fixture(scope="module")
def dict_nouns() -> Nouns:
    """The nouns of the dict folder of this machine."""
    return read_dict_folder(DICT)


@needs_dict
def test_dict_folder_equals_bundled_table(wordnet: Taxonomy, dict_nouns: Nouns) -> None:
    read = make_taxonomy(dict_nouns)
    assert hierarchy_differences(wordnet, read) == ()
    assert wordnet.lemmas.words == read.lemmas.words
    np.testing.assert_array_equal(wordnet.lemmas.nodes, read.lemmas.nodes)


@needs_dict
def test_bundled_table_is_what_the_committed_script_writes(
    dict_nouns: Nouns, tmp_path: Path
) -> None:
    write_table(dict_nouns, tmp_path / "table.npz")
    with np.load(tmp_path / "table.npz") as made, np.load(TABLE) as bundled:
        assert set(made) == set(bundled)
        for member in made:
            np.testing.assert_array_equal(made[member], bundled[member])


@needs_dict
@pytest.mark.long
def test_nltk_reads_the_same_hierarchy(
    wordnet: Taxonomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = oracle_tool()
    monkeypatch.setattr(nltk.data, "path", [])
    reader = tool.open_nltk(DICT, tmp_path)
    assert hierarchy_differences(wordnet, load_taxonomy("nltk")) == ()
    synsets = list(reader.all_synsets("n"))
    assert len(synsets) == len(wordnet)
    for synset in synsets:
        i = wordnet.index(f"n{synset.offset():08d}")
        parents = synset.hypernyms() + synset.instance_hypernyms()
        assert wordnet.names[i] == synset.name()
        assert {wordnet.names[p] for p in wordnet.parents_of(i)} == {p.name() for p in parents}
        assert wordnet.depth[i] == synset.max_depth()
        assert wordnet.min_depth[i] == synset.min_depth()
    tool.close_nltk(reader)


@settings(deadline=None)
@given(parent_lists(one_root=False))
def test_walks_equal_their_definitions(parents: list[list[int]]) -> None:
    taxonomy = taxonomy_of(parents)
    double = naive(taxonomy, parents)
    every = range(len(parents))
    for i in every:
        assert set(taxonomy.with_ancestors([i]).tolist()) == double.ancestors(i)
        below = [j for j in every if i in double.ancestors(j)]
        assert taxonomy.descendants(i).tolist() == below
        assert taxonomy.depth[i] == double.depth(i)
        assert taxonomy.min_depth[i] == double.min_depth(i)
        ways = taxonomy.distances_up([i])
        assert ways.keys() == double.ancestors(i)
        assert ways[i] == {j: double.up(i, j) for j in double.ancestors(i)}


@settings(deadline=None)
@given(parent_lists())
def test_an_edge_back_makes_a_cycle_that_is_refused(parents: list[list[int]]) -> None:
    top, bottom = next(
        (i, j) for j, row in enumerate(parents) for i in row if not parents[i]
    )  # a child of the root
    parents[top] = [bottom]
    with pytest.raises(CogError, match="cycle"):
        taxonomy_of(parents)
