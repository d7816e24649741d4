"""The commands `cog build-levels` and `cog levels …`: what they print, write and exit with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cog.cli.main import main
from cog.errors import CogError
from cog.levels.files import read_levels
from cog.wordnet.concept_lists import read_wnids
from tests.support.runs import call_cog

OURS = ("cog.cli.levels", "cog.cli.similarity")
SMALL = read_wnids("official")[::100]


def cog(*words: object) -> tuple[int, str]:
    """Exit status and standard output of a command; a CogError comes through."""
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    return done.exit_code, done.stdout


@pytest.fixture
def official(official_build) -> Path:
    return official_build[0]


def test_the_default_prints_what_each_filter_removes(default_build):
    folder, said = default_build
    for line in ("-999 seen", "-761 ancestors", "-10414 fewer", "-70 excluded", "5146 eligible"):
        assert line in said
    assert said.splitlines()[-1] == str(folder)


def test_official_list_says_that_filters_are_skipped(official_build):
    folder, said = official_build
    assert "0 seen" in said
    assert "skips all other filters" in said
    assert read_levels(folder).fingerprint == read_levels().fingerprint


def test_every_filter_has_its_switch(tmp_path):
    switches = ("--no-drop-seen-ancestors", "--no-drop-persons", "--no-min-images",
                "--no-leaves-only", "--no-exclusions")  # fmt: skip
    status, said = cog("build-levels", *switches, "--out", tmp_path / "all")
    assert status == 0
    assert f"{21841 - 999} eligible" in said


def test_own_seen_universe_and_images(tmp_path):
    """Another benchmark: 12 of 50 concepts have two images or more, in four levels of three."""
    for number, wnid in enumerate(SMALL):
        folder = tmp_path / "images" / wnid
        folder.mkdir(parents=True)
        for k in range(1 + (number < 12)):
            (folder / f"{k}.png").touch()
    (tmp_path / "seen.txt").write_text("n02084071\nn02121620\n")
    images, out = tmp_path / "images", tmp_path / "out"
    words = ["--seen", tmp_path / "seen.txt", "--universe", images, "--images", images,
             "--min-images", 2, "--n-levels", 4, "--size", 3, "--spacing", "adjacent"]  # fmt: skip
    status, said = cog("build-levels", *words, "--out", out)
    assert status == 0
    assert "-38 fewer than 2 pictures" in said
    built = read_levels(out)
    assert set(built.table["wnid"]) == set(SMALL[:12])
    assert set(built.table["images"]) == {2}
    assert cog("levels", "check", out) == (0, f"{out}: sound\n")


def test_what_is_no_image_is_said_where_images_are_counted(tmp_path):
    for number, wnid in enumerate(SMALL[:4]):
        (tmp_path / "images" / wnid / "images").mkdir(parents=True)
        (tmp_path / "images" / wnid / ("1.png" if number else "1.avif")).touch()
        (tmp_path / "images" / wnid / "images" / "2.png").touch()
    images = str(tmp_path / "images")
    words = ["build-levels", "--universe", images, "--images", images, "--min-images", "1",
             "--n-levels", "1", "--size", "3", "--out", str(tmp_path / "out")]  # fmt: skip
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "1 entries of the folders are not images of a class: 1 .avif" in done.stderr
    assert "4 images in 4 sub-folders" in done.stderr
    assert ".avif" not in (tmp_path / "out" / "levels.json").read_text()


def test_other_content_is_kept_without_overwrite(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "mine.txt").write_text("\n".join(SMALL))
    words = ("build-levels", "--eligible", tmp_path / "mine.txt", "--size", 10, "--out", tmp_path)
    with pytest.raises(CogError, match="--overwrite"):
        cog(*words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "notes.txt"]
    assert cog(*words, "--overwrite")[0] == 0
    assert cog("levels", "check", tmp_path)[0] == 0


def test_too_few_concepts_is_an_error_of_two_lines(tmp_path):
    (tmp_path / "mine.txt").write_text("\n".join(SMALL))
    done = call_cog("build-levels", "--eligible", tmp_path / "mine.txt", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2
    assert "found 50" in done.stderr
    assert "--size 10" in done.stderr
    assert not (tmp_path / "built-levels").exists()


@pytest.mark.parametrize("name", ["L3", "l3", "3", "cog_l3"])
def test_show_lists_a_level(name, official):
    status, said = cog("levels", "show", name, "--levels", official)
    lines = said.splitlines()
    assert status == 0
    assert len(lines) == 1001
    assert lines[0].startswith("L3: 1000 concepts, 0.64130 to 0.51324")
    assert {line.split()[2] for line in lines[1:]} == set(read_levels().wnids(3))


def test_show_gives_rows_of_the_table():
    said = cog("levels", "show", "L1", "--csv")[1].splitlines()
    assert (
        said
        == (Path(__file__).parents[2] / "levels" / "levels.csv").read_text().splitlines()[:1001]
    )


@pytest.mark.parametrize("name", ["L6", "far"])
def test_show_knows_no_other_level(name):
    with pytest.raises(CogError, match="unknown level"):
        cog("levels", "show", name)


def test_explain_shows_the_formula_with_its_numbers():
    said = cog("levels", "explain", "n03467796")[1]
    for part in ("in L1", "path      entity.n.01 > ", "pick.n.05", "lin = ", " = 0.964345"):
        assert part in said


def test_explain_names_the_sense_that_it_took():
    done = CliRunner().invoke(main, ["levels", "explain", "teacher"])
    assert "took the first sense" in done.stderr
    assert "persons" in done.stdout


def test_explain_names_what_joins_the_corpus():
    done = CliRunner().invoke(main, ["levels", "explain", "happiness"])
    assert "not in the corpus, added with its ancestors: happiness.n.01" in done.stderr
    assert "(the nearest seen concept)" in done.stdout
    assert "lin = 2·IC(s)" in done.stdout


def test_the_example_of_explain_is_in_a_level():
    command = main.commands["levels"].commands["explain"]
    word = command.help.split("cog levels explain ")[1].split()[0]
    assert ": in L" in cog("levels", "explain", word)[1]


@pytest.mark.parametrize(
    "words",
    [
        ("--min-images", 5, "--no-min-images"),
        ("--exclude", "official", "--no-exclusions"),
        ("--images", "images", "--counts", "counts.csv"),
    ],
)
def test_options_that_contradict_each_other_are_refused(words, tmp_path):
    with pytest.raises(CogError, match="contradict") as caught:
        cog("build-levels", *words, "--out", tmp_path / "out")
    assert all(word in caught.value.what for word in words if str(word).startswith("--"))


def test_filters_that_a_list_skips_are_named(tmp_path):
    (tmp_path / "mine.txt").write_text("\n".join(SMALL))
    words = ["--eligible", str(tmp_path / "mine.txt"), "--min-images", "5", "--no-drop-persons"]
    out = ["--size", "10", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, ["build-levels", *words, *out])
    assert done.exit_code == 0
    assert "these have no effect: --drop-persons, --min-images" in done.stderr


def test_a_line_of_help_is_whole():
    """`cog --help` cuts a longer one."""
    groups = (main, main.commands["levels"])
    commands = [command for group in groups for command in group.commands.values()]
    ours = [command for command in commands if command.callback.__module__ in OURS]
    assert len(ours) == 8
    assert not [command.name for command in ours if command.get_short_help_str().endswith("...")]


def test_compare_exits_with_1_where_levels_differ(official, default_build):
    assert cog("levels", "compare", official, "official")[0] == 0
    status, said = cog("levels", "compare", "official", default_build[0])
    assert status == 1
    assert "4973 of 5000 concepts agree" in said
    assert "n01530439 chaffinch.n.01: none → L2" in said


def test_check_exits_with_1_where_something_is_wrong(official, tmp_path):
    shutil.copytree(official, tmp_path / "levels")
    table = tmp_path / "levels" / "levels.csv"
    table.write_text(table.read_text().replace("n03467796", "n02084071", 1))
    status, said = cog("levels", "check", tmp_path / "levels")
    assert status == 1
    assert "not the file that levels.json was written with" in said


def test_a_folder_without_levels_is_an_error(tmp_path):
    for words in (("check", tmp_path), ("compare", tmp_path, "official")):
        with pytest.raises(CogError, match="no levels in"):
            cog("levels", *words)
