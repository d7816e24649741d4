"""`cog compare`: what it prints and writes, and the exit status."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from click.testing import CliRunner

from cog.cli.compare import compare
from cog.errors import CogError
from cog.results.compare_runs import EQUAL, compare_runs
from cog.results.files import read_results, write_results
from cog.results.table import tidy
from tests.support.result_rows import (
    DATASETS,
    ODD_NAMES,
    changed_rows,
    three_seeds,
    write_runs,
)


def run(*arguments, status=None):
    done = CliRunner().invoke(compare, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert status is None or done.exit_code == status, done.output
    return done


def test_a_folder_is_equal_to_its_csv(tmp_path):
    runs = write_runs(tmp_path / "runs", three_seeds(ODD_NAMES, shots=(4, "all")))
    done = run(runs, write_results(runs), status=0)
    count = len(ODD_NAMES) * 3 * 2
    assert done.stdout == (
        f"{count} of {count} numbers equal, 0 moved within noise, 0 moved by more\n"
    )


@pytest.mark.parametrize(("options", "status"), [
    ((), 1), (("--tolerance", "0.6"), 0), (("--tolerance", 0.59), 1),
])  # fmt: skip
def test_the_status_says_whether_anything_moved_past_the_tolerance(tmp_path, options, status):
    rows = three_seeds(("a",), seeds=(22,))
    first = write_runs(tmp_path / "first", rows)
    second = write_runs(tmp_path / "second", changed_rows(rows, {"dataset": "cog_l1"}, by=0.6))
    done = run(first, second, *options, status=status)
    assert (
        "2 of 3 numbers equal, 0 moved within noise, 1 moved by more (up to +0.60)" in done.stdout
    )
    assert "more than noise  a cog_l1 logreg-sgd, shots all, 1 seed\n" in done.stdout


def test_within_noise_passes_but_not_a_smaller_tolerance(tmp_path):
    rows = three_seeds(("a",), seeds=(22,))
    first = write_runs(tmp_path / "first", rows)
    second = write_runs(tmp_path / "second", changed_rows(rows, by=0.5))
    run(first, second, status=0)
    assert "3 past the tolerance of 0.1" in run(first, second, "--tolerance", 0.1, status=1).stdout


def test_rows_of_one_side_are_named_and_count(tmp_path):
    rows = three_seeds()
    first = write_runs(tmp_path / "first", rows)
    fewer = [row for row in rows if (row["model"], row["seed"]) != ("b", 45)]
    second = write_runs(tmp_path / "second", fewer)
    done = run(first, second, "--csv", tmp_path / "out.csv", status=1)
    assert "only in the first: b cog_l2 logreg-sgd, shots all, seed 45\n" in done.stdout
    assert done.stdout.endswith("3 rows only in one\n")
    assert "only in the second: b in1k" in run(second, first, status=1).stdout
    run(first, second, "--allow-missing", status=0)
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["verdict"].value_counts().to_dict() == {EQUAL: 6, "only in the first": 3}
    assert table["second"].isna().sum() == 3


def test_nothing_in_common_is_an_error(tmp_path):
    one, other = (write_runs(tmp_path / name, three_seeds((name,))) for name in ("one", "other"))
    with pytest.raises(CogError, match="the first has one, the second other"):
        run(one, other, "--allow-missing")


def test_each_cause_is_named_once(tmp_path):
    rows = three_seeds()
    first = write_runs(tmp_path / "first", rows)
    other = changed_rows(rows, torch_version="2.7.0", n_unreadable=1)
    for number, row in enumerate(other):
        row["features_hash"] = f"{number:016}"
    second = write_runs(tmp_path / "second", changed_rows(other, by=0.1))
    lines = run(first, second, status=0).stdout.splitlines()
    causes = [line for line in lines if line.startswith("differs: ")]
    assert len(causes) == 3
    assert causes[0].startswith("differs: features_hash, 0")
    assert "differs: n_unreadable, 0 → 1, in 18 of 18 rows" in causes
    assert "differs: torch_version, 2.6.0 → 2.7.0, in 18 of 18 rows" in causes


def test_another_checkpoint_against_an_old_one_of_the_same_folder(tmp_path):
    rows = three_seeds(("old", "new", "bystander"))
    runs = write_runs(tmp_path / "runs", rows)
    done = run(runs, runs, "--rename", "old=new", "--csv", "-")
    table = pd.read_csv(io.StringIO(done.stdout)).set_index(["model", "dataset"])
    means = tidy(rows).groupby(["model", "dataset"])["top1"].mean()
    assert len(table) == 6
    assert (table.loc["bystander", "verdict"] == EQUAL).all()
    for name in DATASETS[:3]:
        expected = means["new", name] - means["old", name]
        assert table.loc[("new", name), "difference"] == pytest.approx(expected)
    assert "features_hash" in done.stderr


def test_rename_wants_two_names(tmp_path):
    assert "OLD=NEW" in run(tmp_path, tmp_path, "--rename", "old", status=2).stderr


def test_csv_keeps_every_digit_and_odd_names(tmp_path):
    rows = three_seeds(ODD_NAMES)
    first = write_runs(tmp_path / "first", rows)
    second = write_runs(tmp_path / "second", three_seeds(ODD_NAMES, seed=1))
    done = run(first, second, "--csv", "-", status=1)
    found = list(csv.DictReader(io.StringIO(done.stdout)))
    numbers = compare_runs(read_results(first), read_results(second)).numbers
    for name in ("difference", "noise"):
        assert [float(row[name]) for row in found] == numbers[name].tolist()
    assert {row["model"] for row in found} == set(ODD_NAMES)
    assert "numbers equal" in done.stderr


def test_a_cell_cut_short_is_named_and_missing(tmp_path):
    rows = three_seeds(("a",))
    first = write_runs(tmp_path / "first", rows)
    second = write_runs(tmp_path / "second", rows)
    broken = next((second / "model-0" / "cells").glob("in1k--*--22.json"))
    broken.write_text(broken.read_text()[:99])
    done = run(first, second, status=1)
    assert str(broken) in done.stderr
    assert "only in the first: a in1k logreg-sgd, shots all, seed 22" in done.stdout


def test_a_tolerance_is_a_number_and_cells_left_out_count(tmp_path):
    runs = write_runs(tmp_path / "runs", three_seeds(("a",), seeds=(22,)))
    run(runs, runs, "--tolerance", "nan", status=2)
    run(runs, runs, status=0)
    (runs / "model-0" / "cells" / "cut.json").write_text("{")
    assert "cut.json" in run(runs, runs, status=1).output
