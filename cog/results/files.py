"""Tables of results as files: CSV and Parquet, written and read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import pandas as pd

from cog.csv_text import table_as_csv
from cog.errors import CogError
from cog.progress import Notify
from cog.results.cells import refuse_several_protocols
from cog.results.columns import Column, columns, problem_of
from cog.results.kept_mistakes import finished_rows
from cog.results.mixing import protocol_in, where
from cog.results.table import tidy
from cog.small_files import read_small, read_text
from cog.storage import StoragePath, write_text

Row = tuple[int, dict[str, Any]]
"""the number of a row in its file, and its values as a cell has them"""


def fold(
    runs: StoragePath,
    protocol: str | None = None,
    notify: Notify | None = None,
    *,
    keep: bool = False,
) -> pd.DataFrame:
    """Every cell that `finished_rows` gives for these arguments as a row of one tidy table."""
    cells = finished_rows(runs, protocol, notify, keep=keep)
    return tidy(cell["row"] for cell in cells.values())


def write_results(
    runs: StoragePath, protocol: str | None = None, notify: Notify | None = None
) -> StoragePath:
    """Fold the cells below `runs` into `runs/results.csv`; gives its path.

    What the mistakes of each cell cost is kept for the next time.
    """
    path = runs / "results.csv"
    write_text(path, table_as_csv(fold(runs, protocol, notify, keep=True), notify))
    return path


def read_results(
    path: StoragePath, conditions: Sequence[str] = (), notify: Notify | None = None
) -> pd.DataFrame:
    """The rows that meet `conditions` (see `where`) in a folder of runs, or a CSV or Parquet file.

    Of a folder, the cells of the protocol that the conditions ask for are read. `notify` takes a
    line for each cell that is left out.

    Raises:
        CogError: nothing there, no table of results, no row that meets the conditions, or rows of
            protocols with different names.
    """
    if is_table(path):
        found = where(_read_table(path), conditions)
        refuse_several_protocols(found["protocol"], str(path))
        return found
    return where(fold(path, protocol_in(conditions), notify), conditions)


def _read_table(path: StoragePath) -> pd.DataFrame:
    """The rows of a table, each checked as the rows of cells are.

    Raises:
        CogError: which row and column are no result, or why the file is no table.
    """
    if not path.is_file():
        raise CogError(f"no file {path}", "give a folder of runs, or its results.csv")
    try:
        rows = dict(_READERS[path.suffix](path))
        if not rows:
            raise ValueError("it has no rows")
        for number, row in rows.items():
            if problem := problem_of(row):
                raise ValueError(f"row {number} {problem}")
    except (ValueError, csv.Error) as error:
        raise CogError(
            f"{path} is no table of results: {error}",
            "give one that `cog results RUNS --out FILE` wrote, or the folder of runs",
        ) from error
    return tidy(rows.values())


def is_table(path: StoragePath) -> bool:
    """Whether a path is that of a file with a table, by its ending; else it is a folder's."""
    return path.suffix in _READERS


def _read_csv(path: StoragePath) -> Iterator[Row]:
    """The rows by the numbers that a spreadsheet gives them: the head is row 1.

    Text is as it stands (a model may be called NA), and numbers have every digit. Lines may end in
    any way; columns that are none of results are passed over, and so are empty rows.
    """
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    head = next(lines, [])
    _require_columns(head)
    known = [(at, column) for at, name in enumerate(head) for column in columns()
             if column.name == name]  # fmt: skip
    for number, texts in enumerate(lines, start=2):
        if not any(texts):
            continue
        if len(texts) != len(head):
            raise ValueError(f"row {number} has {len(texts)} fields, the head {len(head)}")
        yield number, {column.name: _of_text(texts[at], column) for at, column in known}


def _require_columns(head: Sequence[str]) -> None:
    """Raise ValueError for a head that lacks a column that results need, or has one twice."""
    separators = [mark for mark in (";", "\t", "|") if len(head) == 1 and mark in head[0]]
    if separators:
        raise ValueError(f"it is separated by {separators[0]!r}, not by commas")
    lacking = [column.name for column in columns() if column.needed and column.name not in head]
    if lacking:
        raise ValueError(f"it has no column {', '.join(lacking)}")
    twice = sorted(column.name for column in columns() if head.count(column.name) > 1)
    if twice:
        raise ValueError(f"it has two columns {twice[0]}")


def _of_text(text: str, column: Column) -> Any:
    """The value that a field of a column stands for; None where it is empty."""
    value = column.kind.parse(text)
    return None if value == "" else value


def _read_parquet(path: StoragePath) -> Iterator[Row]:
    """The rows by their numbers, from 1."""
    require_pyarrow()
    data = read_small(path)
    try:
        raw = pd.read_parquet(io.BytesIO(data), engine="pyarrow")
    except Exception as error:  # of pyarrow, which has many
        raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
    _require_columns(list(map(str, raw.columns)))
    known = [column for column in columns() if column.name in raw]
    lists = [[_of_parquet(value, column) for value in raw[column.name]] for column in known]
    for number, values in enumerate(zip(*lists, strict=True), start=1):
        yield number, dict(zip((column.name for column in known), values, strict=True))


def _of_parquet(value: Any, column: Column) -> Any:
    """A value of Parquet, of whatever type, as the column has it; None where it is missing."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # a number of NumPy
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    plain = isinstance(value, str | int | float) and not column.kind.fits(value)
    return column.kind.parse(str(value)) if plain else value


def as_parquet(table: pd.DataFrame) -> bytes:
    """A table as a Parquet file; shots, which are numbers or `all`, become text.

    Raises:
        CogError: pyarrow is not installed.
    """
    require_pyarrow()
    table = table.assign(shots=table["shots"].map(str))
    return bytes(table.to_parquet(None, engine="pyarrow", index=False))


def require_pyarrow() -> None:
    """Raise CogError where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise CogError(
            "Parquet needs pyarrow, which is not installed",
            "install it: pip install 'imagenet-cog[parquet]', or write CSV",
        )


_READERS = {".csv": _read_csv, ".parquet": _read_parquet}
