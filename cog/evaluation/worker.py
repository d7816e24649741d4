"""One of several workers on one folder: its chunks, then the cells that it can fit.

In: a plan and a share. Out: chunks of the stores and cells, as a run without workers makes them.

- A worker waits for nobody. Cells whose features other workers have not finished are left, and
  said; a run without a share does them, or the same workers once more.
- results.csv is folded by each worker that has cells; the last fold may lack the cells of a worker
  that was folding too, and the run without a share makes it anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from cog.datasets.dataset import Dataset
from cog.errors import Interrupted
from cog.evaluation.cells import PROTOCOL, Cell
from cog.evaluation.evaluate import executor_for, make_features, missing_chunks
from cog.evaluation.plan import Plan
from cog.evaluation.probing import probe_cells
from cog.features.executors.share import Share
from cog.features.model_run import ModelRun
from cog.progress import Progress
from cog.results.files import write_results
from cog.results.table import tidy


def run_share(plan: Plan, progress: Progress, share: Share) -> pd.DataFrame:
    """One worker's share of a plan: its chunks, then those of its cells whose features are there.

    Gives the rows of its finished cells. `progress` is told what waits for other workers.
    """
    executor = executor_for(plan, progress)
    rows: list[dict[str, Any]] = []
    waiting = 0
    try:
        for dataset in plan.datasets:
            todo = {cell.model_run: None for cell in plan.todo(dataset.name)}
            if todo:
                make_features(plan, dataset, list(todo), progress, executor, share)
        cells = share.of(plan.cells)
        for dataset in plan.datasets:
            for model_run in plan.model_runs:
                own = [
                    cell
                    for cell in cells
                    if (cell.dataset, cell.model_run) == (dataset.name, model_run)
                ]
                found, left = _rows_that_can_be(plan, dataset, model_run, own, progress)
                rows += found
                waiting += left
    except KeyboardInterrupt as error:
        raise Interrupted("run the same command to go on") from error
    if rows:
        write_results(plan.out, PROTOCOL, progress.notify)
    _tell_of_share(progress, share, len(cells), waiting)
    return tidy(rows)


def _rows_that_can_be(
    plan: Plan, dataset: Dataset, model_run: ModelRun, cells: Sequence[Cell], progress: Progress
) -> tuple[list[dict[str, Any]], int]:
    """The rows of cells that are done or can be fitted now, and how many wait for features."""
    found = [(cell, cell.finished()) for cell in cells]
    done = [row for _, row in found if row is not None]
    todo = [cell for cell, row in found if row is None]
    missing = missing_chunks(plan, model_run, dataset) if todo else 0
    if missing:
        name = f"{model_run.model.name} {dataset.name}"
        progress.notify(f"{name}: {missing} chunks are not made yet; {len(todo)} cells wait")
        return done, len(todo)
    if todo:
        for row in probe_cells(plan, dataset, model_run, todo, progress):
            done.append(row)
            progress.result(row)
    return done, 0


def _tell_of_share(progress: Progress, share: Share, cells: int, waiting: int) -> None:
    """How far a worker's share is, and what finishes the run."""
    left = f"; {waiting} wait for the chunks of other workers" if waiting else ""
    progress.notify(
        f"worker {share}: {cells - waiting} of its {cells} cells are done{left}. When all workers "
        "have ended, the same command without --worker does what is left and writes results.csv"
        + (" (or run all of them again)" if waiting else "")
    )
