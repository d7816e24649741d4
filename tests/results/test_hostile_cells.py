"""Cells that someone changed: every command that reads them ends in words, or shows text."""

from __future__ import annotations

import json

import pytest

from cog.levels.files import read_levels
from cog.report.page_data import read_page_data
from tests.support.result_rows import three_seeds, write_runs
from tests.support.runs import call_cog

COMMANDS = {
    "results": ("results", "runs"),
    "wide": ("results", "runs", "--wide"),
    "markdown": ("results", "runs", "--format", "markdown"),
    "compare": ("compare", "runs", "runs"),
    "report": ("report", "runs", "--levels", "official"),
}
LEFT_OUT = [
    ("top1", float("inf")), ("top1", -5), ("top1", [1]), ("lr", float("nan")), ("wd", 10**400),
    ("n_classes", 0), ("seed", 1.5), ("shots", 10**400), ("model", "\ud800"), ("family", "\0"),
]  # fmt: skip
SHOWN = [
    ("model", "=cmd|' /C calc'!A0"), ("model", "\x1b[31m\u202e"), ("dataset", "cog_l" + "9" * 5000),
    ("family", "</script><script>alert(1)</script>"), ("model", "<img src=x onerror=alert(1)>"),
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Sound cells, and in the place of the first ones those above."""
    runs = write_runs(tmp_path_factory.mktemp("hostile") / "runs", three_seeds(("a", "b", "c")))
    cells = sorted(runs.glob("*/cells/*.json"))
    for cell, (name, value) in zip(cells, LEFT_OUT + SHOWN, strict=False):
        content = json.loads(cell.read_text())
        content["row"][name] = value
        cell.write_text(json.dumps(content))
    return runs


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_ends_in_a_traceback(runs, command):
    done = call_cog(*COMMANDS[command], cwd=runs.parent)
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if "left out" in line]
    named = sum(line.count(".json") for line in lines)
    assert named == len(LEFT_OUT) * (2 if command == "compare" else 1)
    assert len(set(lines)) == len(lines) or command == "compare"
    if command == "report":
        page = (runs / "report.html").read_text()
        assert "<script>alert" not in page
        assert "<img src=x" not in page


@pytest.mark.parametrize(
    "text",
    [
        "wnid,n_test,top1\nn1,1,inf\n", "wnid,n_test,top1\nn1," + "9" * 5000 + ",1\n",
        "wnid,n_test\nn1,1\n", "\0", 'wnid,n_test,top1\nn1,1,"', "wnid,n_test,top1\nn1,1,101\n",
        "wnid,n_test,top1\n" + "n" * 200_000 + ",1,1\n", "",
    ],
    ids=["inf", "digits", "no top1", "NUL", "open quote", "101", "long", "empty"],
)  # fmt: skip
def test_a_table_of_classes_that_is_none_is_left_out_of_the_report(tmp_path, text):
    levels = read_levels("official")
    rows = three_seeds(("a",), seeds=(22,))
    runs = write_runs(
        tmp_path / "runs", [row | {"levels_hash": levels.fingerprint[:16]} for row in rows]
    )
    sound = f"wnid,n_test,top1\n{levels.wnids(1)[0]},4,25\n"
    tables = [runs / "model-0" / "classes" / f"cog_l{n}--logreg-sgd--all--22.csv" for n in (1, 2)]
    tables[0].parent.mkdir()
    for table, content in zip(tables, (sound, text), strict=True):
        table.write_text(content)
    said = []
    data = read_page_data(runs, levels, said.append)
    assert said == [f"{tables[1]} is cut short, or no table of classes: left out"]
    assert [value for value in data.classes[0]["top1"] if value is not None] == [25.0]
