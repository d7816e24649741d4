"""Two runs compared: what moved, against oracles of the noise, and the status that CI sees."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from cog.cli.compare import compare
from cog.errors import CogError
from cog.results.compare_runs import EQUAL, MORE, WITHIN, compare_runs, rename_models
from cog.results.files import read_results, write_results
from cog.results.table import tidy
from tests.support.result_rows import ODD_NAMES, made_rows, write_runs

DATASETS = ("in1k", "cog_l1", "cog_l2")


def made(models=("a", "b"), **options):
    return made_rows(models, **{"datasets": DATASETS, "seeds": (22, 37, 45), **options})


def changed(rows, wanted=(), **values):
    """Copies of rows, those that match `wanted` with other values (or top1 moved by `by`)."""
    moved = values.pop("by", 0.0)
    copies = [dict(row) for row in rows]
    for row in copies:
        if all(row[name] == value for name, value in dict(wanted).items()):
            row |= values
            for name in ("top1", "top1_low", "top1_high"):
                row[name] += moved
    return copies


def run(*arguments, status=None):
    done = CliRunner().invoke(compare, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert status is None or done.exit_code == status, done.output
    return done


def test_a_folder_is_equal_to_its_csv(tmp_path):
    runs = write_runs(tmp_path / "runs", made(ODD_NAMES, shots=(4, "all")))
    done = run(runs, write_results(runs), status=0)
    count = len(ODD_NAMES) * len(DATASETS) * 2
    assert done.stdout == (
        f"{count} of {count} numbers equal, 0 moved within noise, 0 moved by more\n"
    )


def test_noise_of_seeds_is_the_paired_t_interval():
    rng = np.random.default_rng(5)
    first = [row | {"top1_low": None, "top1_high": None} for row in made(("a",))]
    second = [row | {"top1": row["top1"] + rng.normal()} for row in first]
    numbers = compare_runs(tidy(first), tidy(second)).numbers
    for name in DATASETS:
        pair = [[row["top1"] for row in rows if row["dataset"] == name] for rows in (second, first)]
        low, high = stats.ttest_rel(*pair).confidence_interval(0.95)
        found = numbers.set_index("dataset").loc[name]
        assert found["noise"] == pytest.approx((high - low) / 2)
        assert found["difference"] == pytest.approx((high + low) / 2)
        assert found["verdict"] == (WITHIN if low <= 0 <= high else MORE)


@pytest.mark.parametrize(("top1", "verdict"), [(54.9, WITHIN), (55.1, MORE), (45.9, WITHIN),
                                               (44.9, MORE), (50.0, EQUAL)])  # fmt: skip
def test_noise_of_images_is_of_the_sides_that_face_each_other(top1, verdict):
    """Up: √(4² + 3²) = 5; down: √(3² + 4²) = 5 with the ends the other way round."""
    one = made(("a",), datasets=("in1k",), seeds=(22,))[0] | {"top1": 50.0}
    first = one | ({"top1_low": 47.0, "top1_high": 54.0})
    second = one | {"top1": top1, "top1_low": top1 - 3.0, "top1_high": top1 + 4.0}
    number = compare_runs(tidy([first]), tidy([second])).numbers.iloc[0]
    assert number["verdict"] == verdict
    if verdict != EQUAL:
        assert number["noise"] == pytest.approx(5.0)


def test_seeds_and_images_join_and_constant_shifts_have_no_noise_of_seeds():
    first = made(("a",))
    numbers = compare_runs(tidy(first), tidy(changed(first, by=0.5))).numbers
    assert numbers["noise"].to_numpy() == pytest.approx(np.hypot(0.4, 0.4))
    assert (numbers["verdict"] == WITHIN).all()


def test_without_any_noise_known_every_difference_counts():
    one = made(("a",), datasets=("in1k",), seeds=(22,))[0] | {"top1_low": None, "top1_high": None}
    found = compare_runs(tidy([one]), tidy([one | {"top1": one["top1"] + 1e-3}]))
    assert found.numbers["verdict"].tolist() == [MORE]


def test_seeds_that_cancel_are_not_equal():
    rows = made(("a",), datasets=("in1k",), seeds=(1, 2))
    for row, top1 in zip(rows, (50.0, 51.0), strict=True):
        row["top1"] = top1
    swapped = [row | {"top1": 101.0 - row["top1"]} for row in rows]
    number = compare_runs(tidy(rows), tidy(swapped)).numbers.iloc[0]
    assert (number["difference"], number["verdict"]) == (0.0, WITHIN)


def test_the_other_way_round_only_the_sign_changes():
    first, second = tidy(made(seed=1)), tidy(made(seed=2))
    there, back = (
        compare_runs(*pair).numbers.sort_values(["model", "dataset"], ignore_index=True)
        for pair in ((first, second), (second, first))
    )
    assert there["difference"].to_numpy() == pytest.approx(-back["difference"].to_numpy())
    assert there["noise"].to_numpy() == pytest.approx(back["noise"].to_numpy())
    assert there["verdict"].tolist() == back["verdict"].tolist()


def test_those_that_moved_the_most_come_first():
    first = made()
    second = changed(first, {"model": "b", "dataset": "cog_l1"}, by=-3.0)
    second = changed(second, {"model": "a", "dataset": "in1k"}, by=2.0)
    found = compare_runs(tidy(first), tidy(second))
    top = found.numbers.head(2)
    assert list(zip(top["model"], top["dataset"], strict=True)) == [("b", "cog_l1"), ("a", "in1k")]
    assert found.numbers["difference"].abs().is_monotonic_decreasing
    assert len(found.moved()) == 2
    assert len(found.moved(2.5)) == 1


@pytest.mark.parametrize(("options", "status"), [
    ((), 1), (("--tolerance", "0.6"), 0), (("--tolerance", 0.59), 1),
])  # fmt: skip
def test_the_status_says_whether_anything_moved_past_the_tolerance(tmp_path, options, status):
    rows = made(("a",), seeds=(22,))
    first = write_runs(tmp_path / "first", rows)
    second = write_runs(tmp_path / "second", changed(rows, {"dataset": "cog_l1"}, by=0.6))
    done = run(first, second, *options, status=status)
    assert (
        "2 of 3 numbers equal, 0 moved within noise, 1 moved by more (up to +0.60)" in done.stdout
    )
    assert "more than noise  a cog_l1 logreg-sgd, shots all, 1 seed\n" in done.stdout


def test_within_noise_passes_but_not_a_smaller_tolerance(tmp_path):
    rows = made(("a",), seeds=(22,))
    first = write_runs(tmp_path / "first", rows)
    second = write_runs(tmp_path / "second", changed(rows, by=0.5))
    run(first, second, status=0)
    assert "3 past the tolerance of 0.1" in run(first, second, "--tolerance", 0.1, status=1).stdout


def test_rows_of_one_side_are_named_and_count(tmp_path):
    rows = made()
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
    one, other = (write_runs(tmp_path / name, made((name,))) for name in ("one", "other"))
    with pytest.raises(CogError, match="the first has one, the second other"):
        run(one, other, "--allow-missing")


def test_each_cause_is_named_once(tmp_path):
    rows = made()
    first = write_runs(tmp_path / "first", rows)
    other = changed(rows, torch_version="2.7.0", n_unreadable=1)
    for number, row in enumerate(other):
        row["features_hash"] = f"{number:016}"
    second = write_runs(tmp_path / "second", changed(other, by=0.1))
    lines = run(first, second, status=0).stdout.splitlines()
    causes = [line for line in lines if line.startswith("differs: ")]
    assert len(causes) == 3
    assert causes[0].startswith("differs: features_hash, 0")
    assert "differs: n_unreadable, 0 → 1, in 18 of 18 rows" in causes
    assert "differs: torch_version, 2.6.0 → 2.7.0, in 18 of 18 rows" in causes


def test_another_checkpoint_against_an_old_one_of_the_same_folder(tmp_path):
    rows = made(("old", "new", "bystander"))
    runs = write_runs(tmp_path / "runs", rows)
    done = run(runs, runs, "--rename", "old=new", "--csv", "-")
    table = pd.read_csv(io.StringIO(done.stdout)).set_index(["model", "dataset"])
    means = tidy(rows).groupby(["model", "dataset"])["top1"].mean()
    assert len(table) == 6
    assert (table.loc["bystander", "verdict"] == EQUAL).all()
    for name in DATASETS:
        expected = means["new", name] - means["old", name]
        assert table.loc[("new", name), "difference"] == pytest.approx(expected)
    assert "features_hash" in done.stderr


def test_models_may_change_names_with_each_other():
    table = tidy(made())
    first, second = rename_models(table, table, {"a": "b", "b": "a"})
    assert len(first) == len(second) == len(table)
    assert (
        first[first["model"] == "b"]["top1"].tolist()
        == table[table["model"] == "a"]["top1"].tolist()
    )


@pytest.mark.parametrize("names", [{"c": "a"}, {"a": "c"}, {"a": "b", "b": "b"}])
def test_names_that_cannot_be(names):
    table = tidy(made())
    with pytest.raises(CogError):
        rename_models(table, table, names)


def test_rename_wants_two_names(tmp_path):
    assert "OLD=NEW" in run(tmp_path, tmp_path, "--rename", "old", status=2).stderr


def test_csv_keeps_every_digit_and_odd_names(tmp_path):
    rows = made(ODD_NAMES)
    first = write_runs(tmp_path / "first", rows)
    second = write_runs(tmp_path / "second", made(ODD_NAMES, seed=1))
    done = run(first, second, "--csv", "-", status=1)
    found = list(csv.DictReader(io.StringIO(done.stdout)))
    numbers = compare_runs(read_results(first), read_results(second)).numbers
    for name in ("difference", "noise"):
        assert [float(row[name]) for row in found] == numbers[name].tolist()
    assert {row["model"] for row in found} == set(ODD_NAMES)
    assert "numbers equal" in done.stderr


def test_a_cell_cut_short_is_named_and_missing(tmp_path):
    rows = made(("a",))
    first = write_runs(tmp_path / "first", rows)
    second = write_runs(tmp_path / "second", rows)
    broken = next((second / "model-0" / "cells").glob("in1k--*--22.json"))
    broken.write_text(broken.read_text()[:99])
    done = run(first, second, status=1)
    assert str(broken) in done.stderr
    assert "only in the first: a in1k logreg-sgd, shots all, seed 22" in done.stdout


def test_a_tolerance_is_a_number_and_cells_left_out_count(tmp_path):
    runs = write_runs(tmp_path / "runs", made(("a",), seeds=(22,)))
    run(runs, runs, "--tolerance", "nan", status=2)
    run(runs, runs, status=0)
    (runs / "model-0" / "cells" / "cut.json").write_text("{")
    assert "cut.json" in run(runs, runs, status=1).output
