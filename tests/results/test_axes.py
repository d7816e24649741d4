"""Means by axis: against the formulas of their docstrings, worked out row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import sem

from cog.results.axes import joined_solvers
from cog.results.paper_tables import axis_sheets
from cog.results.summary import wide
from cog.results.table import tidy
from tests.support.result_rows import made_rows, one_row


def both():
    """Two models on in1k and two levels by SGD, on two own sets by L-BFGS."""
    tasks = [
        row | {"solver": "lbfgs", "metric": "mean_class", "mean_class": row["top1"] - 5}
        for row in made_rows(("a", "b"), ("dtd", "pets"))
    ]
    return made_rows(("a", "b"), ("in1k", "cog_l1", "cog_l2")) + tasks


def test_means_are_of_headline_metrics_with_errors_from_seeds_and_test_images():
    rows = both()
    found = wide(tidy(rows)).set_index("model")
    assert list(found["solver"]) == ["lbfgs+sgd"] * 2
    for model in ("a", "b"):
        values, errors, odds, odds_errors = [], [], [], []
        for dataset in ("dtd", "pets"):
            own = [r for r in rows if (r["model"], r["dataset"]) == (model, dataset)]
            metric = [row["mean_class"] for row in own]
            p = np.mean(metric) / 100
            values.append(100 * p)
            errors.append(math.hypot(sem(metric), 0.8 / (2 * 1.96)))
            odds.append(math.log(p / (1 - p)))
            odds_errors.append(errors[-1] / (100 * p * (1 - p)))
        row = found.loc[model]
        assert row["tasks"] == pytest.approx(np.mean(values))
        assert row["tasks_error"] == pytest.approx(math.hypot(*errors) / 2)
        assert row["tasks_log_odds"] == pytest.approx(np.mean(odds))
        assert row["tasks_log_odds_error"] == pytest.approx(math.hypot(*odds_errors) / 2)
        assert row["concepts"] == pytest.approx(row["levels"])
        assert (row["tasks_sets"], row["concepts_sets"], row["partial"]) == (2, 2, "")
    assert "domains" not in found


def test_all_or_nothing_right_has_finite_log_odds_half_an_image_away():
    rows = [one_row("a", "dtd", top1=100.0) | {"n_test": 50},
            one_row("a", "pets", top1=0.0) | {"n_test": 50}]  # fmt: skip
    row = wide(tidy(rows)).iloc[0]
    assert row["tasks"] == 50
    assert row["tasks_log_odds"] == pytest.approx(0)
    only = wide(tidy(rows[:1])).iloc[0]
    assert only["tasks_log_odds"] == pytest.approx(math.log(99))  # 49.5 of 50
    assert np.isnan(only["tasks_error"])


def test_a_model_without_a_set_or_with_fewer_classes_is_marked():
    rows = [row for row in both() if (row["model"], row["dataset"]) != ("b", "pets")]
    found = wide(tidy(rows)).set_index("model")
    assert found["partial"].to_dict() == {"a": "", "b": "tasks"}
    assert found["tasks_sets"].to_dict() == {"a": 2, "b": 1}
    lacking = [row | {"complete": row["dataset"] != "cog_l2"} for row in rows]
    assert wide(tidy(lacking)).set_index("model").loc["b", "partial"] == "concepts tasks"


def test_controls_have_no_means_by_axis():
    rows = both() + made_rows(("a+untrained",), ("cog_l1", "cog_l2"))
    found = wide(tidy(rows)).set_index("model")
    assert np.isnan(found.loc["a+untrained", "concepts"])


def test_solvers_are_joined_only_where_each_set_has_one_and_levels_share_theirs():
    table = tidy(both())
    assert set(joined_solvers(table)["solver"]) == {"lbfgs+sgd"}
    two = tidy([*both(), *(row | {"solver": "sgd"} for row in made_rows(("a",), ("dtd",)))])
    assert set(joined_solvers(two)["solver"]) == {"sgd", "lbfgs"}
    levels = made_rows(("a",), ("in1k", "cog_l1"))
    levels = [row | {"solver": "lbfgs" if row["dataset"] == "in1k" else "sgd"} for row in levels]
    assert set(joined_solvers(tidy(levels))["solver"]) == {"sgd", "lbfgs"}


def test_sheets_show_the_means_and_mark_partial_ones():
    rows = [row for row in both() if (row["model"], row["dataset"]) != ("b", "pets")]
    (sheet,) = axis_sheets(wide(tidy(rows)))
    assert sheet.header == (
        "model", "concepts (2)", "concepts, log odds", "tasks (2)", "tasks, log odds"
    )  # fmt: skip
    texts = [[entry.text for entry in row] for row in sheet.rows]
    assert [row[0] for row in texts] == ["a", "b"]
    assert "‡" not in texts[0][3]
    assert texts[1][3].endswith("‡")
    assert any("‡" in note for note in sheet.notes)


def test_test_sets_of_a_dataset_are_other_domains():
    further = [row | {"test_set": "v2"} for row in made_rows(("a",), ("in1k",), seed=1)]
    rows = made_rows(("a",), ("in1k", "cog_l1")) + further
    row = wide(tidy(rows)).iloc[0]
    assert row["domains"] == pytest.approx(row["in1k/v2"])
    assert row["domains_sets"] == row["concepts_sets"] == 1
    assert "tasks" not in row
