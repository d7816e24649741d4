"""Tables as files: what was written is read again, to the byte; other files are refused."""

from __future__ import annotations

import csv
import re

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


CSV = table_as_csv(tidy([one_row()]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model,in1k\na,50\n", "it has no column dataset, probe, solver"),
        ("", "it has no column model"),
        (CSV[:-60], "row 2 has [0-9]+ fields, the head [0-9]{2}"),
        (CSV.replace(",50.0,", ",fifty,"), "row 2 has 'fifty' as top1, not a percentage"),
        (CSV.replace(",all,", ",many,"), "row 2 has 'many' as shots, not all or an integer"),
        (CSV.replace(",", ";"), "it is separated by ';', not by commas"),
        (CSV.replace(",", "\t"), r"it is separated by '\\t'"),
        (CSV.replace("model,", "modell,"), "it has no column model"),
        (CSV.replace("top5,", "top1,"), "it has two columns top1"),
        (CSV.replace(",50.0,", ',"50,0",'), "row 2 has '50,0' as top1"),
        (CSV.replace(",50.0,", ",50,0,"), "row 2 has .* fields, the head"),
        (CSV + 'a,"b\n', "unexpected end of data"),
        (CSV + '"' + "a" * 200_000 + '"\n', "field larger than field limit"),
        (CSV + "\0\n", "has a NUL"),
    ],
)
def test_a_file_that_is_no_table_of_results_is_refused(tmp_path, text, said):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(CogError, match=said):
        read_results(tmp_path / "x.csv")


BAD_VALUES = [
    ("top1", "inf"), ("top1", "nan"), ("top1", "101"), ("top1", "-5"), ("top1", "1e400"),
    ("top1", "1_0"), ("top1", "٥"), ("top1", "50 %"), ("top1", "True"), ("top5", "#N/A"),
    ("top1", "9" * 400), ("top1", "9" * 10_000), ("seed", "1.5"), ("seed", "-1"), ("seed", "x"),
    ("seed", "9" * 400), ("shots", "0"), ("shots", "1.5"), ("shots", "9" * 400),
    ("n_classes", "0"), ("n_train", "-3"), ("n_test", "2.5"), ("parameters", "9" * 30),
    ("lr", "Infinity"), ("wd", "NaN"), ("complete", "TRUEE"), ("complete", "2"),
]  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(("name", "text"), BAD_VALUES)
def test_a_value_that_its_column_cannot_hold_is_named_with_its_row(tmp_path, name, text, ending):
    """The same check as for cells: nothing is made to fit, and nothing becomes missing."""
    table = tidy([one_row(seed=22), one_row(seed=37)]).astype("object")
    table.loc[0, name] = (
        "0" if name in ("lr", "wd", "n_train", "n_test", "parameters") else table.loc[0, name]
    )
    table.loc[1, name] = text
    path = tmp_path / f"x.{ending}"
    if ending == "csv":
        path.write_text(table_as_csv(table))
    else:
        pytest.importorskip("pyarrow", reason="pip install 'imagenet-cog[parquet]'")
        filled = table.dropna(axis="columns", how="all")
        filled.map(str).to_parquet(path)
    number = 3 if ending == "csv" else 2
    with pytest.raises(CogError, match=rf"row {number} has .+ as {name}, not "):
        read_results(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("True", "TRUE").replace("False", "FALSE"),
        lambda text: text.replace("True", "true").replace("False", "false"),
        lambda text: text.replace("True", "1").replace("False", "0"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text + "\n\n" + "," * (text.split("\n")[0].count(",")) + "\n",
        lambda text: "".join(
            f"{'' if number == 0 else number - 1},{line}\n"
            for number, line in enumerate(text.splitlines())
        ),
        lambda text: text.replace(",50.0,", ", 50.0 ,"),
        lambda text: text.replace(",22,", ",22.0,").replace(",37,", ",37.0,"),
    ],
    ids=["TRUE", "true", "1", "BOM", "CRLF", "CR", "empty rows", "pandas' index", "spaces", "22.0"],
)
def test_what_spreadsheets_and_pandas_make_of_a_table_is_read_as_it_was(tmp_path, change):
    rows = [one_row(seed=22), one_row(seed=37, complete=False), one_row("b", "in1k", seed=45)]
    table = tidy(rows)
    (tmp_path / "x.csv").write_bytes(change(table_as_csv(table)).encode())
    pd.testing.assert_frame_equal(read_results(tmp_path / "x.csv"), table, check_exact=True)


def test_names_like_formulas_are_written_as_text_said_and_read_again(tmp_path):
    names = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "'=1", "a;=1", "\t=1", "plain"]
    rows = [one_row(name, seed=5) | {"family": name, "lr": -0.5} for name in names]
    write_runs(tmp_path, rows)
    said = []
    path = write_results(tmp_path, notify=said.append)
    assert len(said) == 1
    assert "is written to CSV as" in said[0]
    for fields in list(csv.reader(path.read_text().splitlines()))[1:]:
        for field in fields:
            assert not re.search(r"(^|[;\t])[=+@-]", field) or re.fullmatch(r"-?[\d.e-]+", field)
    pd.testing.assert_frame_equal(read_results(path), fold(tmp_path), check_exact=True)
    assert sorted(read_results(path)["model"]) == sorted(names)


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
