"""Means over seeds with their errors, means over levels, ranks: against the rows they are of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sem

from cog.results.summary import ranking, summary, wide
from cog.results.table import tidy
from tests.support.result_rows import (
    MODELS,
    made_rows,
    one_row,
    table_of,
)


def test_a_summary_is_of_its_rows():
    rows = made_rows(MODELS, shots=(2, "all"), seeds=(22, 37, 45))
    found = summary(tidy(rows[::-1]))
    assert len(found) == 3 * 6 * 2
    assert list(found["dataset"].unique()) == ["in1k", *(f"cog_l{n}" for n in range(1, 6))]
    for _, got in found.iterrows():
        own = [
            row
            for row in rows
            if all(row[name] == got[name] for name in ("model", "dataset", "shots"))
        ]
        top1 = [row["top1"] for row in own]
        assert got["seeds"] == len(own) == 3
        assert got["top1"] == pytest.approx(sum(top1) / 3)
        assert got["se"] == pytest.approx(sem(top1))
        assert got["low"] == pytest.approx(np.mean([row["top1_low"] for row in own]))
        assert got["high"] == pytest.approx(np.mean([row["top1_high"] for row in own]))
        assert got["top5"] == pytest.approx(np.mean([row["top5"] for row in own]))
        assert got["seconds"] == sum(row["seconds"] for row in own)
        for name in ("seen_data", "family", "parameters", "dim", "feature_bytes", "n_test"):
            assert got[name] == own[0][name]
        of_test = (got["high"] - got["low"]) / (2 * 1.96)
        assert got["error"] == pytest.approx((sem(top1) ** 2 + of_test**2) ** 0.5)


def test_errors_that_are_not_known_count_as_none():
    one_seed = summary(table_of(seeds=(22,)))
    assert one_seed["se"].isna().all()
    np.testing.assert_allclose(one_seed["error"], 0.8 / (2 * 1.96))
    no_interval = summary(table_of(change=lambda row: {"top1_low": None, "top1_high": None}))
    np.testing.assert_allclose(no_interval["error"], no_interval["se"])
    neither = table_of(seeds=(22,), change=lambda row: {"top1_low": None, "top1_high": None})
    assert summary(neither)["error"].isna().all()


def test_an_incomplete_seed_makes_a_mean_incomplete():
    found = summary(table_of(change=lambda row: {"complete": row["seed"] != 37 or None}))
    assert not found["complete"].any()


def test_ranks_are_among_complete_models_with_ties_and_by_fit():
    top1 = {"a": 60.0, "b": 70.0, "c": 60.0, "d": 90.0}
    table = table_of(
        tuple(top1), shots=(1, "all"), datasets=("in1k", "cog_l1"), seeds=(22,),
        change=lambda row: {
            "top1": top1[row["model"]] if row["shots"] == "all" else 50.0,
            "complete": row["model"] != "d" or row["dataset"] == "in1k",
        },
    )  # fmt: skip
    ranks = ranking(summary(table))
    of_all = ranks[ranks["shots"] == "all"].set_index("model")
    assert of_all["in1k"].to_dict() == {"a": 3, "b": 2, "c": 3, "d": 1}
    assert of_all["cog_l1"].dropna().to_dict() == {"a": 2, "b": 1, "c": 2}
    assert (ranks[ranks["shots"] == 1]["in1k"] == 1).all()


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_a_rank_is_one_more_than_the_number_of_better_models(scores):
    top1 = {f"m{number}": 10.0 * score for number, score in enumerate(scores)}
    table = table_of(
        tuple(top1), datasets=("in1k",), seeds=(22,), change=lambda r: {"top1": top1[r["model"]]}
    )
    for _, row in ranking(summary(table)).iterrows():
        assert row["in1k"] == 1 + sum(other > top1[row["model"]] for other in top1.values())


def test_wide_means_over_seeds_and_ranks_complete_models_only():
    rows = [
        *(
            one_row("good", d, seed=s, top1=t + s)
            for d in ("cog_l1", "cog_l2")
            for s, t in ((1, 60), (3, 60))
        ),
        *(one_row("fair", d, top1=40.0) for d in ("cog_l1", "cog_l2")),
        *(one_row("part", d, top1=90.0, complete=d == "cog_l1") for d in ("cog_l1", "cog_l2")),
        one_row("short", "cog_l1", top1=95.0),
    ]
    table = wide(tidy(rows)).set_index("model")
    assert table.loc["good", "cog_l1"] == 62.0
    assert table.loc["good", "cog_l1_se"] == 1.0  # of 61 and 63
    assert pd.isna(table.loc["fair", "cog_l1_se"])
    assert table.loc["good", "seeds"] == 2
    assert table.loc["good", "rank"] == 1
    assert table.loc["fair", "rank"] == 2
    assert table.loc["part", "rank"] is pd.NA
    assert table.loc["short", "rank"] is pd.NA


def test_the_mean_over_levels_is_of_levels_alone():
    """A dataset that is no level is no part of it, nor does a model without it lack a level."""
    rows = [
        one_row(dataset=dataset, top1=top1)
        for dataset, top1 in (("in1k", 90.0), ("cog_l1", 60.0), ("cog_l10", 40.0))
    ]
    found = wide(tidy([*rows, one_row(dataset="flowers", top1=99.0)])).iloc[0]
    assert (found["levels"], found["rank"], found["flowers"]) == (50.0, 1, 99.0)
    both = wide(tidy([*rows, one_row("b", dataset="flowers", top1=99.0)])).set_index("model")
    assert both["levels"].isna().to_dict() == {"a": False, "b": True}
    assert both["complete"].to_dict() == {"a": True, "b": False}
