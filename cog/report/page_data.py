"""What a page holds: results, their summary, accuracies by concept and trials, in columns.

In: a runs folder, levels. Out: values for JSON (`PageData`), each number as the files have it.

- Columns with few distinct values are kept as these and a code a row: 16,200 rows of results are
  a few megabytes, and a page reads them at once.
- Accuracies by concept and trials are those of the most images a class (`all` where it is
  there); by concept they are means over seeds, to four decimals.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd

from cog.levels.table import Levels
from cog.progress import Notify
from cog.recipe import IN1K
from cog.results.cells import finished_cells
from cog.results.files import is_table, read_results
from cog.results.mixing import refuse_mixed, where
from cog.results.summary import SETTING, Z95, seen_more, summary, with_ranks
from cog.results.table import KEY, dataset_order, shots_order, tidy
from cog.storage import StoragePath

KeptCell = tuple[StoragePath, dict[str, Any]]
"""the file of a cell's accuracies by concept, and what the cell holds"""
CONCEPT_COLUMNS = ("wnid", "name", "level", "similarity", "nearest_name", "lcs_name")


@dataclass(frozen=True, eq=False)
class PageData:
    """What a page shows.

    `results`: a row a cell. `table`: its summary, with `place` (IN-1K, L1, …), `more` (whether
    the model saw more than ImageNet-1K), `rank` among the complete models,
    `pictures` a class, and `low` and `high`, 95 % about the mean from seeds and test images.
    `concepts`, `classes`: of levels.csv, and accuracies by concept in its order; empty, and `why`
    told, where there are none. `trials`: by model, dataset, probe and solver.
    """

    results: pd.DataFrame
    table: pd.DataFrame
    concepts: pd.DataFrame
    classes: list[dict[str, Any]]
    trials: list[dict[str, Any]]
    why: str


def read_page_data(
    runs: StoragePath,
    levels: Levels,
    notify: Notify | None = None,
    conditions: Sequence[str] = (),
) -> PageData:
    """Everything below `runs` that a page shows, joined with levels.

    `runs` may be a results.csv, for a page without concepts and trials. `notify` is told which
    cells and files are left out, and why. `conditions` choose rows, as in
    `cog.results.mixing.where`.

    Raises:
        CogError: no results there, or results of different protocols, levels or splits.
    """
    notify = notify or (lambda _: None)
    results, cells = _results_and_cells(runs, notify, conditions)
    refuse_mixed(results)
    table = _table(results)
    own = levels.fingerprint[:16]
    others = sorted(set(results["levels_hash"]) - {own})
    concepts, why = levels.table[list(CONCEPT_COLUMNS)], ""
    classes: list[dict[str, Any]] = []
    if others:
        told = others[0] or "that are not told"
        why = f"The results are of levels {told}, the levels given are {own}: see --levels."
    else:
        classes = _classes(cells, concepts["wnid"], notify)
        why = "" if classes else "There are no accuracies by concept beside the results."
    return PageData(results, table, concepts if classes else concepts[:0], classes,
                    _trials(cells), why)  # fmt: skip


def place_of(dataset: str) -> str:
    """What a dataset is called for people.

    >>> place_of("in1k"), place_of("cog_l3")
    ('IN-1K', 'L3')
    """
    return "IN-1K" if dataset == IN1K else dataset.replace("cog_l", "L")


def places_of(table: pd.DataFrame) -> list[str]:
    """The datasets of a table, as people call them, in their order."""
    return [place_of(name) for name in sorted(set(table["dataset"]), key=dataset_order)]


def columns(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as columns for JSON: lists, or distinct `values` and the `codes` of the rows.

    >>> columns(pd.DataFrame({"a": ["x"] * 4, "b": [1.5, 2.5, None, 3.5]}))
    {'a': {'values': ['x'], 'codes': [0, 0, 0, 0]}, 'b': [1.5, 2.5, None, 3.5]}
    """
    return {str(name): _column(frame[name]) for name in frame.columns}


def _column(series: pd.Series) -> Any:
    values = [_plain(value) for value in series.tolist()]
    place = {value: code for code, value in enumerate(dict.fromkeys(values))}
    if 4 * len(place) > len(values):
        return values
    return {"values": list(place), "codes": [place[value] for value in values]}


def _plain(value: Any) -> Any:
    """What JSON knows; None for what is missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _table(results: pd.DataFrame) -> pd.DataFrame:
    """The summary with what a page needs beside it."""
    table = with_ranks(summary(results))
    images = results.assign(pictures=results["n_train"] / results["n_classes"])
    mean = images.groupby(list(SETTING), as_index=False)["pictures"].mean()
    table = table.merge(mean, on=list(SETTING), how="left", validate="one_to_one")
    few = pd.to_numeric(table["shots"], errors="coerce")
    return table.assign(
        pictures=few.fillna(table["pictures"]),
        place=table["dataset"].map(place_of),
        more=[seen_more(seen) for seen in table["seen_data"]],
        low=table["top1"] - Z95 * table["error"],
        high=table["top1"] + Z95 * table["error"],
    )


def _results_and_cells(
    runs: StoragePath, notify: Notify, conditions: Sequence[str]
) -> tuple[pd.DataFrame, list[KeptCell]]:
    """The results, and those of their cells that have the most images a class."""
    if is_table(runs):
        return where(read_results(runs), conditions), []
    cells = finished_cells(runs, notify=notify)
    results = where(tidy(cell["row"] for cell in cells.values()), conditions)
    keys = set(results[list(KEY)].itertuples(index=False, name=None))
    most = max(results["shots"], key=shots_order)
    own = {path: cell for path, cell in cells.items() if cell["row"]["shots"] == most}
    return results, [
        (path.parent.parent / "classes" / f"{path.stem}.csv", cell)
        for path, cell in own.items()
        if tuple(cell["row"][name] for name in KEY) in keys
    ]


def _classes(
    cells: Sequence[KeptCell], wnids: pd.Series[str], notify: Notify
) -> list[dict[str, Any]]:
    """Mean top-1 by model, probe and solver for each of `wnids`; None where it was not tested."""
    position = {wnid: place for place, wnid in enumerate(wnids)}
    sums: dict[tuple[str, ...], Any] = defaultdict(lambda: np.zeros((2, len(position))))
    for path, cell in cells:
        row = cell["row"]
        if row["dataset"] == IN1K:
            continue  # seen concepts have no similarity to the seen ones
        try:
            rows = list(_class_rows(path))
        except (KeyError, TypeError, ValueError):
            notify(f"{path} is cut short, or no table of classes: left out")
            continue
        both = sums[row["model"], row["probe"], row["solver"]]
        for wnid, n_test, top1 in rows:
            if wnid in position and n_test:
                both[:, position[wnid]] += top1, 1
    return [
        {"model": model, "probe": probe, "solver": solver, "top1": _means(total, count)}
        for (model, probe, solver), (total, count) in sums.items()
        if count.any()
    ]


def _class_rows(path: StoragePath) -> Iterator[tuple[str, int, float]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    for row in csv.DictReader(StringIO(text)):
        yield row["wnid"], int(row["n_test"]), float(row["top1"] or "nan")


def _means(total: Any, count: Any) -> list[float | None]:
    with np.errstate(invalid="ignore"):
        means = np.round(total / count, 4)
    return [None if math.isnan(mean) else mean for mean in means.tolist()]


def _trials(cells: Sequence[KeptCell]) -> list[dict[str, Any]]:
    """Trials of learning rate and weight decay; `chosen` are those that the row has."""
    found: dict[tuple[str, ...], dict[str, list[Any]]] = defaultdict(
        lambda: {"lr": [], "wd": [], "top1": [], "seed": [], "chosen": []}
    )
    for _, cell in cells:
        row = cell["row"]
        for trial in cell.get("trials") or ():
            if not (isinstance(trial, dict) and {"lr", "wd", "validation_top1"} <= trial.keys()):
                continue
            one = found[row["model"], row["dataset"], row["probe"], row["solver"]]
            chosen = (trial["lr"], trial["wd"]) == (row.get("lr"), row.get("wd"))
            values = (trial["lr"], trial["wd"], trial["validation_top1"], row["seed"], int(chosen))
            for name, value in zip(one, values, strict=True):
                one[name].append(value)
    return [
        {"model": model, "place": place_of(dataset), "probe": probe, "solver": solver, **lists}
        for (model, dataset, probe, solver), lists in found.items()
    ]
