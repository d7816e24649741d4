"""The views of `cog results`: what each shows of the tidy table, in any format.

To add a view: a function here that gives what it `Shown`s, its entry in `VIEWS`, and its option in
cog/cli/results.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from cog.progress import Notify
from cog.results.differences import against, drop, left_out
from cog.results.markup import Sheet, to_latex, to_markdown
from cog.results.mixing import notes_of_protocol, refuse_mixed
from cog.results.paper_tables import (
    accuracy_sheets,
    difference_sheets,
    drop_sheets,
    ranking_sheets,
)
from cog.results.summary import ranking, summary, wide
from cog.storage import table_as_csv


@dataclass(frozen=True)
class Shown:
    """What a view shows."""

    numbers: pd.DataFrame
    """for programs: CSV and Parquet"""
    sheets: Callable[[], list[Sheet]]
    """for people: Markdown and LaTeX"""


@dataclass(frozen=True)
class View:
    """One way to look at results."""

    show: Callable[[pd.DataFrame, str, Notify], Shown]
    """takes the tidy table and the baseline; what the user should know goes to the function"""
    bars: bool = False
    """whether a terminal draws its accuracies with bars"""


def check_one_kind(results: pd.DataFrame, notify: Notify) -> None:
    """Check that rows may stand in one table; `notify` takes what differs yet may.

    Raises:
        CogError: they may not (see `refuse_mixed`).
    """
    refuse_mixed(results)
    for note in notes_of_protocol(results):
        notify(f"note: {note}")


def _summary(results: pd.DataFrame, notify: Notify) -> pd.DataFrame:
    check_one_kind(results, notify)
    return summary(results)


def _tidy(results: pd.DataFrame, baseline: str, notify: Notify) -> Shown:
    """All rows, mixed or not: each says itself what it is of. People get their means."""
    return Shown(results, lambda: accuracy_sheets(_summary(results, notify)))


def _wide(results: pd.DataFrame, baseline: str, notify: Notify) -> Shown:
    found = _summary(results, notify)
    return Shown(wide(results), lambda: accuracy_sheets(found))


def _ranking(results: pd.DataFrame, baseline: str, notify: Notify) -> Shown:
    found = _summary(results, notify)
    return Shown(ranking(found), lambda: ranking_sheets(found))


def _baseline(results: pd.DataFrame, baseline: str, notify: Notify) -> Shown:
    found = _summary(results, notify)
    table = against(found, baseline)
    _note_left_out(left_out(found, table), f"{baseline} has no such result", notify)
    return Shown(table, lambda: difference_sheets(found, table, baseline))


def _drop(results: pd.DataFrame, baseline: str, notify: Notify) -> Shown:
    found = _summary(results, notify)
    table = drop(found)
    _note_left_out(left_out(found, table), "in1k or the farthest level is missing", notify)
    return Shown(table, lambda: drop_sheets(found, table))


def _note_left_out(lacking: list[str], why: str, notify: Notify) -> None:
    if lacking:
        more = f" and {len(lacking) - 5:,} more" if len(lacking) > 5 else ""
        notify(f"note: left out because {why}: {', '.join(lacking[:5])}{more}")


VIEWS = {
    "tidy": View(_tidy, bars=True),
    "wide": View(_wide, bars=True),
    "ranking": View(_ranking),
    "baseline": View(_baseline),
    "drop": View(_drop),
}
FORMATS: dict[str, Callable[[Shown], str]] = {
    "csv": lambda shown: table_as_csv(shown.numbers),
    "markdown": lambda shown: to_markdown(shown.sheets()),
    "latex": lambda shown: to_latex(shown.sheets()),
}
