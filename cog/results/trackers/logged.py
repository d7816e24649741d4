"""Rows of results written to a tracker, each once: what was logged is kept beside the cells.

`runs/MODEL/logged/TRACKER.json` has the id of the tracker's run and the hashes of the rows that it
has. A run that is started again finds them there; a result that was made again from something else
(another recipe, other features) has another hash and is logged again. A kill between the tracker
and the file logs one row twice, under the same names with the same seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from cog.errors import CogError
from cog.hashes import short_hash
from cog.progress import Notify
from cog.results.columns import columns, full_name, key_of
from cog.results.kinds import PERCENT
from cog.results.trackers.table import OpenRun, tracker_file
from cog.small_files import NotReadable, read_json
from cog.storage import StoragePath, write_text

ABOUT = (
    "family", "parameters", "seen_data", "model_fingerprint", "dim", "precision", "protocol",
    "cog_version", "torch_version", "timm_version",
)  # fmt: skip
"""what a tracker's run says of its model: columns of the first row that it gets"""
_HASHES = ("protocol", "recipe_hash", "levels_hash", "split_hash", "features_hash")

LogRow = Callable[[Mapping[str, Any]], None]


@contextmanager
def logging_to(names: Sequence[str], runs: StoragePath, notify: Notify) -> Iterator[LogRow]:
    """A function that writes a row to each of the trackers, unless it was written before.

    A tracker that fails costs no result: what failed is said once, and the same command logs the
    rest when it is run again.

    Args:
        names: of `TRACKERS`.
        runs: the folder of `cog evaluate --out`.
        notify: takes a line for each tracker that fails.

    Raises:
        CogError: an unknown tracker, or one that is not there; before anything is written.
    """
    trackers = [_Tracked(name, tracker_file(name), runs, notify) for name in dict.fromkeys(names)]

    def log(row: Mapping[str, Any]) -> None:
        for tracker in trackers:
            tracker.log(row)

    with ExitStack() as stack:
        for tracker in trackers:
            stack.callback(tracker.close)
        yield log


class _Tracked:
    """One tracker, with a run for each model that has a new row."""

    def __init__(self, name: str, module: Any, runs: StoragePath, notify: Notify) -> None:
        self.name, self.module, self.runs, self.notify = name, module, runs, notify
        self.records: dict[str, dict[str, Any]] = {}
        self.open: dict[str, OpenRun] = {}
        self.failed = False

    def log(self, row: Mapping[str, Any]) -> None:
        """Write a row, unless it was written before or the tracker has failed."""
        model, row_hash = str(row["model"]), hash_of(row)
        record = self._record(model)
        if self.failed or row_hash in record["rows"]:
            return
        try:
            if model not in self.open:
                about = {name: row[name] for name in ABOUT if row.get(name) not in (None, "")}
                folder = self._file(model).parent
                self.open[model] = self.module.open_run(folder, model, record["run"], about)
            self.open[model].log(numbers_of(row), int(row["seed"]))
        except CogError:
            raise
        except Exception as error:  # of a library that talks to a server: any
            goes_on = bool(record["run"]) and model not in self.open
            self._fail(error, f"; remove {self._file(model)} to begin a new one" if goes_on else "")
            return
        record["run"] = self.open[model].run
        record["rows"].append(row_hash)
        write_text(self._file(model), json.dumps(record, indent=1) + "\n")

    def close(self) -> None:
        """End the tracker's runs."""
        for opened in self.open.values():
            try:
                opened.close()
            except Exception as error:
                self._fail(error)

    def _fail(self, error: Exception, more: str = "") -> None:
        if not self.failed:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            self.notify(
                f"--log {self.name} failed ({reason}): results are kept; the same command logs "
                f"what is not logged yet when it is run again{more}"
            )
        self.failed = True

    def _file(self, model: str) -> StoragePath:
        return self.runs / model / "logged" / f"{self.name}.json"

    def _record(self, model: str) -> dict[str, Any]:
        if model not in self.records:
            self.records[model] = _read_record(self._file(model))
        return self.records[model]


def _read_record(path: StoragePath) -> dict[str, Any]:
    """What was logged, or that nothing was."""
    try:
        record = read_json(path)
    except FileNotFoundError:
        return {"run": "", "rows": []}
    except NotReadable as error:
        raise _damaged(path, str(error)) from error
    kinds = {"run": str, "rows": list}
    if not isinstance(record, dict) or any(
        not isinstance(record.get(name), kind) for name, kind in kinds.items()
    ):
        raise _damaged(path, "it has no run and rows")
    return record


def _damaged(path: StoragePath, why: str) -> CogError:
    return CogError(
        f"{path}, which says what was logged, cannot be read: {why}",
        "remove it: then a new run of the tracker gets all rows of the model",
    )


def hash_of(row: Mapping[str, Any]) -> str:
    """The hash of what a row is a result of, and of what it was made from."""
    return short_hash([*key_of(row), *(row.get(name, "") for name in _HASHES)])


def numbers_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The percentages of a row, each called `DATASET/PROBE-SOLVER/SHOTS/METRIC`.

    >>> row = {"dataset": "in1k", "test_set": "v2", "probe": "knn", "solver": "exact",
    ...        "shots": "all", "top1": 61.5, "top5": None, "seconds": 3.0}
    >>> numbers_of(row)
    {'in1k/v2/knn-exact/all/top1': 61.5}
    """
    fit = f"{full_name(row)}/{row['probe']}-{row['solver']}/{row['shots']}"
    named = {column.name: row.get(column.name) for column in columns() if column.kind is PERCENT}
    return {f"{fit}/{name}": float(value) for name, value in named.items() if value is not None}
