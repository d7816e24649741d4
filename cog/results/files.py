"""Tables of results as files: CSV and Parquet, written and read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec

import pandas as pd

from cog.csv_text import table_as_csv
from cog.errors import CogError
from cog.progress import Notify
from cog.results.cells import finished_cells
from cog.results.columns import columns
from cog.results.mixing import protocol_in, where
from cog.results.table import tidy
from cog.storage import StoragePath, write_text


def fold(
    runs: StoragePath, protocol: str | None = None, notify: Notify | None = None
) -> pd.DataFrame:
    """Every cell that `finished_cells` gives for these arguments as a row of one tidy table."""
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
    """The rows that meet `conditions` (see `where`) in a folder of runs, or a CSV or Parquet file.

    Of a folder, the cells of the protocol that the conditions ask for are read. `notify` takes a
    line for each cell that is left out.

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
        return tidy(known)
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
    for name in (column.name for column in columns() if column.kind.numeric):
        texts = raw.get(name, ())
        kind = int if all(text.removeprefix("-").isdecimal() for text in texts) else float
        if name in raw:
            raw[name] = [kind(text or "nan") for text in texts]
    return raw


def _read_parquet(file: io.BytesIO) -> pd.DataFrame:
    _need_pyarrow()
    return pd.read_parquet(file, engine="pyarrow")


def as_parquet(table: pd.DataFrame) -> bytes:
    """A table as a Parquet file; shots, which are numbers or `all`, become text.

    Raises:
        CogError: pyarrow is not installed.
    """
    _need_pyarrow()
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
