"""The protocol: a pretrained network in, accuracy on ImageNet-1K and on every level out.

In: models, levels, images. Out: one JSON a cell, and runs/results.csv.

- A cell is one result: model × dataset × probe × solver × shots × seed (cog/evaluation/plan.py).
  It is done when its file exists with the hashes asked for now: recipe, levels, split, features.
- For each dataset: the features of every model that still needs them, in one pass over the
  images; then every probe on them; each cell is written as it finishes.
- Several workers on one folder divide chunks and cells by their numbers
  (cog/features/executors/devices.py); each fits the cells whose features are there, and a run
  without a share does whatever is left.
- Nothing is chosen on test images: a probe gets them only to score.

Source: Sariyildiz et al., ICCV 2021, section 4; its public code naver/cog.
Cost: one forward pass an image and model, then what the probes cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pandas as pd
import torch

from cog.datasets.dataset import Dataset
from cog.datasets.splits import write_split
from cog.errors import Interrupted
from cog.evaluation.cells import PROTOCOL, Cell
from cog.evaluation.plan import Plan
from cog.evaluation.probing import probe_cells
from cog.features.executors.devices import devices_for
from cog.features.executors.ray_cluster import Cluster
from cog.features.executors.share import ALL, Share
from cog.features.extract import Executor, extract, kind_of
from cog.features.model_run import ModelRun, record_unreadable, write_model_run
from cog.features.run_stores import store_path
from cog.features.store.store import FeatureStore
from cog.progress import Notifying, Progress
from cog.results.files import write_results
from cog.results.table import tidy
from cog.storage import StoragePath


def make_all_features(plan: Plan, progress: Progress, share: Share = ALL) -> list[StoragePath]:
    """The features of a plan alone, or one worker's share of them; gives the stores' places."""
    executor = executor_for(plan, progress)
    try:
        for dataset in plan.datasets:
            make_features(plan, dataset, plan.model_runs, progress, executor, share)
    except KeyboardInterrupt as error:
        raise Interrupted("run the same command to go on") from error
    if not share.is_all:
        left = sum(
            missing_chunks(plan, model_run, each)
            for model_run in plan.model_runs
            for each in plan.datasets
        )
        others = f"; {left} chunks of other workers are not made yet" if left else ""
        progress.notify(f"worker {share}: all its chunks are made{others}")
    return [
        store_path(model_run, dataset.name, images.split)
        for model_run in plan.model_runs
        for dataset in plan.datasets
        for images in dataset.lists
    ]


def run_plan(plan: Plan, progress: Progress, discard_features: bool = False) -> pd.DataFrame:
    """Do what is not done of a plan; gives the rows of all its cells."""
    rows: list[dict[str, Any]] = []
    executor = executor_for(plan, progress)
    try:
        for dataset in plan.datasets:
            for row in _dataset_rows(plan, dataset, progress, executor):
                rows.append(row)
                progress.result(row)
            write_results(plan.out, PROTOCOL, progress.notify)
            if discard_features:
                discard(plan, dataset)
    except KeyboardInterrupt as error:
        done = f"{len(rows)} of {len(plan.cells)} cells done"
        if rows:
            write_results(plan.out, PROTOCOL, progress.notify)
        raise Interrupted(f"run the same command to go on; {done}") from error
    return tidy(rows)


def missing_chunks(plan: Plan, model_run: ModelRun, dataset: Dataset) -> int:
    """How many chunks of the two stores of a run and a dataset are still to be made."""
    paths = [store_path(model_run, dataset.name, images.split) for images in dataset.lists]
    return sum(len(FeatureStore.open(path).missing_chunks()) for path in paths)


def _dataset_rows(
    plan: Plan, dataset: Dataset, progress: Progress, executor: Executor
) -> Iterator[dict[str, Any]]:
    """The rows of one dataset: first those that are done, then the others as they come about."""
    todo: dict[ModelRun, list[Cell]] = {}
    for cell in plan.cells_of(dataset.name):
        row = cell.finished()
        if row is not None:
            yield row
        else:
            todo.setdefault(cell.model_run, []).append(cell)
    if todo:
        make_features(plan, dataset, list(todo), progress, executor)
    if isinstance(executor, Cluster):
        yield from _on_cluster(executor, plan, dataset, todo)
    else:
        for model_run, cells in todo.items():
            yield from probe_cells(plan, dataset, model_run, cells, progress)


def executor_for(plan: Plan, progress: Progress) -> Executor:
    """Where a plan's work runs: the devices here, or a cluster."""
    settings = plan.extraction
    if settings.executor == "ray":
        return Cluster.connect(settings.device, settings.workers, progress.notify)
    return devices_for(plan.devices, settings.precision, progress)


def _on_cluster(
    cluster: Cluster, plan: Plan, dataset: Dataset, todo: Mapping[ModelRun, Sequence[Cell]]
) -> Iterator[dict[str, Any]]:
    """The rows of a dataset's cells, fitted on a cluster; a task has cells of one model."""
    extraction = replace(plan.extraction, device=cluster.kind)
    work = []
    for model_run, cells in todo.items():
        parts = min(len(cells), cluster.tasks)
        alone = replace(
            plan, model_runs=(model_run,), datasets=(), cells=tuple(cells), extraction=extraction
        )
        work.append(((alone, dataset), [Share(part, parts) for part in range(parts)]))
    for rows in cluster.each(_probe_share, work):
        yield from rows


def _probe_share(
    sent: tuple[Plan, Dataset], share: Share, device: torch.device, note: Callable[[str], None]
) -> list[dict[str, Any]]:
    """On a node: some cells of one model."""
    plan, dataset = sent
    (model_run,) = plan.model_runs
    model_run.model.to(device)
    return list(probe_cells(plan, dataset, model_run, share.of(plan.cells), Notifying(note)))


def discard(plan: Plan, dataset: Dataset) -> None:
    """Drop the features of one dataset."""
    for model_run in plan.model_runs:
        for images in dataset.lists:
            FeatureStore.remove(store_path(model_run, dataset.name, images.split))


def make_features(
    plan: Plan,
    dataset: Dataset,
    model_runs: Sequence[ModelRun],
    progress: Progress,
    executor: Executor,
    share: Share = ALL,
) -> None:
    """The features of one dataset for some runs; run.json, split and unreadable.csv beside them."""
    for model_run in model_runs:
        write_model_run(
            model_run,
            {
                "device": kind_of(executor, model_run),
                "levels": plan.levels.fingerprint,
                "recipe": asdict(plan.recipe),
                "extraction": asdict(plan.extraction),
            },
        )
    write_split(dataset.split, plan.out / "splits", dataset.name)
    extract(model_runs, dataset.name, dataset.lists, plan.extraction, progress, executor, share)
    stores = [
        FeatureStore.open(store_path(model_runs[0], dataset.name, s.split)) for s in dataset.lists
    ]
    reasons = [store.unreadable() for store in stores]
    record_unreadable(plan.out, dataset.name, dataset.lists, reasons)
    count = sum(map(len, reasons))
    if count:
        progress.notify(
            f"{dataset.name}: {count} unreadable, named in {plan.out / 'unreadable.csv'}"
        )
