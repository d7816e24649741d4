"""The table for people: every number is in it at every width, and pipes get text alone."""

from __future__ import annotations

import io
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from cog.cli.result_table import bar, show, show_sheets
from cog.cli.terminal import Terminal, _datasets_table
from cog.results.markup import Entry, Sheet
from cog.results.paper_tables import axis_sheets
from cog.results.summary import wide
from cog.results.table import tidy
from tests.support.result_rows import ODD_NAMES, made_rows

LONG = "a_model_whose_name_is_longer_than_a_third_of_any_terminal_that_is_wide_" + "x" * 20
STYLES = re.compile(r"\x1b\[[0-9;]*m")


def made(models=("dino", "moco", "swav"), **options):
    return tidy(made_rows(models, **{"seeds": (22, 37), **options}))


def drawn(results, width=80, **options) -> str:
    console = Console(
        file=io.StringIO(), width=width, highlight=False, _environ={},
        **{"force_terminal": True, "color_system": "truecolor", **options},
    )  # fmt: skip
    show(results, console)
    return console.file.getvalue()


def assert_all_means(results, text):
    by = ["model", "dataset", "probe", "solver", "shots"]
    expected = Counter(f"{mean:.2f}" for mean in results.groupby(by)["top1"].mean())
    found = Counter(re.findall(r"\d+\.\d\d(?!\d)", STYLES.sub("", text)))
    assert expected <= found


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("seeds", [(22,), (22, 37)])
@pytest.mark.parametrize("models", [("dino", "moco"), (*ODD_NAMES, LONG)])
def test_every_mean_and_name_is_there_and_lines_fit(width, seeds, models):
    results = made(models, seeds=seeds, shots=(1, "all"))
    text = STYLES.sub("", drawn(results, width))
    assert_all_means(results, text)
    for name in models:
        assert name in text
    for line in text.splitlines():
        is_table = line.startswith(("model ", " ")) or re.search(r"\d\.\d\d", line)
        assert cell_len(line) <= width or not is_table


def test_bars_go_first_and_then_errors():
    results = made()
    wide, middle, narrow = (drawn(results, width) for width in (200, 110, 70))
    for sign in ("█", "±", "bars from 0 to 100 %"):
        assert sign in wide
    for sign in ("█", "bars"):
        assert sign not in middle
    assert "± its standard error" in middle
    assert "±" not in narrow
    assert "mean over 2 seeds" in narrow


def test_columns_of_many_datasets_go_below_each_other():
    results = made(datasets=("in1k", *(f"cog_l{level}" for level in range(1, 13))))
    text = drawn(results, 60)
    assert_all_means(results, text)
    assert STYLES.sub("", text).count("\nmodel ") == 3


@pytest.mark.parametrize("options", [{"force_terminal": False}, {"no_color": True}])
def test_plain_text_is_ascii_without_styles(options):
    results = made(("dino", "größe"), seeds=(22, 37))
    text = drawn(results, 200, **options)
    assert_all_means(results, text)
    assert text.replace("größe", "").isascii()
    assert "\x1b" not in text
    assert "+-" in text


def test_a_pipe_gets_a_line_a_model_however_narrow():
    text = drawn(made((LONG,)), 40, force_terminal=False)
    (line,) = (line for line in text.splitlines() if line.startswith(LONG))
    assert len(re.findall(r"\d\.\d\d \+-", line)) == 6


def test_names_that_a_pipe_cannot_write_are_escaped():
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show(made(("größe",)), Console(file=file))
    file.flush()
    assert b"gr\\xf6\\xdfe" in file.buffer.getvalue()


def test_best_is_bold_among_those_with_all_classes():
    results = made(("low", "high", "partial"), datasets=("cog_l1",), seeds=(22,))
    results["top1"] = results["model"].map({"low": 40.0, "high": 50.0, "partial": 60.0})
    results["complete"] = results["model"] != "partial"
    text = drawn(results, 60)
    assert "\x1b[1m50.00\x1b[0m" in text
    assert "\x1b[1m60.00" not in text
    assert "60.00‡" in text
    assert "‡ lacks classes: an easier task" in text


def test_models_that_saw_more_are_marked():
    results = made(("one", "two"), datasets=("in1k",))
    results["seen_data"] = results["model"].map({"one": "IN-1K", "two": "IN-21K, IN-1K"})
    text = STYLES.sub("", drawn(results))
    for start in ("two † ", "one  "):
        assert f"\n{start}" in text
    assert "† has seen other data than ImageNet-1K (two: IN-21K, IN-1K)" in text
    results["seen_data"] = ["IN-1K", "IN-1K", "", ""]
    assert "†" not in drawn(results)


def test_blocks_come_by_shots_and_gaps_are_shown():
    results = made(shots=(16, "all", 2))
    results = results[(results["model"] != "moco") | (results["dataset"] != "in1k")]
    text = STYLES.sub("", drawn(results))
    titles = re.findall("logreg-sgd, (.*):", text)
    assert titles == ["2 images a class", "16 images a class", "all images"]
    assert text.count("–") == 3


def test_bars_have_the_length_of_their_percentage():
    lengths = [len(bar(percent, 6).rstrip()) for percent in range(101)]
    assert lengths == sorted(lengths)
    assert {len(bar(percent, 6)) for percent in range(101)} == {6}
    assert (lengths[0], lengths[-1]) == (0, 6)


def test_summary_ends_with_the_path(capsys):
    results = made()
    Terminal().summary(results, Path("runs/results.csv"))
    text = capsys.readouterr().out
    assert text.splitlines()[-1] == str(Path("runs/results.csv"))
    assert_all_means(results, text)


def test_summary_of_what_must_not_be_in_one_table_says_what_differs(capsys):
    results = made()
    results.loc[results["model"] == "dino", "levels_hash"] = "other"
    Terminal().summary(results, Path("runs/results.csv"))
    said = capsys.readouterr()
    assert "levels_hash" in said.err
    assert said.out.split() == [str(Path("runs/results.csv"))]


def test_rows_of_a_run_are_flush_whatever_the_name(capsys):
    names = ("in1k", "drawings/openmoji")
    cell = SimpleNamespace(probe="retrieval", solver="exact")
    models = ("dino", "größe-模型", "a-model-of-a-rather-long-name-it-is")
    plan = SimpleNamespace(
        model_runs=[SimpleNamespace(model=SimpleNamespace(name=name)) for name in models],
        datasets=[SimpleNamespace(name=name) for name in names],
        cells=[cell],
    )
    terminal = Terminal()
    terminal.fit_columns(plan)
    for name, probe in zip(models, ("logreg", "retrieval", "knn"), strict=True):
        for dataset in names:
            row = made((name,), datasets=(dataset,), seeds=(22,)).iloc[0].to_dict()
            terminal.result({**row, "probe": probe, "solver": "exact"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "dataset", "probe", "shots", "seed", "top-1", "top-5"]
    assert len({cell_len(line) for line in lines}) == 1


def test_another_headline_metric_is_shown_and_named():
    results = made(("one",), datasets=("dtd",), seeds=(22,))
    text = drawn(results.assign(metric="mean_class", mean_class=12.34))
    assert "12.34" in text
    assert "In place of top-1, dtd: mean per class." in text


def sheets_drawn(sheets, width=80) -> str:
    console = Console(
        file=io.StringIO(), width=width, highlight=False, _environ={},
        force_terminal=True, color_system="truecolor",
    )  # fmt: skip
    show_sheets(sheets, console)
    return STYLES.sub("", console.file.getvalue())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_sheets_are_drawn_whole_in_any_terminal_and_a_note_once(width):
    results = made(("dino", LONG), datasets=("in1k", "in1k/v2", "dtd"), shots=("all", 1))
    sheets = axis_sheets(wide(results))
    text = sheets_drawn(sheets, width)
    assert len(sheets) == 2
    for sheet in sheets:
        for word in (
            sheet.title,
            *sheet.header,
            *(each.text for row in sheet.rows for each in row),
        ):
            assert word in text
        assert all(text.count(note) == 1 for note in sheet.notes)
    rows = [line for line in text.splitlines() if re.search(r"\d ± \d", line)]
    assert len(rows) >= 4
    assert all(cell_len(line) <= width for line in rows)


def test_bold_entries_of_sheets_are_bold_in_a_terminal():
    entries = (Entry("dino"), Entry("1.00", bold=True), Entry("2.00"))
    console = Console(
        file=io.StringIO(), width=80, highlight=False, _environ={},
        force_terminal=True, color_system="truecolor",
    )  # fmt: skip
    show_sheets([Sheet("", ("model", "one", "two"), (entries,), ())], console)
    text = console.file.getvalue()
    assert "\x1b[1m1.00" in text
    assert "\x1b[1m2.00" not in text


def plan_of(*datasets):
    """A plan without cells: (name, classes, wanted classes) of each dataset."""
    made = [
        SimpleNamespace(
            name=name, n_classes=found, n_wanted=wanted, lists=("x" * 1_000, "xx"),
            split=SimpleNamespace(kind="train/test"),
        )
        for name, found, wanted in datasets
    ]  # fmt: skip
    return SimpleNamespace(datasets=made, cells=[])


def test_the_plan_cuts_no_name_and_shows_classes_left_out_only_where_some_are():
    def text(*datasets):
        console = Console(file=io.StringIO(), width=60)
        console.print(_datasets_table(plan_of(*datasets)))
        return console.file.getvalue()

    whole = text(("drawings/openmoji-line", 6, 6))
    assert "drawings/openmoji-line" in whole
    assert "1,000" in whole
    assert "left out" not in whole
    assert "left out" in text(("drawings", 6, 6), ("cog_l1", 990, 1000))


def test_a_bar_stands_only_where_the_row_stays_on_one_line(monkeypatch, capsys):
    monkeypatch.setattr("cog.cli.terminal.is_plain", lambda console: False)
    row = made(("dino",), seeds=(22,)).iloc[0].to_dict()
    for columns, bars in ((80, False), (110, True)):
        terminal = Terminal()
        terminal.out = Console(highlight=False, width=columns)
        terminal.result(row)
        assert ("█" in capsys.readouterr().out) is bars
