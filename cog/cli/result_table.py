"""Results as a table for people: a block a probe, a row a model, a column a dataset, small bars.

In a terminal that is too narrow the bars go first, then the standard errors. Then long names get a
line of their own, and the columns go below each other. No number and no name is ever cut.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from cog.plain_text import printable

if TYPE_CHECKING:
    import pandas as pd

    from cog.results.markup import Entry, Sheet

Column = list[Text]
"""the head and a text for each model, all of one width"""


@dataclass(frozen=True)
class _Signs:
    """The signs of a table, and the forms that it may have."""

    more: str  # has seen other data than ImageNet-1K
    lacking: str  # lacks classes
    error: str
    nothing: str
    forms: tuple[tuple[int, bool], ...]
    """the length of bars and whether errors are shown; the first form that fits is taken"""


_PLAIN = _Signs("+", "~", "+-", "-", ((0, True), (0, False)))
_RICH = _Signs("†", "‡", "±", "–", ((10, True), (6, True), (4, True), *_PLAIN.forms))
_GAP = 2
_EIGHTHS = " ▏▎▍▌▋▊▉"


def show(results: pd.DataFrame, console: Console) -> None:
    """Draw the mean of every model on every dataset, a block a probe, solver and shots.

    A mean of several seeds has its standard error beside it. Bars go from 0 to 100 %. Bold is the
    best of a column among the numbers of all classes. Pipes, dumb terminals and those with
    NO_COLOR get no colours, no bars, and signs of ASCII; lines in a pipe may have any length.
    """
    from cog.results.columns import FIT
    from cog.results.controls import findings_of_controls, is_control
    from cog.results.headline import other_metrics
    from cog.results.paper_tables import CONTROLS_NOTE, fit_title
    from cog.results.summary import seen_more, summary, with_ranks
    from cog.results.table import sort_rows

    numbers = with_ranks(summary(results))
    controls = is_control(numbers["model"])
    rivals = numbers[~controls].groupby(["dataset", *FIT])["value"].transform("size")
    several = rivals.reindex(numbers.index) > 1
    numbers["best"] = (numbers["rank"] == 1).fillna(False) & several
    seen = dict(zip(numbers["model"], numbers["seen_data"], strict=True))
    more = {model: data for model, data in seen.items() if seen_more(data)}
    signs = _PLAIN if is_plain(console) else _RICH
    width = console.width if console.is_terminal else sys.maxsize
    ordered = sort_rows(numbers, [*FIT, "dataset", "model"])
    for fit, part in ordered.groupby(list(FIT), sort=False):
        marks = {model: f" {signs.more}" if model in more else "" for model in set(part["model"])}
        for line in _block(f"{printable(fit_title(fit))}: top-1 in %", part, marks, signs, width):
            _say(console, line)
        _say(console, Text())
    if others := other_metrics(numbers):
        _say(console, Text(printable(others)))
    if more:
        seen_by = "; ".join(f"{printable(name)}: {printable(data)}" for name, data in more.items())
        _say(console, Text(f"{signs.more} has seen other data than ImageNet-1K ({seen_by})"))
    if not numbers["complete"].all():
        _say(console, Text(f"{signs.lacking} lacks classes: an easier task"))
    if controls.any():
        _say(console, Text(CONTROLS_NOTE))
        for finding in findings_of_controls(results):
            _say(console, Text(printable(finding)))


def show_sheets(sheets: Sequence[Sheet], console: Console) -> None:
    """Draw tables for people, one below the other; what is noted of several comes once, below."""
    width = console.width if console.is_terminal else sys.maxsize
    for sheet in sheets:
        names = [
            printable(name) for name in (sheet.header[0], *(row[0].text for row in sheet.rows))
        ]
        room = min(max(map(cell_len, names)), max(16, width // 3))
        columns = [
            _flush_right(head, entries)
            for head, *entries in zip(
                sheet.header[1:], *(row[1:] for row in sheet.rows), strict=True
            )
        ]
        _say(console, Text(printable(sheet.title), style="bold"))
        for part in _split(columns, width - room):
            for line in _table(names, part, room):
                _say(console, line)
        _say(console, Text())
    for note in dict.fromkeys(note for sheet in sheets for note in sheet.notes):
        _say(console, Text(printable(note)))


def _flush_right(head: str, entries: Sequence[Entry]) -> Column:
    """A head and entries, all of one width."""
    bold = [Text(printable(entry.text), style="bold" if entry.bold else "") for entry in entries]
    column = [Text(printable(head)), *bold]
    width = max(cell.cell_len for cell in column)
    for cell in column:
        cell.align("right", width)
    return column


def is_plain(console: Console) -> bool:
    """Whether a console gets plain text: a pipe, a dumb terminal, NO_COLOR, or no Unicode."""
    colours = console.is_terminal and not console.no_color and not console.is_dumb_terminal
    return not colours or console.options.ascii_only


def bar(percent: float, length: int) -> str:
    """A bar of `length` characters that is full at 100 %.

    >>> bar(50, 4), bar(100, 4), bar(3.2, 4), bar(0, 4)
    ('██  ', '████', '▏   ', '    ')
    """
    full, rest = divmod(round(percent / 100 * 8 * length), 8)
    return ("█" * full + _EIGHTHS[rest]).ljust(length)[:length]


def pad(text: str, length: int) -> str:
    """Text filled with spaces to a number of terminal columns; some characters take two.

    >>> pad("ab", 4), pad("模", 4)
    ('ab  ', '模  ')
    """
    return text + " " * (length - cell_len(text))


def _say(console: Console, line: Text) -> None:
    """Print a line of any length; characters that a pipe cannot encode are escaped."""
    if is_plain(console):
        line = Text(line.plain)
    if console.options.ascii_only:
        line = Text(line.plain.encode("ascii", "backslashreplace").decode("ascii"))
    console.print(line, soft_wrap=True)


def _block(
    title: str, numbers: pd.DataFrame, marks: dict[str, str], signs: _Signs, width: int
) -> Iterator[Text]:
    """The lines of one table: the fullest form that fits, or columns below each other.

    `marks`: what stands behind the name of each model.
    """
    rows: dict[tuple[Any, Any], Any] = {
        (row.dataset, row.model): row for row in numbers.itertuples()
    }
    names = ["model", *(printable(model) + marks[model] for model in sorted(marks))]
    room = min(max(map(cell_len, names)), max(16, width // 3))
    for length, errors in signs.forms:
        columns = [
            _column(
                name, [rows.get((name, model)) for model in sorted(marks)], signs, length, errors
            )
            for name in numbers["dataset"].unique()
        ]
        if room + _width(columns) <= width:
            break
    fewest, most = numbers["seeds"].min(), numbers["seeds"].max()
    if most > 1:
        title += f", mean over {fewest if fewest == most else f'{fewest} to {most}'} seeds"
        title += f" {signs.error} its standard error" if errors else ""
    if length:
        title += ", bars from 0 to 100 %"
    yield Text(title, style="bold")
    for part in _split(columns, width - room):
        yield from _table(names, part, room)


def _column(dataset: str, rows: Sequence[Any], signs: _Signs, length: int, errors: bool) -> Column:
    """Means, standard errors and bars of one dataset.

    `rows`: of every model; None where it has no number.
    """
    lacking = any(row and not row.complete for row in rows)
    means = [f"{row.value:.2f}" if row else signs.nothing for row in rows]
    spreads = [
        f" {signs.error} {row.se:.2f}" if errors and row and row.seeds > 1 else "" for row in rows
    ]
    wide_mean, wide_spread = max(map(len, means)), max(map(len, spreads))
    cells = [Text(printable(dataset))]
    for row, mean, spread in zip(rows, means, spreads, strict=True):
        cell = Text()
        cell.append(mean.rjust(wide_mean), style="bold" if row and row.best else "")
        if lacking:
            cell.append(signs.lacking if row and not row.complete else " ")
        cell.append(spread.ljust(wide_spread), style="dim")
        if length:
            cell.append(" " + bar(row.value if row else 0, length), style="cyan")
        cells.append(cell)
    width = max(cell.cell_len for cell in cells)
    for cell in cells:
        cell.align("right", width)
    return cells


def _width(columns: Sequence[Column]) -> int:
    """The width of columns in a terminal, with the gap before each."""
    return sum(_GAP + column[0].cell_len for column in columns)


def _split(columns: Sequence[Column], room: int) -> Iterator[list[Column]]:
    """The columns in parts, each as many as fit, but at least one."""
    part: list[Column] = []
    for column in columns:
        if part and _width([*part, column]) > room:
            yield part
            part = []
        part.append(column)
    yield part


def _table(names: Sequence[str], columns: Sequence[Column], room: int) -> Iterator[Text]:
    """A line a model below a head; a name that is too long gets a line of its own."""
    for row, (name, *cells) in enumerate(zip(names, *columns, strict=True)):
        if cell_len(name) > room:
            yield Text(name)
            name = ""
        line = Text(" " * _GAP).join([Text(pad(name, room)), *cells])
        line.rstrip()
        if row == 0:
            line.stylize("underline")
        yield line
