"""Results: cells in any order fold to one table, and partial models are not ranked."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from cog.errors import CogError
from cog.results import COLUMNS, fold, read_cell, tidy, wide, write_cell, write_results


def row(model="a", dataset="cog_l1", shots="all", seed=22, top1=50.0, complete=True):
    return {
        "model": model, "dataset": dataset, "probe": "logreg", "solver": "sgd", "shots": shots,
        "seed": seed, "top1": top1, "top5": top1, "n_classes": 9, "complete": complete,
    }  # fmt: skip


def test_the_order_of_rows_does_not_matter():
    rows = [
        row(dataset=d, shots=s, seed=n)
        for d in ("cog_l10", "cog_l2", "in1k")
        for s in ("all", 2, 16)
        for n in (37, 22)
    ]
    table = tidy(rows)
    assert table.equals(tidy(rows[::-1]))
    assert list(table["dataset"].unique()) == ["in1k", "cog_l2", "cog_l10"]
    assert list(table["shots"].unique()) == [2, 16, "all"]
    assert tuple(table.columns) == COLUMNS


def test_fold_of_files_is_the_csv(tmp_path):
    for seed in (37, 22):
        write_cell(
            tmp_path / "a" / "cells" / f"x{seed}.json",
            {"hashes": {}, "row": row(seed=seed), "trials": []},
        )
    text = write_results(tmp_path).read_text()
    assert list(pd.read_csv(io.StringIO(text))["seed"]) == [22, 37]
    write_results(tmp_path)
    assert (tmp_path / "results.csv").read_text() == text


def test_two_rows_of_one_key_are_refused():
    with pytest.raises(CogError, match="two results for"):
        tidy([row(), row(top1=3.0)])


def test_no_cells_is_an_error(tmp_path):
    with pytest.raises(CogError, match="no finished cells"):
        fold(tmp_path)


def test_a_broken_cell_is_no_cell(tmp_path):
    (tmp_path / "x.json").write_text('{"row": {')
    assert read_cell(tmp_path / "x.json") is None
    assert read_cell(tmp_path / "missing.json") is None


def test_wide_means_over_seeds_and_ranks_complete_models_only():
    rows = [
        *(
            row("good", d, seed=s, top1=t + s)
            for d in ("cog_l1", "cog_l2")
            for s, t in ((1, 60), (3, 60))
        ),
        *(row("fair", d, top1=40.0) for d in ("cog_l1", "cog_l2")),
        *(row("part", d, top1=90.0, complete=d == "cog_l1") for d in ("cog_l1", "cog_l2")),
        row("short", "cog_l1", top1=95.0),
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
