"""Differences to a baseline and drops to the farthest level, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from cog.errors import CogError
from cog.results.differences import against, drop, left_out
from cog.results.markup import to_markdown
from cog.results.paper_tables import difference_sheets
from cog.results.summary import summary
from tests.support.result_rows import (
    only_row,
    table_of,
)


def test_a_difference_to_a_baseline_by_hand():
    found = summary(table_of(seeds=(22, 37)))
    rows = against(found, "b")
    assert len(rows) == len(found)
    for _, row in rows.iterrows():
        mine = only_row(found, model=row["model"], dataset=row["dataset"])
        base = only_row(found, model="b", dataset=row["dataset"])
        p, q = mine["top1"] / 100, base["top1"] / 100
        assert row["difference"] == pytest.approx(100 * (p - q))
        assert row["log_odds_ratio"] == pytest.approx(np.log(p / (1 - p)) - np.log(q / (1 - q)))
        if row["model"] == "b":
            assert row["error"] == 0
            assert not row["significant"]
        else:
            assert row["error"] == pytest.approx((mine["error"] ** 2 + base["error"] ** 2) ** 0.5)
            parts = [mine["se"] ** 4, base["se"] ** 4]  # of two seeds: one degree of freedom each
            reach = t.ppf(0.975, row["error"] ** 4 / sum(parts)) * row["error"]
            assert row["significant"] == (abs(row["difference"]) > reach)


def test_one_seed_leaves_the_normal_limit_and_two_noisy_ones_widen_it():
    """At 2.5 errors: more than noise if they are of images, not if they are of two seeds."""
    frame = summary(table_of(("a", "b"), datasets=("in1k",), seeds=(22,)))
    of_images = frame.assign(value=[70.0, 70 + 2.5 * 2**0.5], se=np.nan, error=1.0, seeds=1)
    of_seeds = of_images.assign(se=1.0, seeds=2)
    for table, significant in ((of_images, True), (of_seeds, False)):
        rows = against(table, "a")
        assert list(rows.loc[rows["model"] == "b", "significant"]) == [significant]


def test_what_cannot_be_compared_is_named():
    full = summary(table_of(("a", "b"), seeds=(22,)))
    part = full[~((full["model"] == "a") & (full["dataset"] == "cog_l1"))]
    assert left_out(part, against(part, "a")) == ["b cog_l1 logreg sgd all"]
    near = full[~((full["model"] == "a") & (full["dataset"] == "in1k"))]
    assert left_out(near, drop(near)) == ["a logreg sgd all"]


def test_odds_of_nothing_and_of_all_are_of_half_an_image():
    top1 = {"none": 0.0, "half": 50.0, "all": 100.0}
    table = table_of(
        tuple(top1), change=lambda row: {"top1": top1[row["model"]], "n_test": 200}, seeds=(22,)
    )
    found = against(summary(table), "half").groupby("model")["log_odds_ratio"].first()
    assert found["all"] == pytest.approx(np.log(199.5 / 0.5))
    assert found["none"] == pytest.approx(-np.log(199.5 / 0.5))
    assert found["half"] == 0


def test_what_has_no_error_is_not_said_to_be_significant():
    table = table_of(seeds=(22,), change=lambda row: {"top1_low": None, "top1_high": None})
    rows = against(summary(table), "a")
    assert rows.loc[rows["model"] != "a", "significant"].isna().all()
    assert "**" not in to_markdown(difference_sheets(summary(table), rows, "a"))


def test_an_unknown_baseline_is_an_error():
    with pytest.raises(CogError, match="unknown baseline 'dinno'"):
        against(summary(table_of(("dino", "moco"))), "dinno")


def test_rows_that_the_baseline_lacks_are_left_out():
    found = summary(table_of(shots=(1, "all")))
    found = found[(found["model"] != "a") | (found["shots"] == "all")]
    assert set(against(found, "a")["shots"]) == {"all"}


def test_a_drop_is_from_in1k_to_the_farthest_level():
    found = summary(table_of(shots=(4, "all")))
    found = found[(found["model"] != "c") | (found["dataset"] != "cog_l5")]
    rows = drop(found)
    assert set(rows["model"]) == {"a", "b"}
    assert set(rows["level"]) == {"cog_l5"}
    for _, row in rows.iterrows():
        near = only_row(found, model=row["model"], dataset="in1k", shots=row["shots"])
        far = only_row(found, model=row["model"], dataset="cog_l5", shots=row["shots"])
        assert row["points"] == near["top1"] - far["top1"]
        assert row["percent"] == pytest.approx(100 * (1 - far["top1"] / near["top1"]))
        assert row["error"] == pytest.approx((near["error"] ** 2 + far["error"] ** 2) ** 0.5)
    with pytest.raises(CogError, match="in1k"):
        drop(found[found["dataset"] != "in1k"])
