"""Means by axis of generalization: over new concepts, new domains and new tasks.

In: the tidy table. Out: for each model and fit, the mean over the sets of an axis of the headline
metric of each set, and of its log odds, as papers report them, each with its error.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cog.recipe import IN1K, TOP1, control_of, is_refit, level_number, of_levels
from cog.results.columns import FIT, SETTING

CONCEPTS, DOMAINS, REFITS, TASKS = AXES = ("concepts", "domains", "refits", "tasks")
Z95 = 1.96
"""a normal variable is within so many standard deviations of its mean 95 times in 100"""


def axis_of(dataset: str) -> str:
    """The axis that a dataset is of; none for ImageNet-1K, of which the axes lead away.

    New domains with heads that are refitted there stand apart.

    >>> [axis_of(name) for name in ("in1k", "cog_l2", "in1k/v2", "in1k/v2+refit", "flowers")]
    ['', 'concepts', 'domains', 'refits', 'tasks']
    """
    if is_refit(dataset):
        return REFITS
    if level_number(dataset) is not None:
        return CONCEPTS
    if "/" in dataset:
        return DOMAINS
    return "" if dataset == IN1K else TASKS


def log_odds(percent: pd.Series[float], n_test: pd.Series[float]) -> pd.Series[float]:
    """ln(p / (1 − p)) of percentages; p stays half a test image away from 0 and 1."""
    share = _inner(percent, n_test)
    return pd.Series(np.log(share / (1 - share)), index=percent.index)


def _inner(percent: pd.Series[float], n_test: pd.Series[float]) -> pd.Series[float]:
    """Percentages as shares between 0 and 1; where n_test is not known they may be 0 and 1."""
    half = (50 / n_test).fillna(0)
    return percent.clip(half, 100 - half) / 100


def headlines(results: pd.DataFrame) -> pd.DataFrame:
    """A row a `SETTING`: the mean over seeds of the headline metric of its dataset, with errors.

    Columns: `SETTING`; `value` in percent and its `error` in points; `log_odds` and its
    `log_odds_error`; `complete`, whether all seeds had all classes.

    - error = √(s²/seeds + ((high − low) / (2 · 1.96))²), with s the standard deviation over seeds
      and low to high the 95 % interval of top-1 over test images, which stands for that of other
      metrics too. A term that is not known counts as 0; NaN where neither is known.
    - log_odds = ln(p / (1 − p)) with p the mean, kept half a test image away from 0 and 1;
      log_odds_error = error / (100 · p · (1 − p)), the first order of its Taylor series.
    """
    metric = results["metric"].where(results["metric"] != "", TOP1)
    value = results["top1"].astype(float)
    for name in sorted(set(metric) - {TOP1}):
        value = value.mask(metric == name, results[name].astype(float))
    half = (results["top1_high"] - results["top1_low"]).astype(float) / (2 * Z95)
    rows = results[[*SETTING, "n_test"]].assign(
        value=value, of_test=half, complete=results["complete"].fillna(False).astype(bool)
    )
    table = rows.groupby(list(SETTING), sort=False, as_index=False).agg(
        value=("value", "mean"),
        se=("value", "sem"),
        of_test=("of_test", "mean"),
        n_test=("n_test", "first"),
        complete=("complete", "all"),
    )
    joined = pd.Series(np.hypot(table["se"].fillna(0), table["of_test"].fillna(0)), table.index)
    table["error"] = joined.mask(table["se"].isna() & table["of_test"].isna())
    n_test = table["n_test"].astype(float)
    share = _inner(table["value"], n_test)
    table["log_odds"] = log_odds(table["value"], n_test)
    table["log_odds_error"] = table["error"] / (100 * share * (1 - share))
    return table.drop(columns=["se", "of_test", "n_test"])


def axis_means(results: pd.DataFrame) -> pd.DataFrame:
    """Means over the sets of each axis that is there, indexed by probe, solver, shots and model.

    Columns of each axis, here `tasks`: `tasks`, the mean of the headline metrics in percent, and
    `tasks_error`; `tasks_log_odds` and `tasks_log_odds_error`; `tasks_sets`, over how many sets.
    Beside them `partial`, the axes of which the model lacks sets, or classes of sets, that the
    table has for its fit: their means are of an easier or other task. Controls have no means.

    Error of a mean over n sets = √Σ error² / n: the sets have other images, so that their errors
    are independent. Sets without an error count as 0; NaN where no set has one.
    """
    by = [*FIT, "model"]
    table = headlines(results)
    table = table[table["model"].map(control_of) == ""]
    axes = table["dataset"].map(axis_of)
    found: dict[str, pd.Series[float]] = {}
    lacking: dict[str, pd.Series[bool]] = {}
    for axis in AXES:
        own = table[axes == axis]
        if own.empty:
            continue
        groups = own.groupby(by)
        sets = groups["dataset"].size()
        for name, value in ((axis, "value"), (f"{axis}_log_odds", "log_odds")):
            error = "error" if value == "value" else "log_odds_error"
            squares = (own[error] ** 2).groupby([own[key] for key in by]).sum(min_count=1)
            found[name] = groups[value].mean()
            found[f"{name}_error"] = squares**0.5 / sets
        found[f"{axis}_sets"] = sets.astype(float)
        wanted = own.groupby(list(FIT))["dataset"].nunique()
        most = [wanted[key[:-1]] for key in sets.index]
        lacking[axis] = (sets < most) | ~groups["complete"].all()
    index = table.set_index(by).index.unique()
    means = pd.DataFrame({name: values.reindex(index) for name, values in found.items()}, index)
    for axis in lacking:
        means[f"{axis}_sets"] = means[f"{axis}_sets"].fillna(0).astype("Int64")
    flags = {axis: each.reindex(index, fill_value=True) for axis, each in lacking.items()}
    for axis, each in flags.items():  # where no model has a set of an axis by this fit, none lacks
        fits = {key[:-1] for key in lacking[axis].index}
        flags[axis] = each & np.array([key[:-1] in fits for key in index])
    means["partial"] = [
        " ".join(axis for axis, each in flags.items() if each[key]) for key in index
    ]
    return means


def joined_solvers(results: pd.DataFrame) -> pd.DataFrame:
    """The results with one solver a probe and shots, such as `lbfgs+sgd`, where sets decide it.

    So the sets of suites stand in one row, each by its own protocol. Results stay as they are
    where a set has results of several solvers, or ImageNet-1K and the levels do not share one.
    """
    kinds = results["dataset"].mask(results["dataset"].map(of_levels), "")  # share one recipe
    by = [results["probe"], results["shots"]]
    solvers = results["solver"].groupby([*by, kinds]).transform("nunique")
    decided = solvers.groupby(by).transform("max") == 1
    names = results["solver"].groupby(by).transform(lambda own: "+".join(sorted(set(own))))
    return results.assign(solver=results["solver"].mask(decided, names))
