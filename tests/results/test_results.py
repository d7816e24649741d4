"""Results: cells in any order fold to one table, bad ones are named, and files give it back."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cog.errors import CogError
from cog.probes.metrics import METRICS
from cog.probes.table import PROBES
from cog.results.cells import read_cell, write_cell
from cog.results.columns import PERCENT, causes, columns
from cog.results.files import as_parquet, fold, read_results, write_results
from cog.results.summary import wide
from cog.results.table import tidy
from cog.storage import table_as_csv
from tests.support.result_rows import ODD_NAMES, made_rows, write_runs


def row(model="a", dataset="cog_l1", shots="all", seed=22, top1=50.0, complete=True):
    return {
        "model": model, "dataset": dataset, "probe": "logreg", "solver": "sgd", "shots": shots,
        "seed": seed, "top1": top1, "top5": top1, "n_classes": 9, "complete": complete,
        "protocol": "cog-1",
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
    assert list(table.columns) == [column.name for column in columns()]


def test_a_probe_that_is_added_gets_its_columns_without_moving_those_of_others(
    monkeypatch, tmp_path
):
    before = list(tidy([row()]).columns)
    toy = replace(PROBES["ridge"], columns=("penalty", "width"))
    monkeypatch.setitem(PROBES, "toy", toy)
    runs = write_runs(tmp_path / "runs", [row() | {"width": 7}])
    table = read_results(write_results(runs))
    assert table["width"].tolist() == [7]
    after = before.index("penalty") + 1
    assert list(table.columns) == [*before[:after], "width", *before[after:]]
    assert tidy([row()])["width"].isna().all()


def test_every_column_has_one_name_and_what_sums_up_others_is_a_cause_first():
    names = [column.name for column in columns()]
    assert len(names) == len(set(names))
    assert [column.name for column in causes()][:6] == [
        "protocol", "recipe_hash", "levels_hash", "split_hash", "features_hash",
        "model_fingerprint",
    ]  # fmt: skip
    assert {column.name for column in columns() if column.same_in} <= {c.name for c in causes()}


def test_every_metric_has_its_column():
    assert [column.name for column in columns() if column.kind is PERCENT] == list(METRICS)


def test_fold_of_files_is_the_csv(tmp_path):
    write_runs(tmp_path, [row(seed=seed) for seed in (37, 22)])
    text = write_results(tmp_path).read_text()
    assert list(read_results(tmp_path / "results.csv")["seed"]) == [22, 37]
    write_results(tmp_path)
    assert (tmp_path / "results.csv").read_text() == text


def test_two_rows_of_one_key_are_refused():
    with pytest.raises(CogError, match="two results for"):
        tidy([row(), row(top1=3.0)])


def test_no_cells_is_an_error(tmp_path):
    with pytest.raises(CogError, match="no finished cells"):
        fold(tmp_path)


@pytest.mark.parametrize("content", [b'{"row": {', b"", b"\xff\xfe", b"[]"])
def test_a_broken_cell_is_no_cell(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    assert read_cell(tmp_path / "x.json") is None
    assert read_cell(tmp_path / "missing.json") is None


def test_folding_does_not_depend_on_the_order_of_files(tmp_path):
    rows = made_rows(ODD_NAMES, shots=(2, "all"), seeds=(22, 37))
    first = fold(write_runs(tmp_path / "a", rows))
    for turn, row_of_cell in enumerate(rows):  # the same cells, in files whose names sort otherwise
        path = tmp_path / "b" / f"m{turn * 7 % 11}" / "cells" / f"{-turn % 5}-{turn}.json"
        write_cell(path, {"hashes": {}, "row": row_of_cell, "trials": []})
    pd.testing.assert_frame_equal(fold(tmp_path / "b"), first)
    assert table_as_csv(first) == table_as_csv(tidy(rows[::-1]))
    assert set(first["model"]) == set(ODD_NAMES)


def broken(**changes):
    """The text of a cell whose row has other values; without those that are None."""
    changed = row(seed=77) | changes
    kept = {name: value for name, value in changed.items() if value is not None}
    return json.dumps({"hashes": {}, "row": kept, "trials": []})


BAD_CELLS = {
    "cut short": broken()[:60],
    "no JSON": "\x00\x00\x00",
    "no cell of hashes, row, trials": json.dumps({"row": row(seed=77)}),
    "no model": broken(model=None),
    "7 as dataset, not text": broken(dataset=7),
    "no probe": broken(probe=""),
    "no solver": broken(solver=None),
    "no shots": broken(shots=None),
    "'many' as shots, not all or an integer": broken(shots="many"),
    "no seed": broken(seed=None),
    "'77' as seed, not an integer": broken(seed="77"),
    "no top1": broken(top1=None),
    "nan as top1, not a percentage": broken(top1=float("nan")),
    "True as top1, not a percentage": broken(top1=True),
    "101.0 as top1, not a percentage": broken(top1=101.0),
    "no protocol": broken(protocol=None),
    "[0.1, 0.2] as lr, not a number": broken(lr=[0.1, 0.2]),
    "'x' as n_test, not a number": broken(n_test="x"),
    "['a'] as family, not text": broken(family=["a"]),
    "1 as complete, not true or false": broken(complete=1),
    "of protocol cog-0, not cog-1": broken(protocol="cog-0"),
}


@pytest.mark.parametrize("problem", BAD_CELLS)
def test_a_bad_cell_is_named_and_left_out(tmp_path, problem):
    write_runs(tmp_path, [row(seed=seed) for seed in (22, 37)])
    bad = tmp_path / "model-0" / "cells" / "bad.json"
    bad.write_text(BAD_CELLS[problem])
    said = []
    assert list(fold(tmp_path, notify=said.append)["seed"]) == [22, 37]
    assert len(said) == 1
    assert str(bad) in said[0]
    assert problem in said[0]


def test_of_two_cells_with_one_key_neither_is_taken(tmp_path):
    write_runs(tmp_path, [row(seed=seed) for seed in (22, 37)])
    copy = tmp_path / "copy" / "cells" / "x.json"
    write_cell(copy, {"hashes": {}, "row": row(seed=37, top1=3.0), "trials": []})
    said = []
    assert list(fold(tmp_path, notify=said.append)["seed"]) == [22]
    assert len(said) == 2
    assert all(str(copy) in text and "--37.json" in text for text in said)


def test_the_protocol_asked_for_is_taken(tmp_path):
    old = [row(seed=seed) | {"protocol": "cog-0"} for seed in (1, 2, 3)]
    write_runs(tmp_path, [*old, row()])
    assert list(fold(tmp_path)["seed"]) == [1, 2, 3]
    assert list(fold(tmp_path, "cog-1")["seed"]) == [22]
    assert list(read_results(tmp_path, ["protocol=cog-1"])["seed"]) == [22]
    with pytest.raises(CogError, match="4 cannot be used"):
        fold(tmp_path, "cog-9")


# a lone carriage return is the one character that Python before 3.13 does not quote in CSV
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)
FLOATS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.none() | st.integers(-(2**53), 2**53)
ROWS = st.fixed_dictionaries(
    {
        "model": TEXTS.filter(bool) | st.sampled_from([*ODD_NAMES, "NA", "nan", "1e5", "a\nb"]),
        "dataset": st.sampled_from(["in1k", "cog_l2", "cog_l10", "flowers"]),
        "shots": st.sampled_from(["all", 1, 16]), "seed": st.integers(0, 2**32 - 1),
        "probe": st.just("logreg"), "solver": st.just("sgd"), "protocol": st.just("cog-1"),
        "top1": st.floats(0, 100), "complete": st.none() | st.booleans(), "lr": FLOATS,
        "k": INTEGERS, "wd": FLOATS | INTEGERS, "seen_data": TEXTS | st.none(),
        "split_hash": st.sampled_from(["0" * 16, "123e4567", "inf", ""]),
    }
)  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=4, unique_by=lambda made: made["seed"]))
def test_a_table_that_was_written_and_read_is_the_same(tmp_path_factory, rows):
    folder = tmp_path_factory.getbasetemp()
    table = tidy(rows)
    (folder / "results.csv").write_bytes(table_as_csv(table).encode())
    again = read_results(folder / "results.csv")
    pd.testing.assert_frame_equal(again, table, check_exact=True)
    assert table_as_csv(again).encode() == (folder / "results.csv").read_bytes()
    (folder / "results.parquet").write_bytes(as_parquet(table))
    pd.testing.assert_frame_equal(read_results(folder / "results.parquet"), table, check_exact=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model,in1k\na,50\n", "without one of model"),
        ("", "No columns"),
        ("model,top1\na,1,2,3\nb\n", "no table"),
        (table_as_csv(tidy([row()]))[:-60], "no table|without"),
        (table_as_csv(tidy([row()])).replace(",50.0,", ",fifty,"), "fifty"),
        (table_as_csv(tidy([row()])).replace(",all,", ",many,"), "many"),
    ],
)
def test_a_file_that_is_no_table_of_results_is_refused(tmp_path, text, said):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(CogError, match=said):
        read_results(tmp_path / "x.csv")


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CogError, match="no file"):
        read_results(tmp_path / "x.csv")


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


@pytest.mark.parametrize(
    "text", ["a,b\n", "a,b\n1,2\n", ",".join(column.name for column in columns()) + "\n"]
)
def test_a_table_without_results_is_refused(tmp_path, text):
    path = tmp_path / "w.csv"
    path.write_text(text)
    with pytest.raises(CogError, match="no table of results"):
        read_results(path)
