"""Tables as files: what was written is read again, to the byte; other files are refused."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cog.csv_text import table_as_csv
from cog.errors import CogError
from cog.results.cells import write_cell
from cog.results.columns import columns
from cog.results.files import as_parquet, fold, read_results, write_results
from cog.results.table import tidy
from tests.support.result_rows import (
    ODD_NAMES,
    made_rows,
    one_row,
    write_runs,
)


def test_fold_of_files_is_the_csv(tmp_path):
    write_runs(tmp_path, [one_row(seed=seed) for seed in (37, 22)])
    text = write_results(tmp_path).read_text()
    assert list(read_results(tmp_path / "results.csv")["seed"]) == [22, 37]
    write_results(tmp_path)
    assert (tmp_path / "results.csv").read_text() == text


def test_folding_does_not_depend_on_the_order_of_files(tmp_path):
    rows = made_rows(ODD_NAMES, shots=(2, "all"), seeds=(22, 37))
    first = fold(write_runs(tmp_path / "a", rows))
    for turn, row_of_cell in enumerate(rows):  # the same cells, in files whose names sort otherwise
        path = tmp_path / "b" / f"m{turn * 7 % 11}" / "cells" / f"{-turn % 5}-{turn}.json"
        write_cell(path, {"hashes": {}, "row": row_of_cell, "trials": []})
    pd.testing.assert_frame_equal(fold(tmp_path / "b"), first)
    assert table_as_csv(first) == table_as_csv(tidy(rows[::-1]))
    assert set(first["model"]) == set(ODD_NAMES)


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
    pytest.importorskip("pyarrow", reason="pip install 'imagenet-cog[parquet]'")
    (folder / "results.parquet").write_bytes(as_parquet(table))
    pd.testing.assert_frame_equal(read_results(folder / "results.parquet"), table, check_exact=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model,in1k\na,50\n", "without one of model"),
        ("", "No columns"),
        ("model,top1\na,1,2,3\nb\n", "no table"),
        (table_as_csv(tidy([one_row()]))[:-60], "no table|without"),
        (table_as_csv(tidy([one_row()])).replace(",50.0,", ",fifty,"), "fifty"),
        (table_as_csv(tidy([one_row()])).replace(",all,", ",many,"), "many"),
    ],
)
def test_a_file_that_is_no_table_of_results_is_refused(tmp_path, text, said):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(CogError, match=said):
        read_results(tmp_path / "x.csv")


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CogError, match="no file"):
        read_results(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "text", ["a,b\n", "a,b\n1,2\n", ",".join(column.name for column in columns()) + "\n"]
)
def test_a_table_without_results_is_refused(tmp_path, text):
    path = tmp_path / "w.csv"
    path.write_text(text)
    with pytest.raises(CogError, match="no table of results"):
        read_results(path)
