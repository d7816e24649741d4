"""Doing a plan: the features that its cells need, dataset by dataset, then the cells themselves.

- A cell is one result: model × dataset × probe × solver × shots × seed (cog/evaluation/cells.py).
  It is done when its file exists with the hashes asked for now: recipe, levels, split, features.
- For each dataset, one pass over the images makes the features that models still need; then every
  probe is fitted on them. Each cell is written when it is done.
- Several workers on one folder divide chunks and cells by their numbers
  (cog/features/executors/share.py). A worker does not wait for the others: it makes its chunks of
  all datasets, then fits those of its cells whose features are there. A run without a share does
  the rest.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from cog.datasets.dataset import Dataset
from cog.errors import Interrupted
from cog.evaluation.cells import Cell, protocol_of, with_what_mistakes_cost
from cog.evaluation.distances import write_distances
from cog.evaluation.featuring import discard_features_of, make_features
from cog.evaluation.fits import lists_needed
from cog.evaluation.plan import Plan
from cog.evaluation.probing import probe_cells
from cog.features.executors.device import Device
from cog.features.executors.executor import Executor, executor_for
from cog.features.executors.share import ALL, Share
from cog.features.extract import Stores
from cog.features.feeder.processes import pools_kept
from cog.features.model_run import sweep_runs
from cog.features.store.store import FeatureStore
from cog.interruption import in_order
from cog.progress import Progress
from cog.results.distances import with_distance
from cog.results.files import write_results
from cog.results.suites import write_suites
from cog.results.table import tidy
from cog.results.trackers.logged import logging_to


@in_order()
@pools_kept()
def run_plan(
    plan: Plan,
    progress: Progress,
    share: Share = ALL,
    discard_features: bool = False,
    log: Sequence[str] = (),
) -> pd.DataFrame:
    """Do what is not done of a plan, or of one worker's share; gives the rows of its cells.

    For a plan without cells it makes the features of every model, and there are no rows. `log`:
    the trackers that rows are written to.
    """
    sweep_runs(plan.out, plan.model_runs)
    cells = len(share.of(plan.cells))
    rows: list[dict[str, Any]] = []
    distances = write_distances(plan, progress.notify)
    write_suites(plan.out, plan.suites)
    try:
        with (
            logging_to(log, plan.out, progress.notify) as log_row,
            executor_for(plan.extraction, plan.devices, progress) as executor,
        ):
            for datasets in plan.groups() if share.is_all else [plan.datasets]:
                for row in _rows(plan, datasets, executor, progress, share):
                    rows.append(with_distance(row, distances))
                    progress.result(row)
                    log_row(row)
                if rows:
                    write_results(plan.out, protocol_of(plan.recipe), progress.notify)
                if discard_features:
                    discard_features_of(plan, datasets)
    except KeyboardInterrupt as error:
        if rows:
            write_results(plan.out, protocol_of(plan.recipe), progress.notify)
        done = f"; {len(rows)} of {cells} cells done" if cells else ""
        raise Interrupted(f"run the same command to go on{done}") from error
    if not share.is_all:
        progress.notify(f"worker {share}: {_outcome(plan, len(rows), cells)}")
    return tidy(with_what_mistakes_cost(plan.out, rows))


def _rows(
    plan: Plan, datasets: Sequence[Dataset], executor: Executor, progress: Progress, share: Share
) -> Iterator[dict[str, Any]]:
    """The rows of a share on some datasets: those that are done, then the others as they come.

    All features are made before the first probe is fitted. Cells that need the chunks of other
    workers are left out.
    """
    todo: dict[str, list[tuple[bool, Cell]]] = {dataset.name: [] for dataset in datasets}
    for number, cell in enumerate(plan.cells):
        if cell.dataset in todo:
            row = cell.finished()
            if row is None:
                todo[cell.dataset].append((share.has(number), cell))
            elif share.has(number):
                yield row
    stores = {}
    for dataset in datasets:
        wanted = [cell for _, cell in todo[dataset.name]]
        if model_runs := plan.wanted_features(wanted):
            lists = lists_needed(dataset, wanted)
            stores[dataset.name] = make_features(
                plan, dataset, lists, model_runs, executor, progress, share
            )
    for dataset in datasets:
        own = [cell for is_own, cell in todo[dataset.name] if is_own]
        fits = _fits(plan, dataset, own, stores.get(dataset.name, []), progress, share)
        yield from executor.each(_fit, fits)


Fit = tuple[Plan, Sequence[FeatureStore]]
"""the cells of one model on one dataset, and the stores of its training and test features"""


def _fits(
    plan: Plan,
    dataset: Dataset,
    cells: Sequence[Cell],
    stores: Sequence[Stores],
    progress: Progress,
    share: Share,
) -> Iterator[tuple[Fit, Sequence[int]]]:
    """The cells of each model, by their indices; without those that wait for features."""
    for model_run in dict.fromkeys(cell.model_run for cell in cells):
        alone = tuple(cell for cell in cells if cell.model_run is model_run)
        pair = [of_list[model_run.of_features] for of_list in stores]
        missing = 0 if share.is_all else sum(len(store.missing_chunks()) for store in pair)
        if missing:
            name = f"{model_run.model.name} {dataset.name}"
            progress.notify(f"{name}: {missing} chunks are not made yet; {len(alone)} cells wait")
        else:
            one = replace(plan, model_runs=(model_run,), datasets=(dataset,), cells=alone)
            yield (one, pair), range(len(alone))


def _fit(fit: Fit, indices: Sequence[int], device: Device) -> Generator[dict[str, Any], None, None]:
    """Fit some of the cells; gives their rows."""
    plan, stores = fit
    cells = [plan.cells[index] for index in indices]
    yield from probe_cells(plan, plan.datasets[0], stores, cells, device)


def _outcome(plan: Plan, done: int, cells: int) -> str:
    """What a worker has done of its share, and what finishes the run."""
    if not plan.cells:
        left = sum(len(FeatureStore.open(path).missing_chunks()) for path in plan.store_paths())
        others = f"; {left} chunks of other workers are not made yet" if left else ""
        return f"all its chunks are made{others}"
    waiting = cells - done
    return (
        f"{done} of its {cells} cells are done"
        + (f"; {waiting} wait for the chunks of other workers" if waiting else "")
        + ". When all workers have ended, the same command without --worker does what is left and "
        "writes results.csv" + (" (or run all of them again)" if waiting else "")
    )
