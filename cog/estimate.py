"""What a run will cost: disk from its sizes, time from a short measurement here and now."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from cog.batches import decoded
from cog.datasets import Dataset
from cog.extract import seconds_a_picture, store_path
from cog.places import Place, Url
from cog.plan import Cell, Plan
from cog.probes import ProbeSettings
from cog.probes.logreg import estimate_seconds
from cog.recipe import Recipe
from cog.store import FeatureStore

CALIBRATION_PICTURES = 64


@dataclass(frozen=True)
class Estimate:
    """Rough costs: seconds and bytes."""

    cells_done: int
    cells: int
    pictures: int  # still to be decoded
    extract_seconds: float
    probe_seconds: float
    feature_bytes: int
    free_bytes: int | None  # None: nobody says, as of object storage

    def lines(self) -> list[str]:
        """The estimate for people."""
        return [
            f"cells: {self.cells_done} of {self.cells} done",
            f"features: {self.pictures:,} pictures to go, about {_time(self.extract_seconds)}, "
            f"{self.feature_bytes / 1e9:.2f} GB to write"
            + ("" if self.free_bytes is None else f" ({self.free_bytes / 1e9:.0f} GB free)"),
            f"probes: about {_time(self.probe_seconds)}",
        ]


def estimate(plan: Plan) -> Estimate:
    """Measure a little, and multiply.

    The time of features is that of every model's forward pass and of decoding the pictures once;
    the time of probes is a few of their steps.
    """
    todo = {dataset.name: plan.todo(dataset.name) for dataset in plan.datasets}
    n_todo = sum(map(len, todo.values()))
    forward = {run: seconds_a_picture(run.model, plan.extraction) for run in plan.runs}
    width = np.dtype(plan.extraction.dtype).itemsize
    pictures, forward_seconds, feature_bytes = 0, 0.0, 0
    for dataset in plan.datasets:
        for images in dataset.lists:
            rows = {
                run: _missing_rows(store_path(run, dataset.name, images.split), len(images))
                for run in {cell.run for cell in todo[dataset.name]}
            }
            pictures += max(rows.values(), default=0)
            forward_seconds += sum(count * forward[run] for run, count in rows.items())
            feature_bytes += sum(count * run.model.dim * width for run, count in rows.items())
    return Estimate(
        cells_done=len(plan.cells) - n_todo,
        cells=len(plan.cells),
        pictures=pictures,
        extract_seconds=forward_seconds / max(1, len(plan.devices))
        + (pictures * _decode_seconds(plan) if pictures else 0),
        probe_seconds=sum(_probe_seconds(plan, each, todo[each.name]) for each in plan.datasets),
        feature_bytes=feature_bytes,
        free_bytes=_free_bytes(plan.out),
    )


def _probe_seconds(plan: Plan, dataset: Dataset, todo: list[Cell]) -> float:
    """Seconds of the probes still to be fitted on a dataset; seeds cost the same."""
    total = 0.0
    alike = Counter((cell.run, cell.probe, cell.solver, cell.shots) for cell in todo)
    for (run, probe, solver, shots), count in alike.items():
        rows = len(dataset.split.train)
        rows = rows if shots is None else min(rows, shots * dataset.n_classes)
        dim, device = run.model.dim, str(run.model.device)
        if probe == "logreg":
            settings = ProbeSettings(solver, shots, 0, plan.recipe, device)
            seconds = estimate_seconds(rows, dim, dataset.n_classes, settings)
        else:
            sizes = rows, len(dataset.split.test), dim, dataset.n_classes
            seconds = operations(probe, *sizes, plan.recipe) / products_a_second(device)
        total += count * seconds
    return total


def operations(probe: str, n: int, m: int, d: int, c: int, recipe: Recipe) -> float:
    """Additions and multiplications of a probe on n training and m test pictures, roughly.

    Source: the costs that the files of the probes tell.

    >>> f"{operations('knn', 26_000, 1_000, 512, 100, Recipe()):.1e}"
    '1.4e+11'
    """
    held = recipe.validation_share * n
    fits = len(recipe.mlp_rates) + 1
    return {
        "knn": 2.0 * d * ((n - held) * min(held, recipe.knn_validation) + n * m),
        "ncm": 2.0 * d * (n + m * c),
        "ridge": 2 * (2.0 * n * d**2 + 9.0 * d**3)
        + 2.0 * held * d * c * len(recipe.ridge_penalties),
        "mlp": 6.0 * n * recipe.mlp_hidden * (d + c) * recipe.mlp_epochs * fits,
    }[probe]


@cache
def products_a_second(device: str) -> float:
    """Additions and multiplications a second of a float32 matrix product there, measured."""
    import torch

    device = "cpu" if device.startswith("mps") else device
    x = torch.rand(1024, 1024, device=device)
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        float((x @ x).sum())  # waits for the device
        best = min(best, time.perf_counter() - begun)
    return 2 * 1024**3 / best


def _missing_rows(path: Place, rows: int) -> int:
    """How many rows of a store are still to be made."""
    if not FeatureStore.is_there(path):
        return rows
    store = FeatureStore.open(path)
    parts = map(store.chunk_slice, store.missing_chunks())
    return sum(part.stop - part.start for part in parts)


def _decode_seconds(plan: Plan) -> float:
    """Seconds a picture costs to read and decode, on all workers together."""
    images = plan.datasets[0].split.test
    count = min(CALIBRATION_PICTURES, len(images))
    preprocesses = {run.model.preprocess for run in plan.runs}
    start = time.perf_counter()
    for _ in decoded(
        images, [slice(0, count)], preprocesses, plan.extraction.workers, plan.extraction.decoder
    ):
        pass
    return (time.perf_counter() - start) / count


def _free_bytes(out: Place) -> int | None:
    """Bytes free where results go."""
    return None if isinstance(out, Url) else shutil.disk_usage(_existing(out)).free


def _existing(path: Path) -> Path:
    """The nearest folder above that exists."""
    return path if path.exists() else _existing(path.absolute().parent)


def _time(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
