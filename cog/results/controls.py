"""Controls among results: rows without ranks, and what they tell of the models beside them.

In: the tidy table, with rows of controls (cog/evaluation/controls.py). Out: the table of models
alone; a sentence for each leak and for each model that is no better than its controls.

- A leak: shuffled labels or random features far above chance. Chance is 100 / c in the mean over
  the c classes. Far is four standard deviations: of m test images for noise; for shuffled labels of
  c draws, as all images of a class may fall to one wrong label together.
- No better: top-1 is not above that of a control by more than the noise of both at 95 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cog.recipe import control_of
from cog.results.columns import FIT, KEY, SETTING, key_of
from cog.results.headline import Z95, joined_error
from cog.results.mixing import where
from cog.results.paper_tables import fit_title
from cog.results.summary import summary
from cog.results.table import sort_rows, tidy, with_full_names
from cog.storage import StoragePath

FAR = 4.0
CHANCE = ("shuffled-labels", "random-features")


def is_control(models: pd.Series[str]) -> pd.Series[bool]:
    """Which rows are of controls."""
    return models.map(lambda name: bool(control_of(name))).astype(bool)


def models_only(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are no controls."""
    return table[~is_control(table["model"])].reset_index(drop=True)


def cells_of_models(
    cells: Mapping[StoragePath, dict[str, Any]], conditions: Sequence[str]
) -> tuple[pd.DataFrame, dict[StoragePath, dict[str, Any]]]:
    """The tidy table of the cells that are of no control and meet conditions, and these cells.

    Raises:
        CogError: as `where`.
    """
    table = models_only(where(tidy(cell["row"] for cell in cells.values()), conditions))
    keys = set(table[list(KEY)].itertuples(index=False, name=None))
    return table, {path: cell for path, cell in cells.items() if key_of(cell["row"]) in keys}


def findings_of_controls(results: pd.DataFrame) -> list[str]:
    """A sentence for each leak, and for each model that is not above a control."""
    results = with_full_names(results)
    controls = is_control(results["model"])
    if not controls.any():
        return []
    return [*_leaks(results[controls]), *_no_better(summary(results))]


def _leaks(controls: pd.DataFrame) -> Iterator[str]:
    for key, rows in controls.groupby(["model", "dataset", *FIT], sort=False):
        name, dataset, *fit = key
        control = control_of(str(name))
        if control not in CHANCE:
            continue
        n_classes, n_test = rows["n_classes"].iloc[0], rows["n_test"].iloc[0]
        chance, found = 100 / n_classes, rows["mean_class"].mean()
        draws = n_classes if control == "shuffled-labels" else n_test
        limit = chance + FAR * np.sqrt(chance * (100 - chance) / draws)
        if found > limit:
            yield (
                f"leak: {name} has {found:.2f} % on {dataset} ({fit_title(fit)}), and chance is "
                f"{chance:.2f} %: what is tested reaches the probe by another way than its labels"
            )


def _no_better(cells: pd.DataFrame) -> Iterator[str]:
    """Of each model and fit, the controls that it is not above."""
    own = cells.assign(control=cells["model"].map(control_of))
    own["of"] = [
        name.removesuffix(f"+{control}") if control else name
        for name, control in zip(own["model"], own["control"], strict=True)
    ]
    models, controls = own[own["control"] == ""], own[own["control"] != ""]
    shared = controls[controls["control"] == "raw-pixels"].drop(columns="of")
    by = ["dataset", *FIT]
    columns = [*by, "control", "value", "error"]
    pairs = pd.concat(
        [
            models.merge(controls[["of", *columns]], on=["of", *by], suffixes=("", "_control")),
            models.merge(shared[columns], on=by, suffixes=("", "_control")),
        ],
        ignore_index=True,
    )
    noise = Z95 * joined_error(pairs["error"], pairs["error_control"]).fillna(0)
    beaten = pairs[pairs["value"] - pairs["value_control"] <= noise]
    best = beaten.sort_values("value_control", kind="stable").drop_duplicates(
        ["model", *by], keep="last"
    )
    for key, rows in sort_rows(best, SETTING).groupby(["model", *FIT], sort=False):
        model, *fit = key
        where = ", ".join(
            f"{row['dataset']} {row['value']:.2f} % ({row['control_control']} "
            f"{row['value_control']:.2f} %)"
            for row in rows.to_dict("records")
        )
        yield f"not above a control by more than noise: {model}, {fit_title(fit)}: {where}"
