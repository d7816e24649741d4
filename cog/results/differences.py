"""By how much models differ: from a baseline, and from ImageNet-1K to the farthest level.

In: the `summary` of cog/results/summary.py. Out: a row a comparison; accuracies in percent.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cog.errors import CogError, unknown_name
from cog.recipe import IN1K, level_number
from cog.results.columns import FIT, SETTING, dataset_order
from cog.results.headline import joined_error, log_odds
from cog.results.summary import by_dataset
from cog.results.table import sort_rows


def against(summary: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Each row beside that of the model `baseline` with the same dataset, probe, solver and shots.

    Columns: `SETTING`, `metric`, `value` and `baseline_value`, of the headline metric, `top1` and
    `baseline_top1`; of the values: `difference` in points, `log_odds_ratio`, `error`,
    `significant`. Rows for which the baseline has no result are left out.

    - log_odds_ratio is ln(p / (1 − p)) − ln(q / (1 − q)), where p and q are the values of the model
      and the baseline as shares, such as of test images that are right. A share of 0 or 1 is moved
      by half an image.
    - error = √(error² + baseline's error²), as if the two were independent. They share the test
      images, and mostly fail on the same ones: the true error is smaller.
    - significant: |difference| > t · error, with t the 97.5 % quantile of Student's distribution.
      Its degrees of freedom are those of Welch and Satterthwaite, with infinitely many for test
      images; without an error over seeds t is 1.96. Missing where the error is not known.
      Source: Welch, Biometrika 34 (1947) 28.

    Raises:
        CogError: no such model.
    """
    models = sorted(summary["model"].unique())
    if baseline not in models:
        raise unknown_name("baseline", baseline, models)
    common = ["dataset", *FIT]
    figures = ["value", "top1", "error", "n_test", "se", "seeds"]
    base = summary.loc[summary["model"] == baseline, common + figures]
    base = base.rename(columns={name: f"baseline_{name}" for name in figures})
    table = summary[[*SETTING, "metric", *figures]].merge(base, on=common, how="inner")
    table["difference"] = table["value"] - table["baseline_value"]
    base_odds = log_odds(table["baseline_value"], table["baseline_n_test"])
    table["log_odds_ratio"] = log_odds(table["value"], table["n_test"]) - base_odds
    table["error"] = joined_error(table["error"], table["baseline_error"])
    reach = _t95(table) * table["error"]
    table.loc[table["model"] == baseline, "error"] = 0.0
    significant = table["difference"].abs() > reach
    table["significant"] = significant.astype("boolean").mask(table["error"].isna())
    values = ["metric", "value", "baseline_value", "top1", "baseline_top1"]
    return table[[*SETTING, *values, "difference", "log_odds_ratio", "error", "significant"]]


def _t95(table: pd.DataFrame) -> pd.Series[float]:
    """The 97.5 % quantile of Student's t for each difference, by Welch and Satterthwaite."""
    from scipy.stats import t

    parts = pd.Series(0.0, index=table.index)  # Σ e⁴ / ν over both errors from seeds
    for side in ("", "baseline_"):
        errors = table[f"{side}se"].fillna(0)
        parts += errors**4 / (table[f"{side}seeds"] - 1).clip(lower=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = (table["error"] ** 4 / parts).fillna(np.inf)
    return pd.Series(t.ppf(0.975, freedom), index=table.index)


def drop(summary: pd.DataFrame) -> pd.DataFrame:
    """What each model loses from in1k to the farthest level of the table.

    Columns: probe, solver, shots, model; `in1k` and `far`, its top-1 there; `level`, which that is;
    `points`, in1k − far; `percent`, points in percent of in1k; `error` of the points, from both
    errors, which are independent: the test images differ. Models without one of the two are left
    out.

    Raises:
        CogError: no model has results on in1k and on a level.
    """
    levels = [name for name in summary["dataset"].unique() if level_number(name) is not None]
    level = max(levels, key=dataset_order, default="")
    both = by_dataset(summary, "value").reindex(columns=[IN1K, level]).dropna()
    if both.empty:
        raise CogError(
            "no model has results on in1k and on a level", "evaluate with --in1k, and on levels"
        )
    points = both[IN1K] - both[level]
    errors = by_dataset(summary, "error").loc[both.index]
    table = pd.DataFrame(
        {
            "level": level,
            IN1K: both[IN1K],
            "far": both[level],
            "points": points,
            "percent": 100 * points / both[IN1K],
            "error": joined_error(errors[IN1K], errors[level]),
        }
    )
    return sort_rows(table.reset_index(), [*FIT, "model"])


def left_out(summary: pd.DataFrame, contrasts: pd.DataFrame) -> list[str]:
    """What `against` or `drop` could not compare: `model dataset probe solver shots`.

    For `drop`, which is of all datasets, without the dataset.
    """
    keys = [name for name in SETTING if name in contrasts]
    compared = {tuple(row) for row in contrasts[keys].astype(str).to_numpy()}
    asked = dict.fromkeys(tuple(row) for row in summary[keys].astype(str).to_numpy())
    return [" ".join(row) for row in asked if row not in compared]
