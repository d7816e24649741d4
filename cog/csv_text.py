"""Rows and tables as CSV text, which is the same on every system."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def rows_as_csv(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV, lines ended by a newline alone; None is an empty field.

    >>> rows_as_csv([["model", "top1"], ["a,b", None]])
    'model,top1\\n"a,b",\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def table_as_csv(table: pd.DataFrame) -> str:
    """A table as CSV without its index, lines ended by a newline alone; missing is empty."""
    return table.to_csv(index=False, lineterminator="\n")
