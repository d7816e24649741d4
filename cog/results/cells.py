"""The files of finished cells: written, read, and left out where they are no results.

A cell that cannot be used (cut short, of another protocol, one of two with one key) is left out,
and the user reads which and why: no rule could say the right one of two.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cog.errors import CogError
from cog.progress import Notify, said_once
from cog.results.columns import key_of, problem_of
from cog.results.distances import read_distances, with_distance
from cog.small_files import NotReadable, read_json
from cog.storage import StoragePath, write_text


def write_cell(path: StoragePath, cell: Mapping[str, Any]) -> None:
    """Write one finished cell: `hashes`, its `row` of the results, and every `trial`."""
    write_text(path, cell_text(cell))


def cell_text(cell: Mapping[str, Any]) -> str:
    """What the file of a cell holds."""
    return json.dumps(cell, indent=1, allow_nan=False) + "\n"


def class_file(path: StoragePath) -> StoragePath:
    """The table of accuracies by class that belongs to the cell at `path`."""
    return path.parent.parent / "classes" / f"{path.stem}.csv"


def ranks_file(path: StoragePath) -> StoragePath:
    """The ranks that belong to the cell at `path`."""
    return path.parent.parent / "ranks" / f"{path.stem}.json"


def predictions_file(path: StoragePath) -> StoragePath:
    """The predictions that belong to the cell at `path`."""
    return path.parent.parent / "predictions" / f"{path.stem}.json"


def read_cell(path: StoragePath) -> dict[str, Any] | None:
    """The cell at `path`, or None where there is none that can be read."""
    return _read(path)[0]


def _read(path: StoragePath) -> tuple[dict[str, Any] | None, str]:
    """The cell at `path` or None, and why it can be no result; empty where it can."""
    try:
        cell = read_json(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        return None, f"is no file: {error.strerror}"
    except NotReadable as error:
        return None, f"cannot be read: {error}"
    if not isinstance(cell, dict):
        return None, "is no cell"
    return cell, _problem(cell)


LeaveOut = Callable[[StoragePath, str], None]
"""a function that takes the file of a cell that is left out, and why"""


def finished_cells(
    runs: StoragePath,
    protocol: str | None = None,
    notify: Notify | None = None,
    leave_out: LeaveOut | None = None,
) -> dict[StoragePath, dict[str, Any]]:
    """The finished cells below the folder `runs` by file: those that are results.

    Rows have the columns of `read_distances`, which are of datasets and lie in files of their own.

    Args:
        runs: the folder of `cog evaluate --out`.
        protocol: only cells of this protocol; without it, those of the most frequent one (of
            equals, the last by name).
        notify: takes a line for each reason why cells are left out, with their files.
        leave_out: takes the file of each cell that is left out, and why, in place of such lines.

    Raises:
        CogError: no cells there that can be used, or cells of protocols with different names.
    """
    paths: list[StoragePath] = list(runs.glob("*/cells/*.json"))
    read = {path: _read(path) for path in sorted(paths, key=str)}
    cells = {path: cell for path, (cell, _) in read.items()}
    problems = {path: problem for path, (_, problem) in read.items()}
    rows = {path: cell["row"] for path, cell in cells.items() if cell and not problems[path]}
    wanted = protocol or _most_frequent([row["protocol"] for row in rows.values()], runs)
    keys = {path: (row["protocol"], *key_of(row)) for path, row in rows.items()}
    same: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for path, key in keys.items():
        same[key].append(str(path))
    for path, row in rows.items():
        others = [file for file in same[keys[path]] if file != str(path)]
        if row["protocol"] != wanted:
            problems[path] = f"is of protocol {row['protocol']}, not {wanted}"
        elif others:
            problems[path] = f"is the same result as {' and '.join(others)}"
    _report({path: why for path, why in problems.items() if why}, notify, leave_out)
    distances = read_distances(runs, notify)
    kept = {
        path: {**cell, "row": with_distance(cell["row"], distances)}
        for path, cell in cells.items()
        if cell and not problems[path]
    }
    if not kept:
        found = f": {len(cells)} cannot be used" if cells else ""
        raise CogError(
            f"no finished cells in {runs}{found}", "give the folder of `cog evaluate --out`"
        )
    return kept


def _report(
    left_out: Mapping[StoragePath, str], notify: Notify | None, leave_out: LeaveOut | None
) -> None:
    """Give each cell that is left out to `leave_out`, or else lines about them to `notify`."""
    if leave_out:
        for path, why in left_out.items():
            leave_out(path, why)
    elif notify:
        for line in said_once((str(path), f"{why}: left out") for path, why in left_out.items()):
            notify(line)


def _most_frequent(protocols: list[str], runs: StoragePath) -> str:
    """The protocol of most cells; raises as `refuse_several_protocols` does."""
    refuse_several_protocols(protocols, str(runs))
    counts = Counter(protocols)
    return max(counts, key=lambda name: (counts[name], name), default="")


def protocol_name(protocol: str) -> str:
    """The name of a protocol, without the version that the column `protocol` has behind it.

    >>> protocol_name("cog-1"), protocol_name("dino-knn-1")
    ('cog', 'dino-knn')
    """
    return protocol.rpartition("-")[0] or protocol


def protocol_names(runs: StoragePath) -> list[str]:
    """The name of the protocol of each model run in a folder that has finished cells.

    One cell of each is read: all cells of a folder are of one protocol, as no other is begun there.
    """
    names: dict[StoragePath, str] = {}
    cells: list[StoragePath] = list(runs.glob("*/cells/*.json"))
    for path in sorted(cells, key=str):
        if path.parent not in names and (cell := read_cell(path)) and not _problem(cell):
            names[path.parent] = protocol_name(cell["row"]["protocol"])
    return list(names.values())


def refuse_several_protocols(protocols: Iterable[str], of: str, hint: str = "") -> None:
    """Refuse results of protocols with different names; versions of one are told apart elsewhere.

    Args:
        protocols: of the rows, as their column has them.
        of: what the rows are of, for people.
        hint: what to type. By default how one of the protocols is chosen.

    Raises:
        CogError: the names.
    """
    found = sorted(set(protocols))
    if len(names := sorted(set(map(protocol_name, found)))) > 1:
        raise CogError(
            f"{of}: results of the protocols {', '.join(names)}, which never share a table",
            hint or f"choose one, such as --where protocol={found[0]}",
        )


def _problem(cell: Mapping[str, Any]) -> str:
    """Why a cell cannot be a row of the results; empty where it can."""
    kinds = {"hashes": dict, "row": dict, "trials": list}
    if any(not isinstance(cell.get(name), kind) for name, kind in kinds.items()):
        return f"is no cell of {', '.join(kinds)}"
    return problem_of(cell["row"])
