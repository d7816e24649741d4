"""The level explorer's data: every number of levels.csv, the tree, and thumbnails."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cog.cli.main import main
from cog.errors import CogError
from cog.levels.files import read_levels
from cog.levels.table import Levels
from cog.progress import Silent
from cog.report.explorer import explorer_data, write_explorer
from cog.report.render import as_json
from cog.report.thumbnails import SIDE, make_thumbnails


@pytest.fixture(scope="module")
def official() -> Levels:
    return read_levels()


@pytest.fixture(scope="module")
def data(official, wordnet) -> dict:
    """As the page gets it: through JSON."""
    return json.loads(json.dumps(explorer_data(official, wordnet)))


def test_every_row_of_the_table_is_in_the_data(official, data):
    wnids, names = data["nodes"]["wnid"], data["nodes"]["name"]
    columns = data["concepts"]
    for at, row in enumerate(official.table.itertuples()):
        node, near, lcs = (columns[name][at] for name in ("node", "nearest", "lcs"))
        assert (wnids[node], names[node]) == (row.wnid, row.name)
        assert (wnids[near], names[near]) == (row.nearest_wnid, row.nearest_name)
        assert (wnids[lcs], names[lcs]) == (row.lcs_wnid, row.lcs_name)
        numbers = tuple(columns[name][at] for name in ("level", "rank", "similarity", "images"))
        assert numbers == (row.level, row.rank, row.similarity, row.images)
    assert len(columns["node"]) == len(official.table)
    assert [wnids[node] for node in data["seen"]] == list(official.seen)


def test_the_tree_is_that_of_wordnet(data, wordnet):
    wnids, parents = data["nodes"]["wnid"], data["nodes"]["parents"]
    for wnid, above in zip(wnids, parents, strict=True):
        expected = [wordnet.wnids[i] for i in wordnet.parents_of(wordnet.index(wnid))]
        assert [wnids[parent] for parent in above] == expected


def test_nothing_is_in_the_tree_but_concepts_and_what_lies_above(data):
    leaves = set(range(len(data["nodes"]["wnid"]))).difference(*data["nodes"]["parents"])
    assert leaves <= {*data["concepts"]["node"], *data["seen"]}


def test_counts_below_are_those_of_a_plain_recursion(data):
    children: list[list[int]] = [[] for _ in data["nodes"]["wnid"]]
    for node, above in enumerate(data["nodes"]["parents"]):
        for parent in above:
            children[parent].append(node)

    @cache
    def below(node: int) -> frozenset[int]:
        return frozenset([node]).union(*map(below, children[node]))

    concepts = data["concepts"]
    groups = [
        {
            node
            for node, level in zip(concepts["node"], concepts["level"], strict=True)
            if level == k
        }
        for k in data["levels"]
    ]
    for group, counts in zip([*groups, set(data["seen"])], data["below"], strict=True):
        assert counts == [len(group & below(node)) for node in range(len(children))]


def test_other_words_are_those_of_wordnet(data, wordnet):
    words = dict(zip(data["nodes"]["wnid"], data["nodes"]["words"], strict=True))
    assert words["n02084071"] == "canis familiaris, domestic dog"  # dog.n.01
    for wnid in list(words)[::97]:
        for word in filter(None, words[wnid].split(", ")):
            assert wordnet.index(wnid) in wordnet.lemmas.senses(word.replace(" ", "_"))


def test_the_data_is_small(data):
    assert len(as_json(data)) < 1_200_000


def test_missing_counts_and_no_subsumer(official, wordnet):
    table = official.table.copy()
    table.loc[0, ["lcs_wnid", "lcs_name"]] = ""
    table.loc[1, "images"] = None
    changed = Levels(table, official.seen, official.recipe, official.report)
    concepts = explorer_data(changed, wordnet)["concepts"]
    assert concepts["lcs"][0] == -1
    assert concepts["images"][:3] == [1279, None, int(official.table["images"][2])]


def test_an_unknown_wnid_is_refused(official, wordnet):
    strange = Levels(official.table, ("n99999999",), official.recipe, official.report)
    with pytest.raises(CogError, match="n99999999"):
        explorer_data(strange, wordnet)


@pytest.fixture
def few_images(tmp_path, images) -> Path:
    """Four of each concept; of the first, one that is no image and one with an odd name."""
    root = tmp_path / "pictures"
    for folder in sorted(images.iterdir()):
        (root / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:4]:
            (root / folder.name / path.name).write_bytes(path.read_bytes())
    first = min(root.iterdir())
    paths = sorted(first.iterdir())
    paths[0].write_bytes(b"no image")
    paths[1].rename(first / 'a #1 "ü" 100%.png')
    return root


def test_thumbnails_are_squares_of_readable_images(tmp_path, few_images, wnids):
    folder = tmp_path / "out" / "thumbs"
    found = make_thumbnails(few_images, [*wnids, "n00001740"], folder, Silent())
    assert found.keys() == set(wnids)
    for wnid, urls in found.items():
        assert len(urls) == 3
        for url in urls:
            assert re.fullmatch(rf"thumbs/{wnid}-[0-9a-f]+\.jpg", url)
            with Image.open(folder.parent / url) as image:
                assert (image.size, image.format) == ((SIDE, SIDE), "JPEG")
    assert len(list(folder.iterdir())) == 3 * len(wnids)


def test_thumbnails_show_their_concept(tmp_path, few_images, wnids):
    """Every class of the drawn images has a hue of its own."""
    found = make_thumbnails(few_images, wnids, tmp_path / "thumbs", Silent())
    for wnid, urls in found.items():
        source = next(iter(sorted((few_images / wnid).glob("n*_1?.png")))).open("rb")
        with source, Image.open(source) as image:
            expected = np.asarray(image.convert("RGB")).mean((0, 1))
        for url in urls:
            with Image.open(tmp_path / url) as image:
                np.testing.assert_allclose(np.asarray(image).mean((0, 1)), expected, atol=12)


def test_thumbnails_go_on_where_they_were_cut_off(tmp_path, few_images, wnids):
    folder = tmp_path / "thumbs"
    first = make_thumbnails(few_images, wnids, folder, Silent())
    paths = sorted(folder.iterdir())
    paths[0].unlink()
    before = {path: path.stat().st_mtime_ns for path in paths[1:]}
    (folder / ".half.jpg.partial").touch()
    assert make_thumbnails(few_images, wnids, folder, Silent()) == first
    assert paths[0].exists()
    assert {path: path.stat().st_mtime_ns for path in paths[1:]} == before


def test_the_command_writes_a_page_and_says_where(tmp_path, levels_folder, few_images):
    out = tmp_path / "there" / "levels.html"
    words = ["levels", "explore", levels_folder, "--out", out, "--images", few_images]
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [str(out)]
    assert "of 1,006 concepts have no image" in done.stderr
    embedded = re.search(r'id="explorer-data">(.*?)</script>', out.read_text(), re.DOTALL)
    assert embedded is not None
    thumbnails = json.loads(embedded[1])["thumbnails"]
    assert len(thumbnails) == 6
    for urls in thumbnails.values():
        assert all((out.parent / url).is_file() for url in urls)


def test_a_page_that_cannot_be_written_is_an_error(tmp_path, official):
    with pytest.raises(CogError, match="is a folder"):
        write_explorer(official, tmp_path, None, Silent())
    (tmp_path / "file").touch()
    with pytest.raises(CogError, match="cannot write"):
        write_explorer(official, tmp_path / "file" / "levels.html", None, Silent())
    with pytest.raises(CogError, match="there is no"):
        write_explorer(official, tmp_path / "levels.html", tmp_path / "gone", Silent())
