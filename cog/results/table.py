"""Rows of results → one tidy table: results.csv is made of all cells, rebuilt, never edited.

In: rows of cells, or a table that was written before. Out: a table with all `columns()`, each with
the dtype of its kind, in a fixed order of rows. Text has no missing values; numbers that are
missing are NaN. So a table that was written and read is the same, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from cog.errors import CogError
from cog.results.columns import KEY, columns


def tidy(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of results, without a `problem_of`, as a table with all `columns()`, sorted by `KEY`.

    Raises:
        CogError: two rows have one key.
    """
    names = [column.name for column in columns()]
    raw = pd.DataFrame(list(rows), columns=names, dtype="object")
    table = pd.DataFrame({column.name: column.kind.read(raw[column.name]) for column in columns()})
    twice = table[table.duplicated(list(KEY), keep=False)]
    if len(twice):
        raise CogError(
            f"two results for {', '.join(map(str, twice.iloc[0][list(KEY)]))}",
            "remove one of the two rows, or of the cells/*.json files that they come from",
        )
    return sort_rows(table, KEY)


def with_full_names(results: pd.DataFrame) -> pd.DataFrame:
    """The rows with test sets as datasets of their own, called in1k/v2; `test_set` is empty."""
    further = results["test_set"] != ""
    if not further.any():
        return results
    full = results["dataset"] + "/" + results["test_set"]
    return results.assign(dataset=results["dataset"].mask(further, full), test_set="")


def sort_rows(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The rows sorted by some columns, each in the order of its kind."""
    kinds = {column.name: column.kind for column in columns()}
    keys = pd.DataFrame({name: table[name].map(kinds[name].order) for name in by})
    return table.loc[keys.sort_values(list(by)).index].reset_index(drop=True)


def as_text(value: Any) -> str:
    """A value as CSV shows it; whole numbers without `.0`, missing ones empty.

    >>> as_text(3.0), as_text("v1.0"), as_text(float("nan"))
    ('3', 'v1.0', '')
    """
    if pd.isna(value):
        return ""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
