"""What a page shows: results, their summary, accuracies by concept and trials, in columns.

In: a runs folder, levels. Out: values for JSON (`PageData`), each number as the files have it.

- A column with few distinct values becomes these and a code for each row: pages stay small.
- Accuracies by concept and trials are those with the most images a class (`all`, if there are
  such); by concept they are means over seeds, to four decimals.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from cog.levels.table import Levels
from cog.progress import Notify
from cog.recipe import IN1K, LEVEL, level_number, of_levels, parted
from cog.report.axes_data import axes_means, axes_notes, by_axis, joined
from cog.report.confusions import Confused, most_confused
from cog.results.cells import class_file
from cog.results.class_accuracies import read_class_rows
from cog.results.columns import SETTING, shots_order
from cog.results.controls import cells_of_models, models_only
from cog.results.files import is_table, read_results
from cog.results.headline import Z95
from cog.results.kept_mistakes import finished_rows
from cog.results.kinds import NUMBER
from cog.results.mixing import protocol_in, refuse_mixed
from cog.results.suites import Suites, read_suites
from cog.results.summary import seen_more, summary, with_ranks
from cog.results.table import with_full_names
from cog.storage import StoragePath

CellOnPage = tuple[StoragePath, dict[str, Any]]
"""a finished cell: its path, and its content"""
CONCEPT_COLUMNS = ("wnid", "name", "level", "similarity", "nearest_name", "lcs_name")


@dataclass(frozen=True, eq=False)
class PageData:
    """What a page shows; the names of columns and keys are those that its scripts read."""

    results: pd.DataFrame  # the tidy table: a row a cell
    table: pd.DataFrame
    """its summary, where sets that decide their solver share one (see `joined_solvers`), with
    `place` (the dataset as people call it: IN-1K, L1, …), `more` (whether the model saw more than
    ImageNet-1K), `rank` among the complete models, `pictures` (images a class), `near` (how similar
    the dataset's classes are to the seen ones; missing where nobody knows), and `low` and `high`,
    the 95 % interval of the mean from seeds and test images"""
    concepts: pd.DataFrame
    """columns of levels.csv; empty where there are no accuracies by concept"""
    classes: list[dict[str, Any]]
    """accuracies by concept in the order of `concepts`, by model, probe and solver"""
    trials: list[dict[str, Any]]
    """trials of the search by model, dataset, probe and solver"""
    why: str  # where there are no accuracies by concept, the reason
    confused: list[Confused] = field(default_factory=list)
    """the classes that are most confused, by dataset"""
    means: pd.DataFrame = field(default_factory=pd.DataFrame)
    """means by axis, see `axis_means`"""
    notes: list[str] = field(default_factory=list)
    """what a reader must know of the numbers, see `axes_notes`"""
    tables: list[str] = field(default_factory=list)
    """the tables that results of several people come from, a line each"""


def read_page_data(
    runs: StoragePath,
    levels: Levels,
    notify: Notify | None = None,
    conditions: Sequence[str] = (),
) -> PageData:
    """Everything below `runs` that a page shows, joined with levels.

    Controls are left out. `runs`, `notify` and `conditions` are as in `read_results`; a results.csv
    makes a page without concepts and trials.

    Raises:
        CogError: no results there, or results of different protocols, levels or splits.
    """
    notify = cache(notify or (lambda _: None))  # each line once
    results, cells = _results_and_cells(runs, notify, conditions)
    suites = read_suites(runs.parent if is_table(runs) else runs, notify)
    confused = most_confused(runs, ((path, cell["row"]) for path, cell in cells), notify)
    return page_data(results, levels, suites, notify, cells, confused)


def page_data(
    results: pd.DataFrame,
    levels: Levels,
    suites: Suites,
    notify: Notify,
    own_cells: Sequence[CellOnPage] = (),
    confused: Sequence[Confused] = (),
    tables: Sequence[str] = (),
) -> PageData:
    """What a page shows of a tidy table without controls; as in `read_page_data`.

    Raises:
        CogError: results of different protocols, levels or splits.
    """
    refuse_mixed(results)
    grouped = joined(results)
    cells, table = _as_grouped(own_cells, grouped), _table(grouped)
    own = levels.fingerprint[:16]
    of_any = with_full_names(results)["dataset"].map(of_levels)  # test sets are of none
    others = sorted(set(results.loc[of_any, "levels_hash"]) - {own})
    concepts = levels.table[list(CONCEPT_COLUMNS)]
    classes = [] if others else _classes(cells, concepts["wnid"], notify)
    why = "" if classes else "The results come without accuracies by concept."
    if others:
        why = (
            f"The results are of levels {others[0] or 'unknown'}, the levels given are {own}: "
            "see --levels."
        )
    shown = concepts if classes else concepts[:0]
    means, notes = axes_means(grouped, suites), axes_notes(results, table, suites)
    return PageData(
        results, table, shown, classes, _trials(cells), why, list(confused), means, notes,
        list(tables),
    )  # fmt: skip


def dataset_label(dataset: str) -> str:
    """What people call a dataset.

    >>> dataset_label("in1k"), dataset_label("cog_l3"), dataset_label("cog_lions")
    ('IN-1K', 'L3', 'cog_lions')
    """
    if dataset == IN1K:
        return "IN-1K"
    is_level = level_number(parted(dataset)[0]) is not None
    return dataset.replace(LEVEL, "L", 1) if is_level else dataset


def dataset_labels(table: pd.DataFrame) -> list[str]:
    """The datasets of a table, as people call them, in their order."""
    return [dataset_label(name) for name in by_axis(set(table["dataset"]))]


def as_columns(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as columns for JSON: lists, or distinct `values` and the `codes` of the rows.

    >>> as_columns(pd.DataFrame({"a": ["x"] * 4, "b": [1.5, 2.5, None, 3.5]}))
    {'a': {'values': ['x'], 'codes': [0, 0, 0, 0]}, 'b': [1.5, 2.5, None, 3.5]}
    """
    return {str(name): _column(frame[name]) for name in frame}


def plain_values(series: pd.Series) -> list[Any]:
    """The values of a column, of types that JSON has; None where one is missing."""
    return series.astype(object).where(series.notna(), None).tolist()


def _column(series: pd.Series) -> Any:
    values = plain_values(series)
    codes = {value: code for code, value in enumerate(dict.fromkeys(values))}
    if 4 * len(codes) > len(values):
        return values
    return {"values": list(codes), "codes": [codes[value] for value in values]}


def _table(results: pd.DataFrame) -> pd.DataFrame:
    """The summary with the other columns of `PageData.table`."""
    table = with_ranks(summary(results))
    images = results.assign(pictures=results["n_train"] / results["n_classes"])
    mean = images.groupby(list(SETTING), as_index=False)["pictures"].mean()
    table = table.merge(mean, on=list(SETTING), how="left", validate="one_to_one")
    few = pd.to_numeric(table["shots"], errors="coerce")
    own = results[~results["dataset"].str.contains("/")]  # test sets differ in more than classes
    near = own.groupby("dataset")["similarity"].first()
    return table.assign(
        pictures=few.fillna(table["pictures"]),
        place=table["dataset"].map(dataset_label),
        near=table["dataset"].map(near),
        more=[seen_more(seen) for seen in table["seen_data"]],
        low=table["value"] - Z95 * table["error"],
        high=table["value"] + Z95 * table["error"],
    )


def _results_and_cells(
    runs: StoragePath, notify: Notify, conditions: Sequence[str]
) -> tuple[pd.DataFrame, list[CellOnPage]]:
    """The results without controls, and those of their cells with the most images a class."""
    if is_table(runs):
        return models_only(read_results(runs, conditions)), []
    results, cells = cells_of_models(
        finished_rows(runs, protocol_in(conditions), notify), conditions
    )
    most = max(results["shots"], key=shots_order)
    return results, [(path, cell) for path, cell in cells.items() if cell["row"]["shots"] == most]


def _as_grouped(cells: Sequence[CellOnPage], rows: pd.DataFrame) -> list[CellOnPage]:
    """The cells with the solvers by which a page groups them."""
    fit = ["probe", "own_solver", "shots"]
    groups = rows[[*fit, "solver"]].drop_duplicates().set_index(fit)["solver"]
    return [
        (path, {**cell, "row": row | {"solver": groups[row["probe"], row["solver"], row["shots"]]}})
        for path, cell in cells
        for row in (cell["row"],)
    ]


def _classes(
    cells: Sequence[CellOnPage], wnids: pd.Series[str], notify: Notify
) -> list[dict[str, Any]]:
    """Mean top-1 by model, probe and solver for each of `wnids`; None where it was not tested."""
    index = {wnid: at for at, wnid in enumerate(wnids)}
    sums: dict[tuple[str, ...], Any] = defaultdict(lambda: np.zeros((2, len(index))))
    for path, content in cells:
        cell = content["row"]
        if level_number(cell["dataset"]) is None or cell.get("test_set"):
            continue  # among the classes of other datasets a concept is another task
        try:
            rows = read_class_rows(class_file(path))
        except FileNotFoundError:
            rows = []
        except (KeyError, TypeError, AttributeError, ValueError, csv.Error, IsADirectoryError):
            notify(f"{class_file(path)} is cut short, or no table of classes: left out")
            continue
        both = sums[cell["model"], cell["probe"], cell["solver"]]
        for wnid, n_test, top1 in rows:
            if wnid in index and n_test:
                both[:, index[wnid]] += top1, 1
    return [
        {
            "model": model,
            "probe": probe,
            "solver": solver,
            "top1": plain_values((pd.Series(total) / count).round(4)),
        }
        for (model, probe, solver), (total, count) in sums.items()
        if count.any()
    ]


def _trials(cells: Sequence[CellOnPage]) -> list[dict[str, Any]]:
    """Trials of learning rate and weight decay; `chosen` is 1 for the one that the row has."""
    found: dict[tuple[str, ...], dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for _, cell in cells:
        row = cell["row"]
        if row.get("test_set"):
            continue  # its trials are those of its dataset; those of refits are not shown
        for trial in cell.get("trials") or ():
            numbers = ("lr", "wd", "validation_top1")
            if not (isinstance(trial, dict) and all(NUMBER.fits(trial.get(n)) for n in numbers)):
                continue
            one = found[row["model"], row["dataset"], row["probe"], row["solver"]]
            one["lr"].append(trial["lr"])
            one["wd"].append(trial["wd"])
            one["top1"].append(trial["validation_top1"])
            one["seed"].append(row["seed"])
            chosen = (trial["lr"], trial["wd"]) == (row.get("lr"), row.get("wd"))
            one["chosen"].append(int(chosen))
    return [
        {"model": model, "place": dataset_label(dataset), "probe": probe, "solver": solver, **lists}
        for (model, dataset, probe, solver), lists in found.items()
    ]
