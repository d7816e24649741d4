"""Means over seeds with their errors, means over levels, and ranks.

In: the tidy table (cog/results/table.py). Out: tables with a row a model × dataset × probe ×
solver × shots (`summary`), and what is derived from them. Accuracies are in percent, those of a
dataset by its headline metric. The error of a mean joins both of its sources, the seeds and the
draw of test images.
"""

from __future__ import annotations

import pandas as pd

from cog.recipe import UNSEEN, control_of, level_number
from cog.results.axes import axis_means, joined_solvers
from cog.results.columns import FIT, SETTING, dataset_order
from cog.results.headline import Z95, joined_error, with_headline
from cog.results.suites import NOTHING_KNOWN, Suites
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

    Columns: `SETTING`; `seeds`, how many; `metric`, the headline one, and `value`, its mean; `top1`
    and `top5`, means; `se`, the standard error of the value over seeds, s / √n, NaN for one seed;
    `low` and `high`, the means of the ends of top-1's 95 % intervals over test images; `error`;
    `complete`, whether all seeds had all classes; `seen_data`, `family`, `parameters`, `dim`,
    `n_test`; `seconds`, of all seeds; `feature_bytes`.

    error = √(se² + se_test²) with se_test = (high − low) / (2 · 1.96): one standard error of the
    value from both the seeds and the draw of test images, which all seeds share; the interval of
    top-1 stands for that of other metrics. A term that is not known (one seed; no interval) counts
    as 0; NaN where neither is.
    """
    results = with_headline(with_full_names(results))
    complete = results["complete"].fillna(False).astype(bool)
    groups = results.assign(complete=complete).groupby(list(SETTING), sort=False, as_index=False)
    of_models = ("seen_data", "family", "parameters", "dim", "n_test")
    table = groups.agg(
        seeds=("seed", "size"),
        metric=("metric", "first"),
        value=("value", "mean"),
        top1=("top1", "mean"),
        se=("value", "sem"),
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


def with_ranks(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary with `rank`, by the value on the dataset of the row; 1 is best.

    Models with equal values share the better rank. Only models that are complete on the dataset
    have a rank: with fewer classes the task is easier. Controls have none.
    """
    by = [summary[name] for name in ("dataset", *FIT)]
    ranks = summary["value"].where(summary["complete"] & _is_model(summary)).groupby(by)
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
    values = by_dataset(levels, "value")
    return pd.DataFrame(
        {
            "mean": values.mean(axis=1),
            "has_all": values.notna().all(axis=1),
            "complete": levels.groupby([*FIT, "model"])["complete"].all(),
        }
    )


def wide(results: pd.DataFrame, suites: Suites = NOTHING_KNOWN) -> pd.DataFrame:
    """One row per model × probe × solver × shots, a column a dataset: the mean over seeds.

    It is of the headline metric of the dataset. Beside it `<dataset>_se`, the standard error of
    that mean, where there is more than one seed. `levels` is the mean over the levels that are
    there, `rank` the rank by it among the models that have every level of the table with all its
    classes (1 is best). The others have no rank: their task is easier. Controls have neither mean
    nor rank. Then come the means by axis of `axis_means`. Sets that decide their solver stand in
    one row, see `joined_solvers`.
    """
    by = [*FIT, "model"]
    results = joined_solvers(with_full_names(results))
    cells = summary(results)
    rows = cells.groupby(by)
    means, errors = by_dataset(cells, "value"), by_dataset(cells, "se")
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
    table = table.join(axis_means(results, suites))
    table["complete"] = complete
    table["seen_data"] = rows["seen_data"].first()
    return sort_rows(table.reset_index(), by)
