"""Rows and tables as CSV text, which is the same on every system.

Text that a spreadsheet would take for a formula is written as text (cog/plain_text.py).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from cog.plain_text import for_file, for_spreadsheet, from_spreadsheet
from cog.progress import Notify

if TYPE_CHECKING:
    import pandas as pd


def rows_as_csv(rows: Iterable[Iterable[Any]], notify: Notify | None = None) -> str:
    """Rows as CSV, lines ended by a newline alone; None is an empty field.

    `notify` gets a line if texts are changed, so that none is a formula.

    >>> rows_as_csv([["model", "top1"], ["a,b", None], ["=1", -1]])
    'model,top1\\n"a,b",\\n\\'=1,-1\\n'
    """
    safe = _made_safe(notify)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([safe(value) for value in row] for row in rows)
    return text.getvalue()


def rows_from_csv(text: str) -> Iterator[list[str]]:
    r"""The rows that `rows_as_csv` was given, as text.

    >>> list(rows_from_csv("model\n'=1\n"))
    [['model'], ['=1']]

    Raises:
        csv.Error: a field of more than 131,072 characters.
    """
    for row in csv.reader(io.StringIO(text, newline="")):
        yield [from_spreadsheet(field) for field in row]


def table_as_csv(table: pd.DataFrame, notify: Notify | None = None) -> str:
    """A table as CSV without its index, lines ended by a newline alone; missing is empty.

    `notify` gets a line if texts are changed, so that none is a formula.
    """
    safe = _made_safe(notify)
    texts = table.select_dtypes(exclude=["number", "bool", "boolean"]).columns
    table = table.assign(**{name: table[name].map(safe) for name in texts})
    return table.rename(columns=safe).to_csv(index=False, lineterminator="\n")


def _made_safe(notify: Notify | None) -> Callable[[Any], Any]:
    """A function of a value that gives it, text made harmless; the first that changes is said."""
    told: list[str] = []

    def safe(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        written = for_file(for_spreadsheet(value))
        if written != value and notify is not None and not told:
            told.append(value)
            notify(f"{value!a} is written to CSV as {written!a}, so that no program takes it for "
                   "more than text; so are others like it")  # fmt: skip
        return written

    return safe
