"""`cog leaderboard`: the tables of many people on one page, none of their numbers changed."""

from __future__ import annotations

import pytest

from cog.csv_text import table_as_csv
from cog.errors import CogError
from cog.levels.files import read_levels
from cog.report.leaderboard import leaderboard_data
from cog.results.files import as_parquet
from cog.results.table import tidy
from tests.support.result_rows import made_rows
from tests.support.runs import call_cog

ROWS = made_rows(["dino", "moco", "clip"], ["in1k", "cog_l1"], seeds=(22, 37))
DINO, MOCO, CLIP = (
    [row for row in ROWS if row["model"] == name] for name in ("dino", "moco", "clip")
)


@pytest.fixture
def folder(tmp_path):
    """A table of ada's, a folder of runs of bob's, and one of tables of eve's."""
    for name in ("bob", "eve"):
        (tmp_path / "tables" / name).mkdir(parents=True)
    (tmp_path / "tables" / "ada.csv").write_text(table_as_csv(tidy(DINO), print))
    (tmp_path / "tables" / "bob" / "results.csv").write_text(table_as_csv(tidy(MOCO), print))
    (tmp_path / "tables" / "bob" / "unreadable.csv").write_text("split,path\n")
    (tmp_path / "tables" / "eve" / "clip.csv").write_text(table_as_csv(tidy(CLIP), print))
    return tmp_path / "tables"


def read(folder, *conditions: str):
    """The page's data, and the lines for the user."""
    lines: list[str] = []
    return leaderboard_data(folder, read_levels(), lines.append, lines.append, conditions), lines


def test_every_row_of_every_table_is_there(folder):
    data, lines = read(folder)
    assert data.results.equals(tidy(ROWS))
    assert lines == []
    assert data.tables == [
        "ada: 4 results of 1 models", "bob: 4 results of 1 models", "eve: 4 results of 1 models"
    ]  # fmt: skip
    assert set(data.table["model"]) == {"dino", "moco", "clip"}


def test_parquet_is_a_table_too(folder):
    pytest.importorskip("pyarrow")
    (folder / "ada.csv").unlink()
    (folder / "ada.parquet").write_bytes(as_parquet(tidy(DINO)))
    assert read(folder)[0].results.equals(tidy(ROWS))


def test_rows_that_two_have_alike_stand_once(folder):
    again = [DINO[0] | {"seconds": 61.5}, *MOCO]  # the same numbers on another day
    (folder / "zoe.csv").write_text(table_as_csv(tidy(again), print))
    data, lines = read(folder)
    assert data.results.equals(tidy(ROWS))
    assert lines == []


@pytest.mark.parametrize("change", [{"top1": 3.0}, {"model_fingerprint": "f" * 16}])
def test_one_name_of_two_models_says_whose(folder, change):
    (folder / "zoe.csv").write_text(table_as_csv(tidy([DINO[0] | change, *CLIP]), print))
    data, lines = read(folder)
    assert set(data.results["model"]) == {"dino (ada)", "dino (zoe)", "moco", "clip"}
    own = data.results[data.results["model"] == "dino (zoe)"]
    assert own["top1"].tolist() == [(DINO[0] | change)["top1"]]
    assert len(lines) == 1
    assert lines[0].startswith("dino is not the same")


def test_another_part_of_the_same_model_joins_it(folder):
    (folder / "ada.csv").write_text(table_as_csv(tidy(DINO[:2]), print))
    (folder / "zoe.csv").write_text(table_as_csv(tidy(DINO[2:]), print))
    assert read(folder)[0].results.equals(tidy(ROWS))


@pytest.mark.parametrize("change", [{"protocol": "other-1"}, {"recipe_hash": "x" * 16}])
def test_what_may_not_stand_in_one_table_is_refused(folder, change):
    (folder / "zoe.csv").write_text(
        table_as_csv(tidy(row | change | {"model": "zoe"} for row in DINO), print)
    )
    with pytest.raises(CogError, match=f"{next(iter(change))} differs") as raised:
        read(folder)
    assert "--where" in str(raised.value.hint)
    assert read(folder, "model!=zoe")[0].results.equals(tidy(ROWS))


def test_two_protocols_of_one_person_are_told_apart(folder):
    own = [row | {"protocol": "dino-knn-1", "top1": 9.0, "recipe_hash": "k" * 16} for row in CLIP]
    (folder / "eve" / "more.csv").write_text(table_as_csv(tidy(own), print))
    with pytest.raises(CogError, match="eve: results of the protocols cog, dino-knn"):
        read(folder)
    data, lines = read(folder, "protocol=cog-1")
    assert data.results.equals(tidy(ROWS))
    assert lines == []
    assert read(folder, "protocol=dino-knn-1")[0].results.equals(tidy(own))


def test_two_tables_of_one_person_that_differ_are_named(folder):
    (folder / "eve" / "more.csv").write_text(
        table_as_csv(tidy(row | {"top1": 9.0} for row in CLIP), print)
    )
    with pytest.raises(CogError, match=r"^eve: two results for clip"):
        read(folder)


def test_hidden_files_are_nobody_s(folder):
    (folder / ".ipynb_checkpoints").mkdir()
    for name in ("._ada.csv", ".ipynb_checkpoints/ada-checkpoint.csv"):
        (folder / name).write_text(table_as_csv(tidy(MOCO), print))
    data, lines = read(folder)
    assert len(data.tables) == 3
    assert lines == []


def test_the_command_names_what_it_leaves_out(folder, tmp_path):
    (folder / "notes.csv").write_text("a,b\n1,2\n")
    done = call_cog("leaderboard", folder, "--out", "index.html", cwd=tmp_path)
    assert done.returncode == 1
    assert "notes.csv is no table of results" in done.stderr
    page = (tmp_path / "index.html").read_text()
    for text in ("dino", "moco", "clip", "Table of ada: 4 results of 1 models"):
        assert text in page


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_tables(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CogError, match=name):
        read(tmp_path / name)
