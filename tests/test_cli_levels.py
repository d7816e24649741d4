"""The commands `cog build-levels` and `cog levels …`: what they print, write and exit with."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cog.cli import main
from cog.concept_lists import read_wnids
from cog.errors import CogError
from cog.levels import read_levels

SMALL = read_wnids("official")[::100]


def cog(*words: object) -> tuple[int, str]:
    """Exit status and standard output of a command; a CogError comes through."""
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    return done.exit_code, done.stdout


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("levels") / "official"
    cog("build-levels", "--eligible", "official", "--out", folder)
    return folder


def test_default_in_two_seconds_with_process_start(tmp_path):
    """Seconds of the processor: on a quiet machine those of the clock, on a busy one still ours."""
    seconds = []
    for number in range(2):
        words = [sys.executable, "-m", "cog", "build-levels", "--out", str(tmp_path / str(number))]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    for line in ("-999 seen", "-761 ancestors", "-10414 fewer", "-70 excluded", "5146 eligible"):
        assert line in done.stdout
    assert done.stdout.splitlines()[-1] == str(tmp_path / "1")
    assert min(seconds) <= 2.0


def test_official_list_says_that_filters_are_skipped(tmp_path):
    status, said = cog("build-levels", "--eligible", "official", "--out", tmp_path / "levels")
    assert status == 0
    assert "0 seen" in said
    assert "skips all other filters" in said
    assert read_levels(tmp_path / "levels").fingerprint == read_levels().fingerprint


def test_every_filter_has_its_switch(tmp_path):
    switches = ("--no-drop-seen-ancestors", "--no-drop-persons", "--no-min-images",
                "--no-leaves-only", "--no-exclusions")  # fmt: skip
    status, said = cog("build-levels", *switches, "--out", tmp_path / "all")
    assert status == 0
    assert f"{21841 - 999} eligible" in said


def test_own_seen_universe_and_pictures(tmp_path):
    """Another benchmark: 12 of 50 concepts have two pictures or more, in four levels of three."""
    for number, wnid in enumerate(SMALL):
        folder = tmp_path / "pictures" / wnid
        folder.mkdir(parents=True)
        for k in range(1 + (number < 12)):
            (folder / f"{k}.png").touch()
    (tmp_path / "seen.txt").write_text("n02084071\nn02121620\n")
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    words = ["--seen", tmp_path / "seen.txt", "--universe", pictures, "--images", pictures,
             "--min-images", 2, "--n-levels", 4, "--size", 3, "--spacing", "adjacent"]  # fmt: skip
    status, said = cog("build-levels", *words, "--out", out)
    assert status == 0
    assert "-38 fewer than 2 pictures" in said
    built = read_levels(out)
    assert set(built.table["wnid"]) == set(SMALL[:12])
    assert set(built.table["images"]) == {2}
    assert cog("levels", "check", out) == (0, f"{out}: sound\n")


def test_other_content_is_kept_unless_overwrite_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    words = ("build-levels", "--eligible", "official", "--out", tmp_path)
    with pytest.raises(CogError, match="--overwrite"):
        cog(*words)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert cog(*words, "--overwrite")[0] == 0
    assert cog("levels", "check", tmp_path)[0] == 0


def test_too_few_concepts_is_an_error_of_two_lines(tmp_path):
    (tmp_path / "mine.txt").write_text("\n".join(SMALL))
    words = [sys.executable, "-m", "cog", "build-levels", "--eligible", str(tmp_path / "mine.txt")]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
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
        == (Path(__file__).parents[1] / "levels" / "levels.csv").read_text().splitlines()[:1001]
    )


@pytest.mark.parametrize("name", ["L6", "far"])
def test_show_knows_no_other_level(name):
    with pytest.raises(CogError, match="unknown level"):
        cog("levels", "show", name)


def test_explain_shows_the_formula_with_its_numbers():
    said = cog("levels", "explain", "n03467796")[1]
    for part in ("in L1", "path      entity.n.01 > ", "pick.n.05", "lin = ", " = 0.964345"):
        assert part in said


def test_explain_tells_what_it_took(official):
    done = CliRunner().invoke(main, ["levels", "explain", "teacher"])
    assert "took the first sense" in done.stderr
    assert "persons" in done.stdout


def test_compare_exits_with_1_where_levels_differ(official, tmp_path):
    assert cog("levels", "compare", official, "official")[0] == 0
    cog("build-levels", "--out", tmp_path / "default")
    status, said = cog("levels", "compare", "official", tmp_path / "default")
    assert status == 1
    assert "4973 of 5000 concepts agree" in said
    assert "n01530439 chaffinch.n.01: none → L2" in said


def test_check_exits_with_1_where_something_is_wrong(official, tmp_path):
    cog("build-levels", "--eligible", "official", "--out", tmp_path / "levels")
    table = tmp_path / "levels" / "levels.csv"
    table.write_text(table.read_text().replace("n03467796", "n02084071", 1))
    status, said = cog("levels", "check", tmp_path / "levels")
    assert status == 1
    assert "not the file that levels.json was written with" in said


def test_a_folder_without_levels_is_an_error(tmp_path):
    for words in (("check", tmp_path), ("compare", tmp_path, "official")):
        with pytest.raises(CogError, match="no levels in"):
            cog("levels", *words)
