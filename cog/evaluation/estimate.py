"""What a run will cost: bytes from its sizes, time from measurements of ten seconds.

In: a plan, an executor, a worker's share. Out: counts, bytes and seconds.

- One device, of the cluster if there is one, times each model's forward pass and the decoding of
  the plan's own images, by the functions of cog/features/rates.py, as `cog doctor` does. The other
  devices are assumed to be as fast.
- On a CPU, decoding and forward passes share the cores: their times add up. On a GPU the slower of
  the two decides.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cog.datasets.dataset import Dataset
from cog.evaluation.cells import Cell
from cog.evaluation.fits import lists_needed
from cog.evaluation.plan import Plan
from cog.features.executors.device import Device
from cog.features.executors.executor import Executor
from cog.features.executors.share import ALL, Share
from cog.features.model_run import ModelRun
from cog.features.rates import feed_rate, seconds_an_image
from cog.features.run_stores import store_path
from cog.features.store.files import is_there
from cog.features.store.store import FeatureStore
from cog.images.image_list import ImageList, read_bytes
from cog.object_storage import Url
from cog.probes.cost import ProbeSize
from cog.probes.data import ProbeSettings
from cog.probes.table import PROBES
from cog.storage import StoragePath, nearest_folder

SECONDS = 10.0  # of measurements, for all models together
PARTS, IMAGES = 64, 32  # parts of a list that are decoded, and images in each, at most


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes of one image on one device."""

    decode: float  # on all decoding threads together
    bytes: float  # of its file
    forward: tuple[float, ...]  # for each model


@dataclass(frozen=True)
class Estimate:
    """Rough costs of a run or of one worker."""

    cells_done: int
    cells: int
    to_decode: int  # still to be decoded
    decodes_saved: int  # as models share them
    preprocessings: int  # different resizes of one decoded image
    names: tuple[str, ...]
    kind: str
    at_once: int
    measured: Measured
    probe_seconds: float
    crops: tuple[int, ...]  # images and their views that still go through each model
    feature_bytes: int
    held_bytes: int  # of features that fits hold in memory at once, at most; 0: little
    free_bytes: int | None  # None: unknown, as for object storage

    @property
    def extract_seconds(self) -> float:
        """Seconds until the features are there."""
        forward = sum(map(float.__mul__, self.measured.forward, map(float, self.crops)))
        decode = self.to_decode * self.measured.decode
        if self.kind == "cpu":
            return (forward + decode) / self.at_once
        return max(forward, decode) / self.at_once  # each device has its part of the cores


def estimate(plan: Plan, executor: Executor, share: Share = ALL) -> Estimate:
    """Measure for ten seconds, and multiply; a plan without cells costs its features alone."""
    to_decode, saved, crops = _to_make(plan, share)
    width = np.dtype(plan.extraction.dtype).itemsize
    own = replace(plan, cells=tuple(share.of(plan.cells)))
    (measured,) = executor.spread(_measure, own, (None,))
    (probe_seconds,) = executor.each(_measure_probes, [(own, (None,))])
    model_runs = plan.extracted
    return Estimate(
        cells_done=len(own.cells) - sum(len(own.todo(dataset.name)) for dataset in own.datasets),
        cells=len(own.cells),
        to_decode=to_decode,
        decodes_saved=saved,
        preprocessings=len({model_run.model.preprocess.geometry for model_run in model_runs}),
        names=tuple(model_run.model.name for model_run in model_runs),
        kind=executor.kind(model_runs[0].model),
        at_once=executor.at_once,
        measured=measured,
        probe_seconds=probe_seconds / executor.each_at_once,
        crops=tuple(crops[model_run] for model_run in model_runs),
        feature_bytes=sum(
            crops[model_run] * model_run.model.dim * width for model_run in model_runs
        ),
        held_bytes=_held_bytes(own),
        free_bytes=_free_bytes(plan.out),
    )


def _to_make(plan: Plan, share: Share) -> tuple[int, int, Counter[ModelRun]]:
    """Images to decode, decodes that models save by sharing them, and crops that each takes."""
    to_decode, saved, crops = 0, 0, Counter[ModelRun]()
    counted: set[StoragePath] = set()  # a dataset and its test sets share stores
    for dataset in plan.datasets:
        todo, name = plan.todo(dataset.name), dataset.of_features
        for images in lists_needed(dataset, todo):
            paths = {
                model_run: path
                for model_run in plan.wanted_features(todo)
                if (path := store_path(model_run, name, images.split, plan.extraction))
                not in counted
            }
            counted.update(paths.values())
            decodes, missing = _still_to_make(paths, images, share)
            to_decode += decodes
            saved += sum(missing.values()) - decodes
            each = 1 + plan.extraction.views_of(images.split)
            crops.update({model_run: each * count for model_run, count in missing.items()})
    return to_decode, saved, crops


def _held_bytes(plan: Plan) -> int:
    """Bytes of the largest dataset's features that a fit will hold, of views or tokens; else 0.

    A fit holds those of one model on one dataset, in the type that they are stored in.
    """
    how = plan.extraction
    if not ((how.views or how.tokens) and plan.cells):
        return 0
    width = np.dtype(how.dtype).itemsize * max(run.model.dim for run in plan.extracted)
    fitted = (dataset for dataset in plan.datasets if plan.todo(dataset.name))
    return max(
        (
            sum(len(images) * (1 + how.views_of(images.split)) for images in dataset.lists) * width
            for dataset in fitted
        ),
        default=0,
    )


def _measure(plan: Plan, _: Sequence[None], device: Device) -> Generator[Measured, None, None]:
    """Time decoding, and the forward pass of every model."""
    forwards = [device.forward(model_run.model) for model_run in plan.extracted]
    begun = time.perf_counter()
    decode, size = _decode_costs(plan, plan.datasets[0].split.train, device)
    left = max(0.0, SECONDS - (time.perf_counter() - begun)) / len(forwards)
    forward = tuple(seconds_an_image(each, plan.extraction, left) for each in forwards)
    yield Measured(decode, size, forward)


def _measure_probes(plan: Plan, _: Sequence[None], device: Device) -> Generator[float, None, None]:
    """Time a few steps of the probes to come; gives the seconds of all."""
    where = str(device.device)
    yield sum(_probe_seconds(plan, each, plan.todo(each.name), where) for each in plan.datasets)


def _probe_seconds(plan: Plan, dataset: Dataset, todo: list[Cell], where: str) -> float:
    """Seconds of the probes still to be fitted on a dataset; seeds cost the same."""
    total = 0.0
    alike = Counter((cell.model_run, cell.probe, cell.solver, cell.shots) for cell in todo)
    for (model_run, probe, solver, shots), count in alike.items():
        if dataset.is_test_set and PROBES[probe].has_head and plan.keep_heads:
            continue  # its head is there, or comes from its dataset
        rows, model = len(dataset.split.train), model_run.model
        rows = rows if shots is None else min(rows, shots * dataset.n_classes)
        size = ProbeSize(rows, len(dataset.split.test), model.dim, dataset.n_classes, model.tokens)
        settings = ProbeSettings(solver, shots, 0, dataset.recipe(plan.recipe), where)
        total += count * PROBES[probe].cost(size, settings)
    return total


def _still_to_make(
    paths: Mapping[ModelRun, StoragePath], images: ImageList, share: Share
) -> tuple[int, dict[ModelRun, int]]:
    """Images that a worker still has to decode, and rows that it has to make of each store.

    Stores with equal chunks are filled in one pass, which decodes what any of them lacks. New
    stores have equal chunks.
    """
    lacking: dict[int, set[int]] = {}  # rows of images, by the size of chunks
    rows = dict.fromkeys(paths, len(images) // share.workers)
    new = [model_run for model_run, path in paths.items() if not is_there(path)]
    for model_run in paths.keys() - set(new):
        store = FeatureStore.open(paths[model_run])
        parts = map(store.chunk_slice, filter(share.has, store.missing_chunks()))
        own = {row for part in parts for row in range(part.start, part.stop)}
        lacking.setdefault(store.chunk_rows, set()).update(own)
        rows[model_run] = len(own)
    decodes = sum(map(len, lacking.values())) + (len(images) // share.workers if new else 0)
    return decodes, rows


def _decode_costs(plan: Plan, images: ImageList, device: Device) -> tuple[float, float]:
    """Seconds per image to read and decode, on all workers together, and bytes to read."""
    starts = np.linspace(0, max(0, len(images) - IMAGES), PARTS).astype(int)
    slices = [slice(start, min(start + IMAGES, len(images))) for start in np.unique(starts)]
    preprocesses = {model_run.model.preprocess for model_run in plan.extracted}
    size = np.mean([len(read_bytes(images, rows.start)) for rows in slices])
    rate = feed_rate(images, slices, preprocesses, plan.extraction, device, SECONDS / 4)
    return 1 / rate, float(size)


def _free_bytes(out: StoragePath) -> int | None:
    """Free bytes where results go."""
    if isinstance(out, Url):
        return None
    return shutil.disk_usage(nearest_folder(out)).free
