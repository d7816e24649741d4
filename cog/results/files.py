"""Tables of results as files: CSV and Parquet, written and read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import pandas as pd

from cog.errors import CogError
from cog.progress import Notify
from cog.results.cells import finished_cells
from cog.results.columns import columns
from cog.results.mixing import protocol_in, where
from cog.results.table import tidy, tidy_table
from cog.storage import StoragePath, table_as_csv, write_text


def fold(
    runs: StoragePath, protocol: str | None = None, notify: Notify | None = None
) -> pd.DataFrame:
    """Every finished cell below the folder `runs` as a row of one tidy table.

    Args and errors are those of `finished_cells`.
    """
    return tidy(cell["row"] for cell in finished_cells(runs, protocol, notify).values())


def write_results(
    runs: StoragePath, protocol: str | None = None, notify: Notify | None = None
) -> StoragePath:
    """Fold the cells below `runs` into `runs/results.csv`; gives its path."""
    path = runs / "results.csv"
    write_text(path, table_as_csv(fold(runs, protocol, notify)))
    return path


def read_results(
    path: StoragePath, conditions: Sequence[str] = (), notify: Notify | None = None
) -> pd.DataFrame:
    """The tidy table of a folder of runs, or of a file that was written from one.

    Args:
        path: the folder, or a file of CSV or Parquet.
        conditions: only rows that meet them (see `where`). Of a folder, the cells of the protocol
            that they ask for are read.
        notify: takes a line for each cell that is left out.

    Raises:
        CogError: nothing there, no table of results, or no row that meets the conditions.
    """
    if is_table(path):
        return where(_read_table(path), conditions)
    return where(fold(path, protocol_in(conditions), notify), conditions)


def _read_table(path: StoragePath) -> pd.DataFrame:
    if not path.is_file():
        raise CogError(f"no file {path}", "give a folder of runs, or its results.csv")
    try:
        raw = _READERS[path.suffix](io.BytesIO(path.read_bytes()))
        known = raw.reindex(columns=[column.name for column in columns()])
        if raw.empty:
            raise ValueError("it has no rows")
        needed = [column.name for column in columns() if column.needed]
        if (known[needed].isna() | (known[needed] == "")).any(axis=None):
            raise ValueError(f"a row without one of {', '.join(needed)}")
        return tidy_table(known)
    except (ValueError, pd.errors.ParserError) as error:
        raise CogError(
            f"{path} is no table of results: {error}",
            "give one that `cog results RUNS --out FILE` wrote, or the folder of runs",
        ) from error


def is_table(path: StoragePath) -> bool:
    """Whether a path is that of a file with a table, by its ending; else it is a folder's."""
    return path.suffix in _READERS


def _read_csv(file: io.BytesIO) -> pd.DataFrame:
    """CSV with text as it stands (a model may be called NA) and every digit of a number."""
    raw = pd.read_csv(file, dtype=str, keep_default_na=False)
    numeric = [column.name for column in columns() if column.kind.numeric and column.name in raw]
    return raw.assign(**{name: _numbers(raw[name]) for name in numeric})


def _numbers(texts: pd.Series[str]) -> pd.Series[Any]:
    """Integers where all texts are, else floats; NaN where there is no text."""
    kind = int if all(text.removeprefix("-").isdecimal() for text in texts) else float
    return pd.Series([kind(text or "nan") for text in texts], index=texts.index)


def _read_parquet(file: io.BytesIO) -> pd.DataFrame:
    _need_pyarrow()
    return pd.read_parquet(file, engine="pyarrow")


def as_parquet(table: pd.DataFrame) -> bytes:
    """A table as a Parquet file; shots, which are numbers or `all`, become text.

    Raises:
        CogError: pyarrow is not installed.
    """
    _need_pyarrow()
    if "shots" in table:
        table = table.assign(shots=table["shots"].map(str))
    return bytes(table.to_parquet(None, engine="pyarrow", index=False))


def _need_pyarrow() -> None:
    """Raise CogError where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise CogError(
            "Parquet needs pyarrow, which is not installed",
            "install it: pip install 'imagenet-cog[parquet]', or write CSV",
        )


_READERS = {".csv": _read_csv, ".parquet": _read_parquet}
