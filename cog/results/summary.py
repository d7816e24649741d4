"""Means over seeds with their errors, means over levels, and ranks.

In: the tidy table (cog/results/table.py). Out: tables with a row a model × dataset × probe ×
solver × shots (`summary`), and what is derived from them. Accuracies are in percent. The error of
a mean top-1 joins both of its sources, the seeds and the draw of test images.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cog.recipe import UNSEEN, control_of, level_number
from cog.results.axes import Z95, axis_means, joined_solvers
from cog.results.columns import FIT, SETTING, dataset_order
from cog.results.table import sort_rows, with_full_names


def seen_more(seen_data: str) -> bool:
    """Whether a model is known to have learnt from other data than ImageNet-1K alone.

    The concepts of the levels may not be unseen for it. Empty means unknown, and is not marked.

    >>> seen_more("IN-1K"), seen_more("IN-21K, IN-1K"), seen_more("")
    (False, True, False)
    """
    return seen_data not in ("", UNSEEN)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """A row a model × dataset × probe × solver × shots: the mean over seeds, and how sure it is.

    Test sets are datasets of their own, called in1k/v2.

    Columns: `SETTING`; `seeds`, how many; `top1` and `top5`, means; `se`, the standard error of
    top1 over seeds, s / √n, NaN for one seed; `low` and `high`, the means of the ends of the 95 %
    intervals over test images; `error`; `complete`, whether all seeds had all classes;
    `seen_data`, `family`, `parameters`, `dim`, `n_test`; `seconds`, of all seeds; `feature_bytes`.

    error = √(se² + se_test²) with se_test = (high − low) / (2 · 1.96): one standard error of top1
    from both the seeds and the draw of test images, which all seeds share. A term that is not
    known (one seed; no interval) counts as 0; NaN where neither is.
    """
    results = with_full_names(results)
    complete = results["complete"].fillna(False).astype(bool)
    groups = results.assign(complete=complete).groupby(list(SETTING), sort=False, as_index=False)
    of_models = ("seen_data", "family", "parameters", "dim", "n_test")
    table = groups.agg(
        seeds=("seed", "size"),
        top1=("top1", "mean"),
        se=("top1", "sem"),
        low=("top1_low", "mean"),
        high=("top1_high", "mean"),
        top5=("top5", "mean"),
        complete=("complete", "all"),
        **{name: (name, "first") for name in of_models},
        seconds=("seconds", "sum"),
        feature_bytes=("feature_bytes", "max"),
    )
    se_test = (table["high"] - table["low"]) / (2 * Z95)
    table["error"] = joined_error(table["se"], se_test)
    return sort_rows(table, SETTING)


def joined_error(one: pd.Series[float], other: pd.Series[float]) -> pd.Series[float]:
    """The error of a sum or difference of two independent values; a missing error counts as 0."""
    joined = pd.Series(np.hypot(one.fillna(0), other.fillna(0)), index=one.index)
    return joined.mask(one.isna() & other.isna())


def with_ranks(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary with `rank`, by top-1 on the dataset of the row; 1 is best.

    Models with equal top-1 share the better rank. Only models that are complete on the dataset
    have a rank: with fewer classes the task is easier. Controls have none.
    """
    by = [summary[name] for name in ("dataset", *FIT)]
    ranks = summary["top1"].where(summary["complete"] & _is_model(summary)).groupby(by)
    return summary.assign(rank=ranks.rank(ascending=False, method="min").astype("Int64"))


def _is_model(table: pd.DataFrame) -> pd.Series[bool]:
    """Which rows are of models, not of controls."""
    return table["model"].map(control_of) == ""


def by_dataset(summary: pd.DataFrame, values: str) -> pd.DataFrame:
    """One column of the summary: a row a probe × solver × shots × model, a column a dataset."""
    table = summary.pivot(index=[*FIT, "model"], columns="dataset", values=values)
    names = sorted((str(name) for name in table), key=dataset_order)
    return table[names].rename_axis(columns=None)


def ranking(summary: pd.DataFrame) -> pd.DataFrame:
    """The ranks of `with_ranks` by dataset, as a table for programs."""
    return sort_rows(by_dataset(with_ranks(summary), "rank").reset_index(), [*FIT, "model"])


def level_means(summary: pd.DataFrame) -> pd.DataFrame:
    """Mean top-1 over the levels, indexed by probe, solver, shots and model; without controls.

    Columns: `mean`, over the levels that the model has; `has_all`, whether these are all levels of
    the table; `complete`, whether it has all their classes.
    """
    of_level = summary["dataset"].map(lambda name: level_number(name) is not None)
    levels = summary[of_level & _is_model(summary)]
    top1 = by_dataset(levels, "top1")
    return pd.DataFrame(
        {
            "mean": top1.mean(axis=1),
            "has_all": top1.notna().all(axis=1),
            "complete": levels.groupby([*FIT, "model"])["complete"].all(),
        }
    )


def wide(results: pd.DataFrame) -> pd.DataFrame:
    """One row per model × probe × solver × shots: mean top-1 over seeds, a column a dataset.

    Beside it `<dataset>_se`, the standard error of that mean, where there is more than one seed.
    `levels` is the mean over the levels that are there, `rank` the rank by it among the models that
    have every level of the table with all its classes (1 is best). The others have no rank: their
    task is easier. Controls have neither mean nor rank. Then come the means by axis of
    `axis_means`. Sets that decide their solver stand in one row, see `joined_solvers`.
    """
    by = [*FIT, "model"]
    results = joined_solvers(with_full_names(results))
    cells = summary(results)
    rows = cells.groupby(by)
    means, errors = by_dataset(cells, "top1"), by_dataset(cells, "se")
    table = pd.DataFrame(index=means.index)
    for name in means:
        table[name] = means[name]
        if errors[name].notna().any():
            table[f"{name}_se"] = errors[name]
    table["seeds"] = results.groupby(by)["seed"].nunique()
    levels = level_means(cells).reindex(means.index)
    complete = rows["complete"].all()
    if levels["mean"].notna().any():
        controls = pd.Series(
            means.index.get_level_values("model").map(control_of) != "", means.index
        )
        complete &= levels["has_all"].fillna(False).astype(bool) | controls
        ranked = levels["mean"].where(complete).groupby(level=list(FIT))
        table["levels"] = levels["mean"]
        table["rank"] = ranked.rank(ascending=False, method="min").astype("Int64")
    table = table.join(axis_means(results))
    table["complete"] = complete
    table["seen_data"] = rows["seen_data"].first()
    return sort_rows(table.reset_index(), by)
