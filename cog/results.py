"""Finished cells → one tidy table: results.csv is a fold of all cells, rebuilt, never edited."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from cog.errors import CogError
from cog.places import Place, write_text
from cog.scores import standard_error

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


def write_cell(path: Place, cell: Mapping[str, Any]) -> None:
    """Write one finished cell: `hashes`, its `row` of the results, and every `trial`."""
    write_text(path, json.dumps(cell, indent=1, allow_nan=False) + "\n")


def read_cell(path: Place) -> dict[str, Any] | None:
    """The cell at `path`, or None where there is none that can be read."""
    try:
        cell = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return cell if isinstance(cell, dict) else None


def fold(runs: Place) -> pd.DataFrame:
    """Every finished cell below the folder `runs` as one table, a row a cell, in a fixed order.

    Raises:
        CogError: no cells there, or two with one key.
    """
    paths: list[Place] = list(runs.glob("*/cells/*.json"))
    cells = map(read_cell, sorted(paths, key=str))
    rows = [cell["row"] for cell in cells if cell is not None]
    if not rows:
        raise CogError(f"no finished cells in {runs}", "run `cog evaluate --out` there first")
    return tidy(rows)


def tidy(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of results as a table with all `COLUMNS`, sorted by `KEY`.

    Raises:
        CogError: two rows have one key.
    """
    table = pd.DataFrame(list(rows), columns=list(COLUMNS))
    twice = table[table.duplicated(list(KEY), keep=False)]
    if len(twice):
        raise CogError(
            f"two results for {tuple(twice.iloc[0][list(KEY)])}",
            "remove one of the two cells/*.json files with that model, dataset and seed",
        )
    order = table.assign(
        dataset=table["dataset"].map(dataset_order), shots=table["shots"].map(_shots_order)
    )
    return table.loc[order.sort_values(list(KEY)).index].reset_index(drop=True)


def dataset_order(dataset: str) -> tuple[int, int]:
    """What a dataset is sorted by: in1k first, then the levels by number."""
    return (0, 0) if dataset == "in1k" else (1, int(dataset.removeprefix("cog_l")))


def _shots_order(shots: int | str) -> float:
    return float("inf") if shots == "all" else float(shots)


def write_results(runs: Place) -> Place:
    """Fold the cells below `runs` into `runs/results.csv`; gives its path."""
    path = runs / "results.csv"
    write_text(path, fold(runs).to_csv(index=False, lineterminator="\n"))
    return path


def wide(results: pd.DataFrame) -> pd.DataFrame:
    """One row per model × probe × solver × shots: mean top-1 over seeds, a column a dataset.

    Beside it `<dataset>_se`, the standard error of that mean, where there is more than one seed.
    `levels` is the mean over the levels that are there, `rank` its place among the models that
    have every level of the table with all its classes (1 is best); the others get none, for their
    figures are of an easier task.
    """
    by = ["probe", "solver", "shots", "model"]
    top1 = results.pivot_table(index=by, columns="dataset", values="top1", aggfunc="mean")
    names = sorted((str(name) for name in top1.columns), key=dataset_order)
    top1 = top1[names]
    errors = results.pivot_table(
        index=by,
        columns="dataset",
        values="top1",
        aggfunc=lambda values: standard_error(values.to_numpy()),
    )
    pairs = {f"{name}_se": errors[name] for name in names if name in errors}
    level_names = [name for name in names if name != "in1k"]
    complete = results.groupby(by)["complete"].all() & top1[level_names].notna().all(axis=1)
    table = top1.assign(seeds=results.groupby(by)["seed"].nunique())
    if level_names:
        table["levels"] = top1[level_names].mean(axis=1)
        ranked = (
            table["levels"].where(complete).groupby(by[:-1]).rank(ascending=False, method="min")
        )
        table["rank"] = ranked.astype("Int64")
    table = table.assign(**pairs)
    for place, name in enumerate(names):  # each error right of its mean
        if f"{name}_se" in pairs:
            table.insert(2 * place + 1, f"{name}_se", table.pop(f"{name}_se"))
    table["complete"] = complete
    seen = results.assign(seen_data=results["seen_data"].astype("object").fillna(""))
    table["seen_data"] = seen.groupby(by)["seen_data"].first()
    table = table.reset_index()
    order = table["shots"].map(_shots_order)
    return (
        table.assign(_order=order)
        .sort_values(["probe", "solver", "_order", "model"])
        .drop(columns="_order")
        .reset_index(drop=True)
    )
