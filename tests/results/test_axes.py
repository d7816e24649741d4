"""Means by axis: against the formulas of their docstrings, worked out row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import sem

from cog.errors import CogError
from cog.results.axes import axis_notes, joined_solvers
from cog.results.differences import against
from cog.results.mixing import refuse_mixed
from cog.results.paper_tables import accuracy_sheets, axis_sheets
from cog.results.suites import Suites, read_suites, write_suites
from cog.results.summary import ranking, summary, wide
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
    assert not any("§" in text for row in texts for text in row)
    assert any("‡" in note for note in sheet.notes)


def test_test_sets_of_a_dataset_are_other_domains():
    further = [row | {"test_set": "v2"} for row in made_rows(("a",), ("in1k",), seed=1)]
    rows = made_rows(("a",), ("in1k", "cog_l1")) + further
    row = wide(tidy(rows)).iloc[0]
    assert row["domains"] == pytest.approx(row["in1k/v2"])
    assert row["domains_sets"] == row["concepts_sets"] == 1
    assert "tasks" not in row


def shifted(seed, models=("a",)):
    """Rows of in1k and three further test sets, which rise and fall together from seed to seed."""
    rng = np.random.default_rng(seed)
    rows = made_rows(models, ("in1k",), seed=seed)
    common = {row["seed"]: rng.normal(scale=3) for row in rows}
    for name, alone in (("v2", 2.0), ("r", 1.0), ("sketch", 0.5)):
        rows += [
            row | {"test_set": name, "top1": 50 + common[row["seed"]] + rng.normal(scale=alone)}
            for row in rows
            if "test_set" not in row
        ]
    return rows


def test_the_error_over_test_sets_of_one_probe_is_that_of_their_sum():
    """By Gauss: the weights times the covariance of seeds, plus that of the images of each set."""
    rows = [row for row in shifted(3) if "test_set" in row]
    names = ("v2", "r", "sketch")
    values = np.array([[r["top1"] for r in rows if r["test_set"] == name] for name in names])
    of_test = [(r["top1_high"] - r["top1_low"]) / (2 * 1.96) for r in rows[:: values.shape[1]]]
    covariance = np.cov(values) / values.shape[1] + np.diag(np.square(of_test))
    p = values.mean(axis=1) / 100
    found = wide(tidy(shifted(3))).iloc[0]
    for name, weights in (("domains", np.ones(3)), ("domains_log_odds", 1 / (100 * p * (1 - p)))):
        weights = weights / 3
        assert found[f"{name}_error"] == pytest.approx((weights @ covariance @ weights) ** 0.5)
    alone = np.sqrt(np.diag(covariance).sum()) / 3
    assert found["domains_error"] > 1.3 * alone  # as if they were independent


def test_the_error_is_the_spread_of_the_mean_over_repeated_runs():
    """Of 400 runs with seeds and images drawn again; the interval of 95 % is 0.8 points each."""
    rng = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(400):
        probe, rows = rng.normal(scale=1.0, size=5), []
        for name in ("v2", "r"):
            images = rng.normal(scale=0.8 / (2 * 1.96))  # all seeds share them
            rows += [
                one_row("a", "in1k", seed=seed, top1=top1)
                | {"test_set": name, "top1_low": top1 - 0.4, "top1_high": top1 + 0.4}
                for seed, top1 in enumerate(60 + probe + images)
            ]
        found = wide(tidy(rows)).iloc[0]
        means.append(found["domains"])
        errors.append(found["domains_error"])
    assert np.std(means) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=0.1)


def test_a_set_that_every_model_lacks_makes_means_partial_from_another_process(tmp_path):
    """Two runs differ in what they left out; each adds to what is known, in any order."""
    write_suites(tmp_path, Suites({"transfer": ("aircraft", "pets")}, {"dtd": "small"}))
    write_suites(tmp_path, Suites({"transfer": ("aircraft",), "shift": ("in1k/v2",)}))
    write_suites(tmp_path, Suites())
    assert len(list((tmp_path / "splits/suites").iterdir())) == 2
    known = read_suites(tmp_path)
    assert set(known.left_out["transfer"]) == {"aircraft", "pets"}
    found = wide(tidy(both()), known)
    assert set(found["partial"]) == {"tasks"}  # in1k/v2: nothing there of which it could be partial
    aircraft = made_rows(("a", "b"), ("aircraft",))
    ridge = [row | {"probe": "ridge", "solver": "exact"} for row in aircraft]
    assert set(wide(tidy([*both(), *ridge]), known)["partial"]) == {"tasks"}  # of either probe
    aircraft = [row | {"solver": "lbfgs"} for row in aircraft]
    assert set(wide(tidy([*both(), *aircraft]), known)["partial"]) == {""}
    (note, *others) = axis_notes(tidy(both()), known)
    assert note == "in1k/v2 of the suite shift were missing: means over domains are partial"
    assert others[0] == "aircraft of the suite transfer were missing: means over tasks are partial"


def test_a_damaged_record_of_suites_is_named_and_left_out(tmp_path):
    write_suites(tmp_path, Suites({"transfer": ("aircraft",)}))
    (tmp_path / "splits/suites/0.json").write_text('{"left_out": {"cog": 3}, "protocols": {}}')
    (tmp_path / "splits/suites/1.json").write_text("{")
    told = []
    assert read_suites(tmp_path, told.append).left_out == {"transfer": ("aircraft",)}
    assert len(told) == 2
    assert "has no left_out" in told[0]


def test_sets_of_several_protocols_never_share_a_mean_in_silence():
    """By solver, by norm, or by what a suite alone says; not where a probe ignores it."""
    rows = [row | {"norm": "none" if row["dataset"] == "dtd" else None} for row in both()]
    found = wide(tidy(rows))
    assert set(found["mixed"]) == {"tasks"}
    (note,) = axis_notes(tidy(rows), Suites())
    assert note == (
        "means over tasks join sets of several protocols: dtd by lbfgs, norm none; pets by lbfgs, "
        "norm l2"
    )
    (sheet,) = axis_sheets(found)
    assert [entry.text[-1] for entry in sheet.rows[0][3:]] == ["§", "§"]
    assert any("§" in text for text in sheet.notes)
    assert set(wide(tidy(both()))["mixed"]) == {""}
    grids = Suites(protocols={"dtd": "C from 1 to 10", "pets": "C from 1 to 99"})
    assert set(wide(tidy(both()), grids)["mixed"]) == {"tasks"}
    knn = [row | {"probe": "knn", "solver": "exact"} for row in both()]
    assert set(wide(tidy(knn), grids)["mixed"]) == {""}


def test_the_number_of_a_set_is_its_headline_metric_everywhere():
    rows = both()
    cells = summary(tidy(rows))
    own = cells[cells["dataset"] == "pets"]
    np.testing.assert_allclose(own["value"], own["top1"] - 5)
    table = wide(tidy(rows)).set_index("model")
    np.testing.assert_allclose(table["pets"], own.set_index("model")["value"][table.index])
    against_b = against(cells, "b").set_index(["dataset", "model"])
    assert against_b.loc[("pets", "b"), "baseline_value"] == table.loc["b", "pets"]
    sheets = accuracy_sheets(cells)
    notes = [note for sheet in sheets for note in sheet.notes]
    assert "In place of top-1, dtd, pets: mean per class." in notes
    higher = [row | ({"mean_class": 99.0} if row["model"] == "b" else {}) for row in rows]
    ranked = ranking(summary(tidy(higher))).set_index("model")
    assert ranked.loc["b", "pets"].dropna().tolist() == [1]
    other = [
        row | {"metric": "top1", "model": "c"}
        for row in rows
        if (row["dataset"], row["model"]) == ("pets", "a")
    ]
    with pytest.raises(CogError, match="metric of pets differs"):
        refuse_mixed(tidy([*rows, *other]))
