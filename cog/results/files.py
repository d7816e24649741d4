"""Tables of results as files: CSV and Parquet, written and read."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

import pandas as pd

from cog.errors import CogError
from cog.progress import Notify
from cog.results.cells import finished_cells
from cog.results.table import COLUMNS, KEY, NUMBERS, _tidy, tidy
from cog.storage import StoragePath, table_as_csv, write_text


def fold(
    runs: StoragePath, protocol: str | None = None, notify: Notify | None = None
) -> pd.DataFrame:
    """Every finished cell below the folder `runs` as one table, a row a cell, in a fixed order.

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
    path: StoragePath, protocol: str | None = None, notify: Notify | None = None
) -> pd.DataFrame:
    """The tidy table of a folder of runs (see `fold`), or of a file that was written from one.

    Raises:
        CogError: nothing there, or no table of results.
    """
    if not is_table(path):
        return fold(path, protocol, notify)
    if not path.is_file():
        raise CogError(f"no file {path}", "give a folder of runs, or its results.csv")
    try:
        raw = _READERS[path.suffix](io.BytesIO(path.read_bytes()))
        known = raw.reindex(columns=list(COLUMNS))
        if raw.empty:
            raise ValueError("it has no rows")
        needed = known[[*KEY, "top1", "protocol"]]
        if (needed.isna() | (needed == "")).any(axis=None):
            raise ValueError("a result without its key, its accuracy or its protocol")
        return _tidy(known)
    except (ValueError, pd.errors.ParserError) as error:
        raise CogError(
            f"{path} is no table of results: {error}",
            "give one that `cog results RUNS --out FILE` wrote, or the folder of runs",
        ) from error


def is_table(path: StoragePath) -> bool:
    """Whether a path is that of a table that was written, by its ending; else it is a folder's."""
    return path.suffix in _READERS


def _read_csv(file: io.BytesIO) -> pd.DataFrame:
    """CSV with text as it stands (a model may be called NA) and every digit of a number."""
    raw = pd.read_csv(file, dtype=str, keep_default_na=False)
    return raw.assign(**{name: _numbers(raw[name]) for name in NUMBERS if name in raw})


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
    """Raises CogError where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise CogError(
            "Parquet needs pyarrow, which is not installed",
            "install it: pip install 'imagenet-cog[parquet]', or write CSV",
        )


_READERS = {".csv": _read_csv, ".parquet": _read_parquet}
