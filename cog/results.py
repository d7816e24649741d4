"""Finished cells → one tidy table: results.csv is a fold of all cells, rebuilt, never edited.

In: cells/*.json, or a table that was written before. Out: a table, CSV, Parquet.

- A cell that cannot be used (cut short, of another protocol, one of two with one key) is told by
  name and left out; which rule would say the right one of two?
- Text has no missing values: an empty one is what nobody knows. Numbers that are missing are NaN.
  So a table that was written and read is the same, to the byte.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from types import NoneType
from typing import Any

import pandas as pd

from cog.errors import CogError
from cog.places import Place, write_text

COLUMNS = (
    "model", "dataset", "probe", "solver", "shots", "seed", "n_classes", "complete", "top1", "top5",
    "mean_class", "top1_low", "top1_high", "seed_decides", "seen_data", "family", "parameters",
    "lr", "wd", "k", "penalty", "trials_per_round", "products", "shots_validation", "n_train",
    "n_validation", "n_test", "n_unreadable", "dim", "feature_bytes", "split", "protocol",
    "precision", "dtype",
    "device", "recipe_hash", "levels_hash", "split_hash", "features_hash", "model_fingerprint",
    "cog_version", "torch_version", "timm_version", "seconds",
)  # fmt: skip
KEY = ("model", "dataset", "probe", "solver", "shots", "seed")
TEXT = (
    "model", "dataset", "probe", "solver", "seed_decides", "seen_data", "family", "products",
    "shots_validation", "split", "protocol", "precision", "dtype", "device", "recipe_hash",
    "levels_hash", "split_hash", "features_hash", "model_fingerprint", "cog_version",
    "torch_version", "timm_version",
)  # fmt: skip
NUMBERS = tuple(name for name in COLUMNS if name not in (*TEXT, "shots", "complete"))

Notice = Callable[[str], None]


def write_cell(path: Place, cell: Mapping[str, Any]) -> None:
    """Write one finished cell: `hashes`, its `row` of the results, and every `trial`."""
    write_text(path, json.dumps(cell, indent=1, allow_nan=False) + "\n")


def read_cell(path: Place) -> dict[str, Any] | None:
    """The cell at `path`, or None where there is none that can be read."""
    try:
        cell = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, ValueError):  # not JSON, or not UTF-8
        return None
    return cell if isinstance(cell, dict) else None


def fold(runs: Place, protocol: str | None = None, notice: Notice | None = None) -> pd.DataFrame:
    """Every finished cell below the folder `runs` as one table, a row a cell, in a fixed order.

    Args and errors are those of `finished_cells`.
    """
    return tidy(cell["row"] for cell in finished_cells(runs, protocol, notice).values())


def finished_cells(
    runs: Place, protocol: str | None = None, notice: Notice | None = None
) -> dict[Place, dict[str, Any]]:
    """The finished cells below the folder `runs` by file: those that are results.

    Args:
        runs: the folder of `cog evaluate --out`.
        protocol: cells of others are left out; without it, those of all but the most frequent one
            (of equals, the last by name).
        notice: who is told of each cell that is left out, by the name of its file, and why.

    Raises:
        CogError: no cells there that can be used.
    """
    cells, problems = _read_cells(runs)
    rows = {path: cell["row"] for path, cell in cells.items()}
    counts = Counter(row["protocol"] for row in rows.values())
    if rows and protocol is None:
        protocol = max(counts, key=lambda name: (counts[name], name))
    for path, row in rows.items():
        if row["protocol"] != protocol:
            problems[path] = f"is of protocol {row['protocol']}, not {protocol}"
    problems |= _twice({path: row for path, row in rows.items() if path not in problems})
    for path, problem in sorted(problems.items(), key=lambda item: str(item[0])):
        if notice:
            notice(f"{path} {problem}: left out")
    kept = {path: cell for path, cell in cells.items() if path not in problems}
    if not kept:
        found = f": {len(problems)} cannot be used" if problems else ""
        raise CogError(
            f"no finished cells in {runs}{found}", "give the folder of `cog evaluate --out`"
        )
    return kept


def _read_cells(runs: Place) -> tuple[dict[Place, dict[str, Any]], dict[Place, str]]:
    """The cells below a folder by file, and what is wrong with the other files."""
    cells, problems = {}, {}
    paths: list[Place] = list(runs.glob("*/cells/*.json"))
    for path in sorted(paths, key=str):
        cell = read_cell(path)
        if cell is None:
            problems[path] = "is cut short, or no JSON"
        elif problem := _problem(cell):
            problems[path] = problem
        else:
            cells[path] = cell
    return cells, problems


def _problem(cell: Mapping[str, Any]) -> str | None:
    """What keeps a cell from being a row of the results, if anything does."""
    kinds = {"hashes": dict, "row": dict, "trials": list}
    if any(not isinstance(cell.get(name), kind) for name, kind in kinds.items()):
        return f"is no cell of {', '.join(kinds)}"
    row = cell["row"]
    for name in ("model", "dataset", "probe", "solver", "protocol"):
        if not isinstance(row.get(name), str) or not row[name]:
            return f"has no {name}"
    if type(row.get("seed")) is not int:
        return "has no seed"
    if row.get("shots") != "all" and type(row.get("shots")) is not int:
        return "has no shots"
    return _odd_value(row)


def _odd_value(row: Mapping[str, Any]) -> str | None:
    """What a row has that its column cannot hold, if anything."""
    for name in NUMBERS:
        if type(row.get(name)) not in (int, float, NoneType):
            return f"has no number as {name}"
    for name in COLUMNS:
        if isinstance(row.get(name), list | dict):
            return f"has no single {name}"
    top1 = row.get("top1")
    return "has no top1" if top1 is None or not 0 <= top1 <= 100 else None


def _twice(rows: Mapping[Place, Mapping[str, Any]]) -> dict[Place, str]:
    """The files that have the key of another, and which that is."""
    files: dict[tuple[Any, ...], list[Place]] = {}
    for path, row in rows.items():
        files.setdefault(tuple(row[name] for name in KEY), []).append(path)
    return {
        path: f"is the same result as {' and '.join(str(other) for other in same if other != path)}"
        for same in files.values()
        if len(same) > 1
        for path in same
    }


def tidy(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of results as a table with all `COLUMNS`, sorted by `KEY`.

    Raises:
        CogError: two rows have one key.
    """
    return _tidy(pd.DataFrame(list(rows), columns=list(COLUMNS)))


def _tidy(raw: pd.DataFrame) -> pd.DataFrame:
    """All columns, each of its own kind, in a fixed order of rows."""
    complete = raw["complete"].map({True: True, False: False, "True": True, "False": False})
    columns = {
        **{name: raw[name].astype("object").fillna("").astype(str) for name in TEXT},
        **{name: pd.to_numeric(raw[name]) for name in NUMBERS},
        "shots": pd.Series(
            ["all" if shots == "all" else int(shots) for shots in raw["shots"]], dtype="object"
        ),
        "complete": complete.astype("boolean" if complete.isna().any() else "bool"),
    }
    table = pd.DataFrame({name: columns[name] for name in COLUMNS})
    twice = table[table.duplicated(list(KEY), keep=False)]
    if len(twice):
        raise CogError(
            f"two results for {tuple(twice.iloc[0][list(KEY)])}",
            "remove one of the two rows, or of the cells/*.json files that they come from",
        )
    return sort_rows(table, KEY)


def sort_rows(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The rows sorted by some columns; datasets and shots in the order of their numbers."""
    orders = {"dataset": dataset_order, "shots": shots_order}
    keys = pd.DataFrame(
        {name: table[name].map(orders.get(name, lambda as_is: as_is)) for name in by}
    )
    return table.loc[keys.sort_values(list(by)).index].reset_index(drop=True)


def dataset_order(dataset: str) -> tuple[int, int, str]:
    """What a dataset is sorted by: in1k first, then the levels by number, then any other.

    >>> sorted(["other", "cog_l10", "cog_l2", "in1k"], key=dataset_order)
    ['in1k', 'cog_l2', 'cog_l10', 'other']
    """
    if dataset == "in1k":
        return 0, 0, dataset
    number = dataset.removeprefix("cog_l")
    is_level = number != dataset and number.isdecimal()
    return (1, int(number), dataset) if is_level else (2, 0, dataset)


def shots_order(shots: int | str) -> float:
    """What a number of pictures a class is sorted by: `all` comes last."""
    return float("inf") if shots == "all" else float(shots)


def write_results(runs: Place, protocol: str | None = None, notice: Notice | None = None) -> Place:
    """Fold the cells below `runs` into `runs/results.csv`; gives its path."""
    path = runs / "results.csv"
    write_text(path, as_csv(fold(runs, protocol, notice)))
    return path


def read_results(
    path: Place, protocol: str | None = None, notice: Notice | None = None
) -> pd.DataFrame:
    """The tidy table of a folder of runs (see `fold`), or of a file that was written from one.

    Raises:
        CogError: nothing there, or no table of results.
    """
    if not is_table(path):
        return fold(path, protocol, notice)
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


def is_table(path: Place) -> bool:
    """Whether a path is that of a table that was written, by its ending; else it is a folder's."""
    return path.suffix in _READERS


def as_text(value: Any) -> str:
    """A value as CSV shows it; whole numbers without `.0`, missing ones empty.

    >>> as_text(3.0), as_text("v1.0"), as_text(float("nan"))
    ('3', 'v1.0', '')
    """
    if pd.isna(value):
        return ""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


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


_READERS = {".csv": _read_csv, ".parquet": _read_parquet}


def as_csv(table: pd.DataFrame) -> str:
    """A table as CSV, lines ended by a newline alone."""
    return table.to_csv(index=False, lineterminator="\n")


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
