"""Suites: the files of the program, those of users, and what is missing of them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cog.cli.main import main
from cog.datasets.dataset import DatasetOptions
from cog.datasets.find import find_datasets
from cog.datasets.labelled.published import PUBLISHED
from cog.datasets.suites.at_root import with_suites
from cog.datasets.suites.suite import read_suite, suite_names
from cog.errors import CogError
from cog.levels.files import read_levels
from cog.recipe import Recipe
from tests.support.labelled_images import counts, draw

GOOD = (
    'about = "two sets"\n[protocols.p]\nabout = "a"\nc = [1, 10]\n[sets.birds]\nsource = "birds"\n'
)


def written(folder, text):
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_of_ours_is_sound_and_is_shown(name):
    suite = read_suite(name)
    assert suite.sets
    for each in suite.sets.values():
        if each.source.startswith("torchvision:"):
            kind = each.source.removeprefix("torchvision:").partition("@")[0]
            assert each.metric in ("", PUBLISHED[kind].metric)
    shown = CliRunner().invoke(main, ["suites", "show", name]).output
    assert all(f"\n{key}\n" in shown for key in (*suite.sets, *suite.test_sets))
    assert name in CliRunner().invoke(main, ["suites", "list"]).output


def test_what_is_missing_under_the_root_is_shown(tmp_path):
    (tmp_path / "flowers-102" / "jpg").mkdir(parents=True)
    (tmp_path / "SUN397").mkdir()
    done = CliRunner().invoke(main, ["suites", "show", "transfer", "--data", str(tmp_path)])
    assert done.exit_code == 1
    blocks = {block.split("\n")[0]: block for block in done.output.split("\n\n")}
    lacking = "flowers-102/imagelabels.mat, flowers-102/setid.mat"
    assert f"missing   {lacking} in {tmp_path}" in blocks["flowers"]
    assert "missing   nothing" in blocks["sun397"]


def test_a_file_of_the_user_has_the_same_form(tmp_path):
    suite = read_suite(written(tmp_path, GOOD + '[test_sets."birds/drawn"]\nsource = "drawn"\n'))
    assert (suite.name, suite.protocols["p"].c) == ("mine", (1.0, 10.0))
    assert suite.sets["birds"].path == "birds"
    assert list(suite.every) == ["birds", "birds/drawn"]


def test_a_protocol_says_how_many_images_a_seeded_draw_takes_for_testing(tmp_path):
    for name in ("birds", "fish"):
        draw(tmp_path / name, {"a": 5, "b": 6})
    text = GOOD.replace("c = ", "test_per_class = 1\nc = ") + 'protocol = "p"\n'
    suite = written(tmp_path, text + '[sets.fish]\nsource = "fish"\n')
    options, _ = with_suites(DatasetOptions(suites=(str(suite),), data=tmp_path))
    birds, fish = find_datasets(options, read_levels(None), Recipe(test_per_class=3))
    assert counts(birds) == ({"a": 4, "b": 5}, {"a": 1, "b": 1})
    assert counts(fish) == ({"a": 2, "b": 3}, {"a": 3, "b": 3})
    recorded = [each.recipe(Recipe(test_per_class=3)).test_per_class for each in (birds, fish)]
    assert recorded == [1, 3]


def test_shift_has_the_published_counts_and_domains_by_their_lists():
    """ImageNet's from the papers; DomainNet's from the cleaned lists: 176,743 test lines in all."""
    suite = read_suite("shift")
    sizes = {key: (each.classes, each.test) for key, each in suite.every.items()}
    assert sizes["in1k/v2"] == (1000, 10_000)
    assert sizes["in1k/r"] == (200, 30_000)
    assert sizes["in1k/a"] == (200, 7_500)
    assert sizes["in1k/sketch"] == (1000, 50_889)
    assert sizes["in1k/real"] == (1000, 46_837)
    domains = [key for key in sizes if key.startswith("real")]
    assert len(domains) == 6
    assert sum(sizes[key][1] for key in domains) == 176_743
    assert all(suite.test_sets[key].source.endswith("_test.txt") for key in domains[1:])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[test_sets."fish/drawn"]\nsource = "a"', "expected SET/NAME with one of birds"),
        ('[test_sets.birds]\nsource = "a"', "a test set cannot be called 'birds'"),
        ('[test_sets."birds/x"]\nsource = "a"\nmetric = "top1"', "test_sets.birds/x.metric: exp"),
        ('[test_sets."birds/x"]\nsource = "a"\nprotocol = "p"', "birds/x.protocol: expected none"),
        ('[test_sets."birds/x"]\nsource = "a"\ntrain = 3', "birds/x.train: expected none"),
        ('[test_sets."birds/x"]\nsorce = "a"', "unknown key"),
    ],
)
def test_what_is_wrong_of_a_test_set_is_named_by_its_key(tmp_path, table, said):
    with pytest.raises(CogError) as error:
        read_suite(written(tmp_path, f"{GOOD}{table}\n"))
    assert said in error.value.what


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('source = "birds"', 'sorce = "birds"', "sets.birds.sorce"),
        ('source = "birds"', "", "sets.birds.source: expected a text, found nothing"),
        ('source = "birds"', "source = 3", "sets.birds.source: expected a text"),
        ('source = "birds"', 'source = "torchvision:DTD"', "sets.birds.source: expected a path"),
        ('source = "birds"', 'source = "birds"\nprotocol = "q"', "sets.birds.protocol: expected"),
        ('source = "birds"', 'source = "birds"\nmetric = "map"', "sets.birds.metric: expected one"),
        ('source = "birds"', 'source = "birds"\ntrain = -1', "sets.birds.train: expected no"),
        (
            'source = "birds"',
            'source = "birds"\ntrain = true',
            "sets.birds.train: expected a whole",
        ),
        ('source = "birds"', 'source = "birds"\nneeds = "a"', "sets.birds.needs: expected a list"),
        ("c = [1, 10]", "c = [10, 1]", "protocols.p.c: expected two numbers"),
        ("c = [1, 10]", 'solver = "adam"', "protocols.p.solver: expected one of sgd, lbfgs"),
        ("c = [1, 10]", 'norm = "l1"', "protocols.p.norm: expected one of l2"),
        ('about = "two sets"', "", "about: expected a text"),
        ("[sets.birds]", "[sets.'a b']", "cannot be called 'a b'"),
        ('[sets.birds]\nsource = "birds"', "", "sets: expected one set or more"),
        ('[sets.birds]\nsource = "birds"', "[[sets]]", "sets: expected tables"),
        ('about = "two sets"', "about =", "is no suite: Invalid value"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_by_its_key(tmp_path, old, new, said):
    assert old in GOOD
    with pytest.raises(CogError) as error:
        read_suite(written(tmp_path, GOOD.replace(old, new)))
    assert said in error.value.what


def test_an_unknown_suite_is_refused(tmp_path):
    with pytest.raises(CogError, match="unknown suite 'transfr'\nnearest: transfer"):
        read_suite("transfr")
    with pytest.raises(CogError, match="cannot be read"):
        read_suite(tmp_path / "none.toml")
