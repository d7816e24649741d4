"""`cog results`: every view in every format, files, and what is left out."""

from __future__ import annotations

import io
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

from cog.cli.main import main
from cog.errors import CogError
from cog.results.files import read_results
from tests.support.rendered_tables import latex_rows, shown
from tests.support.result_rows import (
    MODELS,
    ODD_NAMES,
    made_rows,
    write_runs,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    datasets = ("in1k", "cog_l1", "cog_l5")
    rows = made_rows((*ODD_NAMES, "base"), datasets, seeds=(22, 37), shots=(2, "all"))
    return write_runs(tmp_path_factory.mktemp("runs"), rows)


def cog_results(*arguments):
    return CliRunner().invoke(main, ["results", *map(str, arguments)])


NAMES_OF = {
    "csv": lambda text: set(pd.read_csv(io.StringIO(text))["model"]),
    "markdown": lambda text: {row[0].rstrip("†") for row in shown(text).rows[1:]} - {"model"},
    "latex": lambda text: {row[0].rstrip("†") for row in latex_rows(text)[1:]} - {"model"},
}


def test_a_table_that_was_printed_is_read_again(runs, tmp_path):
    printed = cog_results(runs)
    (tmp_path / "results.csv").write_text(printed.output)
    assert cog_results(tmp_path / "results.csv").output == printed.output
    assert len(pd.read_csv(io.StringIO(printed.output))) == 6 * 3 * 2 * 2


@pytest.mark.parametrize("style", NAMES_OF)
@pytest.mark.parametrize("view", ["", "--wide", "--ranking", "--drop", "--baseline base"])
def test_every_view_in_every_format_has_every_name(runs, tmp_path, view, style):
    file = tmp_path / "table"
    done = cog_results(
        runs, *view.split(), "--where", "shots=all", "--format", style, "--out", file
    )
    assert (done.exit_code, done.output) == (0, f"{file}\n"), done.exception
    assert NAMES_OF[style](file.read_text()) == {*ODD_NAMES, "base"}


def test_parquet_is_the_same_table(runs, tmp_path):
    pytest.importorskip("pyarrow", reason="pip install 'imagenet-cog[parquet]'")
    done = cog_results(runs, "--parquet", tmp_path / "x.parquet", "--csv", tmp_path / "x.csv")
    assert done.output.split() == [str(tmp_path / "x.csv"), str(tmp_path / "x.parquet")]
    pd.testing.assert_frame_equal(
        read_results(tmp_path / "x.parquet"), read_results(tmp_path / "x.csv")
    )
    pd.testing.assert_frame_equal(read_results(tmp_path / "x.parquet"), read_results(runs))


def test_without_pyarrow_parquet_is_refused(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = cog_results(runs, "--parquet", tmp_path / "x.parquet").exception
    assert isinstance(error, CogError)
    assert "imagenet-cog[parquet]" in error.hint


def test_a_bad_cell_is_named_and_makes_the_exit_status_1(tmp_path):
    write_runs(tmp_path, made_rows(("a", "b"), seeds=(22,)))
    (tmp_path / "model-0" / "cells" / "short.json").write_text('{"row": ')
    done = cog_results(tmp_path, "--wide")
    assert done.exit_code == 1
    assert "short.json: cannot be read: it is no JSON" in done.stderr
    assert done.stdout.count("\n") == 3


def test_mixed_rows_are_in_the_tidy_table_alone(tmp_path):
    rows = made_rows(MODELS, seeds=(22,))
    for row in rows:
        row |= {"recipe_hash": "other"} if row["model"] == "c" else {}
    write_runs(tmp_path, rows)
    assert cog_results(tmp_path).exit_code == 0
    for view in (["--wide"], ["--ranking"], ["--baseline", "a"], ["--format", "latex"]):
        error = cog_results(tmp_path, *view).exception
        assert isinstance(error, CogError)
        assert "rrrrrrrrrrrrrrrr (a, b), other (c)" in error.what
        assert "--where 'model!=c'" in error.hint
    assert cog_results(tmp_path, "--wide", "--where", "model!=c").exit_code == 0


def test_a_protocol_can_be_asked_for(tmp_path):
    rows = made_rows(MODELS, seeds=(22,))
    for row in rows:
        row |= {"protocol": "cog-2"} if row["model"] == "c" else {}
    write_runs(tmp_path, rows)
    done = cog_results(tmp_path, "--wide", "--where", "protocol=cog-2")
    assert done.exit_code == 1
    assert done.stderr.count("is of protocol cog-1, not cog-2") == 1
    assert "cells/" in done.stderr
    assert "and 2 more: is of protocol" in done.stderr
    assert set(pd.read_csv(io.StringIO(done.stdout))["model"]) == {"c"}


def test_two_views_are_refused(runs):
    done = cog_results(runs, "--wide", "--drop")
    assert done.exit_code == 2
    assert "--wide and --drop" in done.stderr
