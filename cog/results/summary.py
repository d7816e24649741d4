"""Means over seeds with their errors, means over levels, and ranks.

In: the tidy table (cog/results/table.py). Out: tables with a row a model × dataset × probe ×
solver × shots (`summary`), and what is derived from them. Accuracies are in percent. The error of
a mean top-1 joins both of its sources, the seeds and the draw of test images.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cog.recipe import UNSEEN, level_number
from cog.results.columns import FIT, SETTING, dataset_order
from cog.results.table import sort_rows

Z95 = 1.96
"""a normal variable is within so many standard deviations of its mean 95 times in 100"""


def seen_more(seen_data: str) -> bool:
    """Whether a model is known to have learnt from other data than ImageNet-1K alone.

    The concepts of the levels may not be unseen for it. Empty means unknown, and is not marked.

    >>> seen_more("IN-1K"), seen_more("IN-21K, IN-1K"), seen_more("")
    (False, True, False)
    """
    return seen_data not in ("", UNSEEN)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """A row a model × dataset × probe × solver × shots: the mean over seeds, and how sure it is.

    Columns: `SETTING`; `seeds`, how many; `top1` and `top5`, means; `se`, the standard error of
    top1 over seeds, s / √n, NaN for one seed; `low` and `high`, the means of the ends of the 95 %
    intervals over test images; `error`; `complete`, whether all seeds had all classes;
    `seen_data`, `family`, `parameters`, `dim`, `n_test`; `seconds`, of all seeds; `feature_bytes`.

    error = √(se² + se_test²) with se_test = (high − low) / (2 · 1.96): one standard error of top1
    from both the seeds and the draw of test images, which all seeds share. A term that is not
    known (one seed; no interval) counts as 0; NaN where neither is.
    """
    complete = results["complete"].fillna(False).astype(bool)
    groups = results.assign(complete=complete).groupby(list(SETTING), sort=False)
    table = pd.DataFrame(
        {
            "seeds": groups.size(),
            "top1": groups["top1"].mean(),
            "se": groups["top1"].sem(),
            "low": groups["top1_low"].mean(),
            "high": groups["top1_high"].mean(),
            "top5": groups["top5"].mean(),
            "complete": groups["complete"].all(),
            **{name: groups[name].first() for name in ("seen_data", "family", "parameters", "dim")},
            "n_test": groups["n_test"].first(),
            "seconds": groups["seconds"].sum(),
            "feature_bytes": groups["feature_bytes"].max(),
        }
    ).reset_index()
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
    have a rank: with fewer classes the task is easier.
    """
    by = [summary[name] for name in ("dataset", *FIT)]
    ranks = summary["top1"].where(summary["complete"]).groupby(by)
    return summary.assign(rank=ranks.rank(ascending=False, method="min").astype("Int64"))


def ranking(summary: pd.DataFrame) -> pd.DataFrame:
    """A row a probe × solver × shots × model, a column a dataset: the ranks of `with_ranks`."""
    index = [*FIT, "model"]
    table = with_ranks(summary).pivot(index=index, columns="dataset", values="rank")
    names = sorted((str(name) for name in table), key=dataset_order)
    return sort_rows(table[names].rename_axis(columns=None).reset_index(), index)


def level_means(summary: pd.DataFrame) -> pd.DataFrame:
    """Mean top-1 over the levels, indexed by probe, solver, shots and model.

    Columns: `mean`, over the levels that the model has; `has_all`, whether these are all levels of
    the table; `complete`, whether it has all their classes.
    """
    by = [*FIT, "model"]
    levels = summary[[level_number(name) is not None for name in summary["dataset"]]]
    top1 = levels.set_index([*by, "dataset"])["top1"].unstack("dataset")
    names = sorted((str(name) for name in top1), key=dataset_order)
    top1 = top1[names]
    return pd.DataFrame(
        {
            "mean": top1.mean(axis=1),
            "has_all": top1.notna().all(axis=1),
            "complete": levels.groupby(by)["complete"].all(),
        }
    )


def wide(results: pd.DataFrame) -> pd.DataFrame:
    """One row per model × probe × solver × shots: mean top-1 over seeds, a column a dataset.

    Beside it `<dataset>_se`, the standard error of that mean, where there is more than one seed.
    `levels` is the mean over the levels that are there, `rank` the rank by it among the models that
    have every level of the table with all its classes (1 is best). The others have no rank: their
    task is easier.
    """
    by = [*FIT, "model"]
    cells = summary(results)
    indexed = cells.set_index([*by, "dataset"])
    means, errors = indexed["top1"].unstack("dataset"), indexed["se"].unstack("dataset")
    columns = {}
    for name in sorted((str(name) for name in means), key=dataset_order):
        columns[name] = means[name]
        if errors[name].notna().any():
            columns[f"{name}_se"] = errors[name]
    rows = cells.groupby(by)
    levels = level_means(cells).reindex(means.index)
    table = pd.DataFrame(columns).assign(seeds=results.groupby(by)["seed"].nunique())
    complete = rows["complete"].all()
    if levels["mean"].notna().any():
        complete &= levels["has_all"].fillna(False).astype(bool)
        ranked = levels["mean"].where(complete).groupby(level=list(FIT))
        table["levels"] = levels["mean"]
        table["rank"] = ranked.rank(ascending=False, method="min").astype("Int64")
    table["complete"] = complete
    table["seen_data"] = rows["seen_data"].first()
    return sort_rows(table.reset_index(), by)
