"""Accuracies by class, which a cell keeps beside it: read one file, or all of a folder of runs.

In: runs/NAME/classes/*.csv. Out: rows of one file; for each fit a table of models by concepts.
"""

from __future__ import annotations

import csv
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cog.errors import CogError
from cog.levels.table import Levels
from cog.plain_text import from_spreadsheet
from cog.progress import Notify, said_once
from cog.recipe import level_number
from cog.results.cells import class_file, finished_cells
from cog.results.columns import full_name
from cog.results.controls import cells_of_models
from cog.results.kinds import PERCENT
from cog.results.mixing import protocol_in
from cog.small_files import read_lines, whole_number
from cog.storage import StoragePath, storage_path

Fit = tuple[str, str, str]
"""probe, solver, shots: accuracies of two fits are not compared"""
CELL = ["model", "dataset", "probe", "solver", "shots", "seed"]
"""the columns that tell the cells of one protocol apart"""


@dataclass(frozen=True, eq=False)
class ConceptAccuracies:
    """The accuracies of m models in the c concepts that all of them were tested on, by one fit."""

    fit: Fit
    models: tuple[str, ...]  # [m], sorted
    wnids: tuple[str, ...]  # [c], sorted
    top1: NDArray[np.float64]  # [m, c], in percent, means over seeds
    incomplete: int  # concepts of levels that only some of the models were tested on


def read_class_rows(path: StoragePath) -> list[tuple[str, int, float]]:
    """Class, test images and top-1 (NaN where it has none) of a table of classes.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, csv.Error: it is no such table.
        OSError: it cannot be read.
    """
    rows = []
    for row in csv.DictReader(read_lines(path), strict=True):
        top1 = PERCENT.parse(row["top1"])
        if row["top1"] and not PERCENT.fits(top1):
            raise ValueError(f"{top1!r} is not {PERCENT.expected}")
        name = from_spreadsheet(row["wnid"])
        rows.append((name, whole_number(row["n_test"]), top1 if row["top1"] else np.nan))
    if not rows:
        raise ValueError("no classes")
    return rows


def class_accuracies(runs: str | Path, notify: Notify | None = None) -> pd.DataFrame:
    """The accuracy of each class in each finished cell of a folder of runs, one row a class.

    Args:
        runs: the folder of `cog.evaluate`'s `out`.
        notify: takes a line for each file that is left out; by default the logger `cog`.

    Returns:
        Columns model, dataset (with its test set, as in1k/v2), probe, solver, shots, seed, class
        (its wnid, or its name), n_test (images) and top1 (percent; missing without test images).

    Raises:
        CogError: no finished cells there.
    """
    notify = notify or logging.getLogger("cog").warning
    cells = finished_cells(storage_path(str(runs)), notify=notify)
    rows: list[list[Any]] = []
    left_out: list[tuple[str, str]] = []
    for path, cell in cells.items():
        row = {**cell["row"], "dataset": full_name(cell["row"])}
        key = [row[name] for name in CELL]
        rows += [[*key, *found] for found in _rows_of(class_file(path), left_out)]
    for line in said_once(left_out):
        notify(line)
    table = pd.DataFrame(rows, columns=[*CELL, "class", "n_test", "top1"])
    return table.sort_values(
        [*CELL, "class"], key=lambda column: column.map(str), ignore_index=True
    )


def read_concept_accuracies(
    runs: StoragePath, levels: Levels, notify: Notify, conditions: Sequence[str] = ()
) -> tuple[ConceptAccuracies, ...]:
    """The accuracies of all models below `runs` in the concepts of `levels`, a table a fit.

    Controls are left out, and so are fits of one model, which is said. `conditions`: as `where`.

    Raises:
        CogError: no finished cells, results of other levels, or no fit with two models that have
            accuracies by class.
    """
    sums: dict[Fit, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(dict))
    left_out: list[tuple[str, str]] = []
    for path, row in _cells_of_levels(runs, levels, notify, conditions).items():
        of_model = sums[row["probe"], row["solver"], str(row["shots"])][row["model"]]
        for wnid, n_test, top1 in _rows_of(path, left_out):
            if n_test:
                of_model.setdefault(wnid, []).append(top1)
    for line in said_once(left_out):
        notify(line)
    found = []
    for fit, by_model in sorted(sums.items()):
        tested = {model: accuracies for model, accuracies in by_model.items() if accuracies}
        if len(tested) < 2:
            notify(f"{_named(fit)}: fewer than two models have accuracies by class: left out")
            continue
        found.append(_in_common(fit, tested))
    if not found:
        raise CogError(
            f"no fit in {runs} has accuracies by class of two models",
            "give the folder of `cog evaluate --out` with two models or more, and their cells",
        )
    return tuple(found)


def _named(fit: Fit) -> str:
    return f"{fit[0]}-{fit[1]}, shots {fit[2]}"


def _cells_of_levels(
    runs: StoragePath, levels: Levels, notify: Notify, conditions: Sequence[str]
) -> dict[StoragePath, dict[str, Any]]:
    """The file of accuracies by class of each cell of a level, and its row."""
    _, cells = cells_of_models(finished_cells(runs, protocol_in(conditions), notify), conditions)
    found = {}
    for path, cell in cells.items():
        row = cell["row"]
        if level_number(row["dataset"]) is None or row.get("test_set"):
            continue
        if row.get("levels_hash") != levels.fingerprint[:16]:
            raise CogError(
                f"{path} is of levels {row.get('levels_hash') or 'unknown'}, the levels given are"
                f" {levels.fingerprint[:16]}",
                "name the levels of these runs with --levels DIR",
            )
        found[class_file(path)] = row
    return found


def _rows_of(path: StoragePath, left_out: list[tuple[str, str]]) -> list[tuple[str, int, float]]:
    """The rows of a file of accuracies by class; of one without, what is wrong in `left_out`."""
    try:
        return read_class_rows(path)
    except (KeyError, TypeError, AttributeError, ValueError, csv.Error, OSError) as error:
        missing = isinstance(error, FileNotFoundError)
        why = "is not there" if missing else "is cut short, or no table of classes"
        left_out.append((str(path), f"{why}: left out"))
        return []


def _in_common(fit: Fit, tested: dict[str, dict[str, list[float]]]) -> ConceptAccuracies:
    models = tuple(sorted(tested))
    wnids = sorted(set.intersection(*(set(tested[model]) for model in models)))
    some = set().union(*(tested[model] for model in models))
    top1 = [[float(np.mean(tested[model][wnid])) for wnid in wnids] for model in models]
    shape = len(models), len(wnids)
    array = np.array(top1, np.float64).reshape(shape)
    return ConceptAccuracies(fit, models, tuple(wnids), array, len(some) - len(wnids))
