"""The tidy table: its columns, its order, its keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cog.errors import CogError
from cog.probes.metrics import METRICS
from cog.probes.table import PROBES
from cog.recipe import CUT_HEIGHTS
from cog.results.columns import PERCENT, causes, columns
from cog.results.files import read_results, write_results
from cog.results.mistakes import cut_column
from cog.results.table import tidy
from tests.support.result_rows import (
    one_row,
    write_runs,
)


def test_the_order_of_rows_does_not_matter():
    rows = [
        one_row(dataset=d, shots=s, seed=n)
        for d in ("cog_l10", "cog_l2", "in1k")
        for s in ("all", 2, 16)
        for n in (37, 22)
    ]
    table = tidy(rows)
    assert table.equals(tidy(rows[::-1]))
    assert list(table["dataset"].unique()) == ["in1k", "cog_l2", "cog_l10"]
    assert list(table["shots"].unique()) == [2, 16, "all"]
    assert list(table.columns) == [column.name for column in columns()]


def test_a_probe_that_is_added_gets_its_columns_without_moving_those_of_others(
    monkeypatch, tmp_path
):
    before = list(tidy([one_row()]).columns)
    toy = replace(PROBES["ridge"], columns=("penalty", "width"))
    monkeypatch.setitem(PROBES, "toy", toy)
    runs = write_runs(tmp_path / "runs", [one_row() | {"width": 7}])
    table = read_results(write_results(runs))
    assert table["width"].tolist() == [7]
    after = before.index("penalty") + 1
    assert list(table.columns) == [*before[:after], "width", *before[after:]]
    assert tidy([one_row()])["width"].isna().all()


def test_every_column_has_one_name_and_what_sums_up_others_is_a_cause_first():
    names = [column.name for column in columns()]
    assert len(names) == len(set(names))
    assert [column.name for column in causes()][:6] == [
        "protocol", "recipe_hash", "levels_hash", "split_hash", "features_hash",
        "model_fingerprint",
    ]  # fmt: skip
    assert {column.name for column in columns() if column.same_in} <= {c.name for c in causes()}


def test_every_metric_has_its_column():
    cuts = [cut_column(height) for height in CUT_HEIGHTS]
    assert [column.name for column in columns() if column.kind is PERCENT] == [
        *METRICS, "map", "r_precision", *cuts,  # two of retrieval alone, and of cut trees
    ]  # fmt: skip


def test_two_rows_of_one_key_are_refused():
    with pytest.raises(CogError, match=r"two results for .*, 22\n"):
        tidy([one_row(), one_row(top1=3.0)])
