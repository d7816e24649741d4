"""A line for the user where SGD is to fit a probe on fewer images than features have numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cog.datasets.dataset import Dataset
from cog.evaluation.cells import Cell
from cog.recipe import fitted_on

_WIDEST = 1 << 14  # no feature has more numbers: with so many images no network is asked for its d


def few_rows_note(cells: Sequence[Cell], datasets: Sequence[Dataset]) -> str | None:
    """One line for a whole run: the fit of fewest images, and how many more are like it.

    None where every fit of SGD has at least as many images as numbers in a feature.
    """
    labels = {dataset.name: dataset.split.train.labels for dataset in datasets}
    fits = {
        (cell.dataset, cell.shots, cell.model_run): None
        for cell in cells
        if (cell.probe, cell.solver) == ("logreg", "sgd")
        and fitted_on(cell.dataset) == cell.dataset
    }
    few = []
    for dataset, shots, model_run in fits:
        counts = np.bincount(labels[dataset])
        rows = int((counts if shots is None else np.minimum(counts, shots)).sum())
        if rows < _WIDEST and rows < (dim := model_run.model.dim):
            few.append((rows, dim, f"{model_run.model.name} on {dataset}"))
    if not few:
        return None
    rows, dim, where = min(few)
    more = f", and {len(few) - 1:,} more like it" if len(few) > 1 else ""
    return (
        f"the solver sgd learns from {rows:,} images with features of {dim:,} numbers ({where}"
        f"{more}): with fewer images than numbers it was up to five points below lbfgs, and less "
        "steady from seed to seed (docs/solvers.md); to have that, add --solver lbfgs"
    )
