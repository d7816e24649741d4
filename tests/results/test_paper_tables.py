"""Tables for people: every number is one of the rows, in Markdown and in LaTeX."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sem

from cog.recipe import UNSEEN
from cog.results.differences import against, drop
from cog.results.markup import escape_latex, escape_markdown, to_latex, to_markdown
from cog.results.paper_tables import accuracy_sheets, difference_sheets, drop_sheets, ranking_sheets
from cog.results.summary import seen_more, summary
from tests.support.rendered_tables import latex_rows, plain_latex, shown
from tests.support.result_rows import (
    ODD_NAMES,
    only_row,
    table_of,
)

NAMES = (
    *ODD_NAMES,
    r"back\slash {x} $y$ #1 ^2 ~3",
    "*star*",
    "[link](x)",
    "`code`",
    "a--b|c",
    "&lt;",
)


@pytest.fixture(scope="module")
def odd():
    return table_of(
        NAMES, seeds=(22, 37),
        change=lambda row: {"seen_data": "" if row["model"] == "a,b" else row["seen_data"]},
    )  # fmt: skip


def test_every_number_of_a_table_is_of_its_rows(odd):
    markdown = to_markdown(accuracy_sheets(summary(odd)))
    page = shown(markdown)
    header, *rows = page.rows
    assert header == ["model", "in1k", *(f"cog_l{n}" for n in range(1, 6))]
    assert [row[0].rstrip("†") for row in rows] == sorted(NAMES)
    assert latex_rows(to_latex(accuracy_sheets(summary(odd)))) == page.rows
    best = {}
    for at, (name, *cells) in enumerate(rows, start=1):
        for column, (dataset, cell) in enumerate(zip(header[1:], cells, strict=True), start=1):
            own = odd[(odd["model"] == name.rstrip("†")) & (odd["dataset"] == dataset)]["top1"]
            assert cell == f"{own.mean():.2f} ± {sem(own.to_numpy()):.2f}"
            best[column] = max(best.get(column, (0, 0)), (own.mean(), at))
    assert page.bold == {(at, column) for column, (_, at) in best.items()}


@pytest.mark.parametrize("sheets_of", [
    ranking_sheets, lambda found: drop_sheets(found, drop(found)), accuracy_sheets,
])  # fmt: skip
def test_markdown_and_latex_say_the_same(odd, sheets_of):
    sheets = sheets_of(summary(odd))
    rows = shown(to_markdown(sheets)).rows
    assert rows == latex_rows(to_latex(sheets))
    assert rows == [list(sheets[0].header), *([e.text for e in row] for row in sheets[0].rows)]


def test_differences_have_their_errors_and_bold_past_noise(odd):
    found = summary(odd)
    rows = against(found, "`code`")
    sheets = difference_sheets(found, rows, "`code`")
    page = shown(to_markdown(sheets))
    assert page.rows == latex_rows(to_latex(sheets))
    for at, (name, *cells) in enumerate(page.rows[1:], start=1):
        for column, cell in enumerate(cells, start=1):
            row = only_row(rows, model=name.rstrip("†"), dataset=page.rows[0][column])
            points, error, ratio = map(
                float, re.fullmatch(r"(.+) ± (.+) \((.+)\)", cell.replace("−", "-")).groups()
            )
            assert points == pytest.approx(row["difference"], abs=0.00501)
            assert error == pytest.approx(row["error"], abs=0.00501)
            assert ratio == pytest.approx(row["log_odds_ratio"], abs=0.00501)
            assert ((at, column) in page.bold) == row["significant"]


def test_marks_say_what_was_seen_and_what_is_missing():
    found = summary(
        table_of(
            ("dino", "clip", "part", "own"),
            change=lambda row: {
                "seen_data": {"clip": "WIT-400M", "own": ""}.get(row["model"], UNSEEN),
                "complete": row["model"] != "part",
            },
        )
    )
    text = to_markdown(accuracy_sheets(found))
    assert [row[0] for row in shown(text).rows[1:]] == ["clip†", "dino", "own", "part‡"]
    assert "clip (WIT-400M)." in text
    assert "not known of own." in text
    assert [row[1] for row in shown(to_markdown(ranking_sheets(found))).rows[-1:]] == ["–"]
    assert not seen_more(UNSEEN)
    assert seen_more("IN-21K")


def test_a_table_each_for_probes_and_shots_and_gaps_are_shown():
    table = table_of(shots=(1, 16, "all"), seeds=(22,))
    table = table[(table["model"] != "a") | (table["dataset"] != "cog_l3")]
    text = to_markdown(accuracy_sheets(summary(table)))
    titles = re.findall("^### (.*)", text, re.MULTILINE)
    assert titles == [
        "logreg-sgd, 1 image a class", "logreg-sgd, 16 images a class",
        "logreg-sgd, all images",
    ]  # fmt: skip
    assert shown(text).rows[1][4] == "–"
    assert "±" not in shown(text).rows[1][1]


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_name_comes_through_markdown_and_latex(name):
    plain = " ".join(name.split())
    assert plain_latex(escape_latex(name)) == plain
    text = f"| {escape_markdown(name)} |\n| --- |\n| x |\n"
    assert shown(text).rows[0] == [plain]
