"""Text from outside is only shown: no formula in a spreadsheet, no command to a terminal."""

from __future__ import annotations

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cog.csv_text import rows_as_csv, rows_from_csv, table_as_csv
from cog.datasets.check.report import CHECKED, Finding, add_class, read_report, start_report
from cog.plain_text import for_spreadsheet, for_terminal, from_spreadsheet

FORMULAS = [
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "a;=1", "a\t=1", "＝1", "--1",
    "'=1", "''@x", "-", "=", "a\n=1", "+", "-1e5e5", '=HYPERLINK("x")',
]  # fmt: skip
PLAIN = ["a", "dino-resnet50", "-0.5", "+1", "1e-5", "-.5", "", "'a", "it's", "n0/n0_1.JPEG", "a-b"]
ODD = st.text(st.sampled_from("=+-@'\t;\r\n1a.e\"＝"), max_size=8)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_an_apostrophe_wherever_a_field_may_begin(text):
    for part in re.split(r"[;\t\r\n]", for_spreadsheet(text)):
        assert not part or part[0] not in "=+-@＝"
    assert from_spreadsheet(for_spreadsheet(text)) == text


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_and_numbers_stay(text):
    assert for_spreadsheet(text) == text


@settings(max_examples=300)
@given(ODD)
def test_every_text_comes_back(text):
    assert from_spreadsheet(for_spreadsheet(text)) == text


@settings(max_examples=50)
@given(st.lists(ODD.filter(lambda text: "\r" not in text), min_size=2, max_size=4))
def test_rows_come_back(fields):
    assert list(rows_from_csv(rows_as_csv([fields]))) == [fields]


def test_the_first_text_that_changes_is_said_and_numbers_are_none():
    said = []
    text = rows_as_csv([["=1", -0.5, None], ["=2", "x", True]], said.append)
    assert text == "'=1,-0.5,\n'=2,x,True\n"
    assert len(said) == 1
    assert "'=1' is written to CSV as \"'=1\"" in said[0]


def test_tables_are_harmless_with_their_heads():
    said = []
    table = pd.DataFrame({"=model": ["=1", "b"], "top1": [-1.5, 2.0], "shots": ["all", 4]})
    assert table_as_csv(table, said.append) == "'=model,top1,shots\n'=1,-1.5,all\nb,2.0,4\n"
    assert len(said) == 1
    assert table["=model"].tolist() == ["=1", "b"]


def test_a_name_that_no_file_can_hold_is_written_as_python_shows_it():
    assert rows_as_csv([["a\udcff.jpg"]]).encode() == b"a\\udcff.jpg\n"


def test_a_report_of_images_keeps_their_names_however_often_it_goes_on(tmp_path):
    file = tmp_path / "report.csv"
    bad = Finding("cog_l1", "n1", "n1/a;=cmd|x.jpg", "unreadable", "=1+1")
    done = Finding("cog_l1", "n1", "", CHECKED, "1")
    said = []
    start_report(file, [], [], said.append)
    add_class(file, (bad, done), said.append)
    for _ in range(3):
        checked = read_report(file)
        assert list(checked.values()) == [(bad, done)]
        start_report(file, [], checked.values())
    assert len(said) == 1
    for row in csv.reader(io.StringIO(file.read_text())):
        assert not any(re.search("(^|;)[=+@-]", field) for field in row)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\rb\x08\x7f\x9b2J", r"a\rb\x08\x7f\x9b2J"),
        ("abc\u202etxt.exe\u2066", r"abc\u202etxt.exe\u2066"),
        ("a\tb\nc", "a\tb\nc"),
        ("größe 模型 ±†", "größe 模型 ±†"),
        ("\udcff", r"\udcff"),
    ],
)
def test_control_characters_are_shown(text, shown):
    assert for_terminal(text) == shown
    assert for_terminal(shown) == shown
