"""The views of `cog results`: what each shows of the tidy table, in any format.

To add a view: its entry in `VIEWS` here, and its option in cog/cli/results.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from cog.csv_text import table_as_csv
from cog.progress import Notify
from cog.results import paper_tables
from cog.results.axes import axis_notes
from cog.results.controls import models_only
from cog.results.cut_sheets import cut_sheets
from cog.results.cuts import cuts
from cog.results.differences import against, drop, left_out
from cog.results.markup import Sheet, to_latex, to_markdown
from cog.results.mixing import notes_of_protocol, refuse_mixed
from cog.results.suites import NOTHING_KNOWN, Suites
from cog.results.summary import ranking, summary, wide


@dataclass(frozen=True)
class Shown:
    """Results as one view shows them; `notify` takes what the user should know."""

    view: View
    results: pd.DataFrame
    baseline: str
    notify: Notify
    heights: tuple[int, ...] = ()
    suites: Suites = NOTHING_KNOWN

    @cached_property
    def one_kind(self) -> pd.DataFrame:
        """The results, if they may stand in one table (see `refuse_mixed`)."""
        refuse_mixed(self.results)
        for note in notes_of_protocol(self.results):
            self.notify(f"note: {note}")
        return self.results

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The summary of results of one kind, as far as the view shows them."""
        shown = self.one_kind if self.view.controls else models_only(self.one_kind)
        return summary(shown)

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """The view for programs."""
        table = self.view.numbers(self)
        if self.view.lacking and (rows := left_out(self.summary, table)):
            more = f" and {len(rows) - 5:,} more" if len(rows) > 5 else ""
            named = f"{', '.join(rows[:5])}{more}"
            self.notify(f"note: left out because {self.view.lacking}: {named}")
        for note in self.view.notes(self):
            self.notify(f"note: {note}")
        return table


@dataclass(frozen=True)
class View:
    """One way to look at results."""

    numbers: Callable[[Shown], pd.DataFrame]
    sheets: Callable[[Shown], list[Sheet]] = lambda of: paper_tables.accuracy_sheets(of.summary)
    bars: bool = False  # whether a terminal draws its accuracies with bars
    lacking: str = ""  # why some rows are left out
    notes: Callable[[Shown], list[str]] = lambda of: []  # what must be known of its numbers
    controls: bool = True  # whether it shows the controls of `cog evaluate --controls`


VIEWS = {
    # all rows, mixed or not: each says itself what it is of
    "tidy": View(lambda of: of.results, bars=True),
    "wide": View(
        lambda of: wide(of.one_kind, of.suites),
        lambda of: [
            *paper_tables.accuracy_sheets(of.summary),
            *paper_tables.axis_sheets(of.numbers),
        ],
        bars=True,
        notes=lambda of: axis_notes(of.one_kind, of.suites),
    ),
    "ranking": View(
        lambda of: ranking(of.summary),
        lambda of: paper_tables.ranking_sheets(of.summary),
        controls=False,
    ),
    "baseline": View(
        lambda of: against(of.summary, of.baseline),
        lambda of: paper_tables.difference_sheets(of.summary, of.numbers, of.baseline),
        lacking="the baseline has no such result",
    ),
    "drop": View(
        lambda of: drop(of.summary),
        lambda of: paper_tables.drop_sheets(of.summary, of.numbers),
        lacking="in1k or the farthest level is missing",
        controls=False,
    ),
    "heights": View(
        lambda of: cuts(of.one_kind, of.heights),
        lambda of: cut_sheets(of.numbers, of.heights),
        lacking="their classes have no synsets, or no predictions are kept",
    ),
}
FORMATS: dict[str, Callable[[Shown], str]] = {
    "csv": lambda shown: table_as_csv(shown.numbers, shown.notify),
    "markdown": lambda shown: to_markdown(shown.view.sheets(shown)),
    "latex": lambda shown: to_latex(shown.view.sheets(shown)),
}
