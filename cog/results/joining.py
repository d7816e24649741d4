"""Several tables of results as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from cog.results.columns import key_of
from cog.results.table import tidy

Row = dict[str, Any]


def rows_by_key(table: pd.DataFrame) -> dict[tuple[Any, ...], Row]:
    """The rows of a tidy table as cells have them; None where a value is missing."""
    plain = table.astype("object").where(table.notna(), None)
    rows = ({str(name): value for name, value in row.items()} for row in plain.to_dict("records"))
    return {key_of(row): row for row in rows}


def same_result(one: Row, other: Row) -> bool:
    """Whether two rows of one key are alike in all but how long the work took."""
    return one | {"seconds": None} == other | {"seconds": None}


def join_tables(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all tables, sorted; of rows that are the same result, the first.

    Raises:
        CogError: two rows have one key and differ.
    """
    found: dict[tuple[Any, ...], list[Row]] = {}
    for table in tables:
        for key, row in rows_by_key(table).items():
            rows = found.setdefault(key, [])
            if not any(same_result(row, known) for known in rows):
                rows.append(row)
    return tidy(row for rows in found.values() for row in rows)
