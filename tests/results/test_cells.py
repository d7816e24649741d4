"""Cells that are no results are named and left out."""

from __future__ import annotations

import json

import pytest

from cog.errors import CogError
from cog.results.cells import read_cell, write_cell
from cog.results.files import fold, read_results
from tests.support.result_rows import (
    one_row,
    write_runs,
)


def test_cells_with_one_fault_are_named_in_one_line(tmp_path):
    write_runs(tmp_path, [one_row(seed=22)])
    for number in range(12):
        (tmp_path / "model-0" / "cells" / f"bad-{number:02}.json").write_text("[]")
    said = []
    fold(tmp_path, notify=said.append)
    (line,) = said
    assert line.count("bad-") == 10
    assert line.endswith(" and 2 more: is no cell: left out")


def test_no_cells_is_an_error(tmp_path):
    with pytest.raises(CogError, match="no finished cells"):
        fold(tmp_path)


@pytest.mark.parametrize("content", [b'{"row": {', b"", b"\xff\xfe", b"[]"])
def test_a_broken_cell_is_no_cell(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    assert read_cell(tmp_path / "x.json") is None
    assert read_cell(tmp_path / "missing.json") is None


def broken(**changes):
    """The text of a cell whose row has other values; without those that are None."""
    changed = one_row(seed=77) | changes
    kept = {name: value for name, value in changed.items() if value is not None}
    return json.dumps({"hashes": {}, "row": kept, "trials": []})


BAD_CELLS = {
    "cannot be read: it is no JSON: Unterminated string": broken()[:60],
    "cannot be read: it is no JSON": "\x00\x00\x00",
    "cannot be read: it is JSON that is nested too deeply": "[" * 500_000,
    "cannot be read: it has half a character": broken(model="\ud800"),
    "is no cell": "[]",
    "no cell of hashes, row, trials": json.dumps({"row": one_row(seed=77)}),
    "no model": broken(model=None),
    "7 as dataset, not text": broken(dataset=7),
    "no probe": broken(probe=""),
    "no solver": broken(solver=None),
    "no shots": broken(shots=None),
    "'many' as shots, not all or an integer": broken(shots="many"),
    "no seed": broken(seed=None),
    "'77' as seed, not an integer": broken(seed="77"),
    "no top1": broken(top1=None),
    "cannot be read: it has NaN as a number": broken(top1=float("nan")),
    "cannot be read: it has Infinity as a number": broken(lr=float("inf")),
    "expected a number that int64 holds": broken(parameters=10**400),
    "'a\\x00' as model, not text": broken(model="a\0"),
    "-1 as n_train, not a whole number from 0 up": broken(n_train=-1),
    "2.5 as n_test, not a whole number from 0 up": broken(n_test=2.5),
    "0 as n_classes, not a whole number from 1 up": broken(n_classes=0),
    "-1 as seed, not an integer": broken(seed=-1),
    "1.5 as seed, not an integer": broken(seed=1.5),
    "0 as shots, not all or an integer": broken(shots=0),
    "True as top1, not a percentage": broken(top1=True),
    "101.0 as top1, not a percentage": broken(top1=101.0),
    "no protocol": broken(protocol=None),
    "[0.1, 0.2] as lr, not a number": broken(lr=[0.1, 0.2]),
    "'x' as n_test, not a whole number": broken(n_test="x"),
    "['a'] as family, not text": broken(family=["a"]),
    "1 as complete, not true or false": broken(complete=1),
    "of protocol cog-0, not cog-1": broken(protocol="cog-0"),
}


@pytest.mark.parametrize("problem", BAD_CELLS)
def test_a_bad_cell_is_named_and_left_out(tmp_path, problem):
    write_runs(tmp_path, [one_row(seed=seed) for seed in (22, 37)])
    bad = tmp_path / "model-0" / "cells" / "bad.json"
    bad.write_text(BAD_CELLS[problem])
    said = []
    assert list(fold(tmp_path, notify=said.append)["seed"]) == [22, 37]
    assert len(said) == 1
    assert str(bad) in said[0]
    assert problem in said[0]


def test_of_two_cells_with_one_key_neither_is_taken(tmp_path):
    write_runs(tmp_path, [one_row(seed=seed) for seed in (22, 37)])
    copy = tmp_path / "copy" / "cells" / "x.json"
    write_cell(copy, {"hashes": {}, "row": one_row(seed=37, top1=3.0), "trials": []})
    said = []
    assert list(fold(tmp_path, notify=said.append)["seed"]) == [22]
    assert len(said) == 2
    assert all(str(copy) in text and "--37.json" in text for text in said)


def test_the_protocol_asked_for_is_taken(tmp_path):
    old = [one_row(seed=seed) | {"protocol": "cog-0"} for seed in (1, 2, 3)]
    write_runs(tmp_path, [*old, one_row()])
    assert list(fold(tmp_path)["seed"]) == [1, 2, 3]
    assert list(fold(tmp_path, "cog-1")["seed"]) == [22]
    assert list(read_results(tmp_path, ["protocol=cog-1"])["seed"]) == [22]
    with pytest.raises(CogError, match="4 cannot be used"):
        fold(tmp_path, "cog-9")
