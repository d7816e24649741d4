"""The files of finished cells: written, read, and refused by name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from types import NoneType
from typing import Any

from cog.errors import CogError
from cog.progress import Notify
from cog.results.table import COLUMNS, KEY, NUMBERS
from cog.storage import StoragePath, write_text


def write_cell(path: StoragePath, cell: Mapping[str, Any]) -> None:
    """Write one finished cell: `hashes`, its `row` of the results, and every `trial`."""
    write_text(path, json.dumps(cell, indent=1, allow_nan=False) + "\n")


def read_cell(path: StoragePath) -> dict[str, Any] | None:
    """The cell at `path`, or None where there is none that can be read."""
    try:
        cell = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, ValueError):  # not JSON, or not UTF-8
        return None
    return cell if isinstance(cell, dict) else None


def finished_cells(
    runs: StoragePath, protocol: str | None = None, notify: Notify | None = None
) -> dict[StoragePath, dict[str, Any]]:
    """The finished cells below the folder `runs` by file: those that are results.

    Args:
        runs: the folder of `cog evaluate --out`.
        protocol: cells of others are left out; without it, those of all but the most frequent one
            (of equals, the last by name).
        notify: who is told of each cell that is left out, by the name of its file, and why.

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
        if notify:
            notify(f"{path} {problem}: left out")
    kept = {path: cell for path, cell in cells.items() if path not in problems}
    if not kept:
        found = f": {len(problems)} cannot be used" if problems else ""
        raise CogError(
            f"no finished cells in {runs}{found}", "give the folder of `cog evaluate --out`"
        )
    return kept


def _read_cells(
    runs: StoragePath,
) -> tuple[dict[StoragePath, dict[str, Any]], dict[StoragePath, str]]:
    """The cells below a folder by file, and what is wrong with the other files."""
    cells, problems = {}, {}
    paths: list[StoragePath] = list(runs.glob("*/cells/*.json"))
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


def _twice(rows: Mapping[StoragePath, Mapping[str, Any]]) -> dict[StoragePath, str]:
    """The files that have the key of another, and which that is."""
    files: dict[tuple[Any, ...], list[StoragePath]] = {}
    for path, row in rows.items():
        files.setdefault(tuple(row[name] for name in KEY), []).append(path)
    return {
        path: f"is the same result as {' and '.join(str(other) for other in same if other != path)}"
        for same in files.values()
        if len(same) > 1
        for path in same
    }
