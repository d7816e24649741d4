"""The number of a dataset: its headline metric, as the field reports it.

Everything that shows one number a dataset shows this one: the wide table, ranks, differences, means
by axis, the report. What says top-1, such as `cog compare`, which tests image by image, is top-1.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cog.recipe import TOP1

Z95 = 1.96
"""a normal variable is within so many standard deviations of its mean 95 times in 100"""


def with_headline(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of a tidy table with `value`, what the column `metric` names, in percent."""
    value = results["top1"].astype(float)
    for name in sorted(set(results["metric"]) - {TOP1}):
        value = value.mask(results["metric"] == name, results[name].astype(float))
    return results.assign(value=value)


def metric_title(metric: str) -> str:
    """What people call a headline metric.

    >>> metric_title("mean_class"), metric_title("top1")
    ('mean per class', 'top-1')
    """
    return {"top1": "top-1", "top5": "top-5", "mean_class": "mean per class"}.get(metric, metric)


def other_metrics(summary: pd.DataFrame) -> str:
    """Which datasets of a summary have another headline metric than top-1; empty for none."""
    others = summary.loc[summary["metric"] != TOP1].groupby("metric")["dataset"].unique()
    named = (f"{', '.join(names)}: {metric_title(str(metric))}" for metric, names in others.items())
    return f"In place of top-1, {'; '.join(named)}." if len(others) else ""


def inner_share(percent: pd.Series[float], n_test: pd.Series[float]) -> pd.Series[float]:
    """Percentages as shares, at least half a test image away from 0 and 1.

    Where n_test is not known they may be 0 and 1.
    """
    half = (50 / n_test).fillna(0)
    return percent.clip(half, 100 - half) / 100


def log_odds(percent: pd.Series[float], n_test: pd.Series[float]) -> pd.Series[float]:
    """ln(p / (1 − p)) of percentages; p stays half a test image away from 0 and 1."""
    share = inner_share(percent, n_test)
    return pd.Series(np.log(share / (1 - share)), index=percent.index)


def joined_error(one: pd.Series[float], other: pd.Series[float]) -> pd.Series[float]:
    """The error of a sum or difference of two independent values; a missing error counts as 0."""
    joined = pd.Series(np.hypot(one.fillna(0), other.fillna(0)), index=one.index)
    return joined.mask(one.isna() & other.isna())
