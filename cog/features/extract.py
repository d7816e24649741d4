"""Models × images → feature stores: each image is read and decoded once for all models.

In: model runs, image lists, an executor, a worker's share. Out: the chunks of that share in every
store.

A chunk is made for all models that lack it, on one device (cog/features/chunks.py); the executor
divides the chunks among its devices (cog/features/executors/executor.py).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace

from cog.errors import CogError
from cog.features.chunks import Gap, Gaps, make_chunks
from cog.features.executors.device import Device
from cog.features.executors.executor import Executor
from cog.features.executors.share import ALL, Share
from cog.features.feeder.batch import Batch
from cog.features.model_run import ModelRun
from cog.features.rates import seconds_an_image
from cog.features.run_stores import open_stores
from cog.features.settings import Extraction, batch_size
from cog.features.store.store import FeatureStore
from cog.images.image_list import ImageList
from cog.progress import Progress

UNREADABLE_SHARE = 0.01  # with a larger share of a dataset's images, the copy is probably wrong
REASONS = 3  # that an error shows

Stores = Mapping[ModelRun, FeatureStore]


def extract(
    model_runs: Sequence[ModelRun],
    dataset: str,
    lists: Sequence[ImageList],
    settings: Extraction,
    executor: Executor,
    progress: Progress,
    share: Share = ALL,
) -> list[Stores]:
    """Make the features of a dataset's `lists` (train, test) under the model of every run.

    Makes the missing chunks of each store that are in this worker's `share`, and gives the stores
    of each list. An image that cannot be read becomes a row marked unreadable, for every model.

    Raises:
        CogError: a store holds features of something else; features are not finite or do not fit
            the dtype; more than 1 % of the dataset is unreadable.
    """
    kind = executor.kind(model_runs[0].model)
    settings = replace(settings, batch_size=batch_size(kind, settings))
    total = sum(len(images) for images in lists)
    unreadable: dict[tuple[str, int], str] = {}

    def count(split: str, reasons: Mapping[int, str]) -> None:
        unreadable.update({(split, row): why for row, why in reasons.items()})
        if len(unreadable) > UNREADABLE_SHARE * total:
            raise CogError(
                f"{len(unreadable)} of {total:,} images of {dataset} cannot be read, "
                f"more than {UNREADABLE_SHARE:.0%}: {_by_reason(lists, unreadable)}",
                "mend those files and run the command again (or remove them, with another --out)",
            )

    def seconds(new: Sequence[ModelRun]) -> float:
        return sum(executor.spread(_measure, (settings, new), (None,)))

    made: list[Stores] = []
    for images in lists:
        stores = open_stores(
            model_runs, dataset, images, settings, share, executor.at_once, seconds
        )
        for store in stores.values():
            count(images.split, store.unreadable())
        for batch in _fill(stores, images, settings, executor, progress, share, dataset):
            count(images.split, batch.reasons)
        made.append(stores)
    return made


def _by_reason(lists: Sequence[ImageList], unreadable: Mapping[tuple[str, int], str]) -> str:
    """The most frequent reasons, each with its number of images and the first of them by name."""
    paths = {images.split: images.paths for images in lists}
    alike: dict[str, list[str]] = {}
    for (split, row), why in sorted(unreadable.items()):
        alike.setdefault(re.sub(r"\d+", "…", why), []).append(paths[split][row])
    frequent = sorted(alike.items(), key=lambda item: -len(item[1]))
    shown = [
        f"{len(names)} {why} ({', '.join(names[:2])}{', …' if len(names) > 2 else ''})"
        for why, names in frequent[:REASONS]
    ]
    rest = sum(len(names) for _, names in frequent[REASONS:])
    return "; ".join([*shown, *([f"{rest} for other reasons"] if rest else [])])


def _fill(
    stores: Stores,
    images: ImageList,
    settings: Extraction,
    executor: Executor,
    progress: Progress,
    share: Share,
    dataset: str,
) -> Generator[Batch, None, None]:
    """Write the missing chunks of a share; gives every batch after its use.

    Stores with equal chunks are filled in one pass over the images.
    """
    gaps: dict[int, list[Gap]] = {}
    for model_run, store in stores.items():
        missing = frozenset(filter(share.has, store.missing_chunks()))
        if missing:
            gaps.setdefault(store.chunk_rows, []).append(Gap(model_run, store, missing))
    for _, alike in sorted(gaps.items()):
        grid = alike[0].store
        chunks = sorted(frozenset().union(*(gap.chunks for gap in alike)))
        rows = sum(len(range(grid.rows)[grid.chunk_slice(chunk)]) for chunk in chunks)
        work = Gaps(tuple(alike), images, settings)
        with progress.bar(f"{dataset} {images.split}", rows, "images") as advance:
            for batch in executor.spread(make_chunks, work, chunks):
                advance(batch.rows.stop - batch.rows.start)
                yield batch
        for gap in alike:  # a task of a cluster may have died and left partial files
            gap.store.clear_partial()


def _measure(
    bundle: tuple[Extraction, Sequence[ModelRun]], _: Sequence[None], device: Device
) -> Generator[float, None, None]:
    """Seconds of forward pass an image costs under each model."""
    settings, model_runs = bundle
    for model_run in model_runs:
        yield seconds_an_image(device.forward(model_run.model), settings)


def describe_devices(
    model_runs: Sequence[ModelRun], executor: Executor
) -> dict[ModelRun, dict[str, str]]:
    """What run.json says of the device: its kind, and on a GPU how a batch lies in its memory."""
    described = {run: {"device": executor.kind(run.model)} for run in model_runs}
    on_gpu = tuple(run for run in model_runs if described[run]["device"] == "cuda")
    if on_gpu:
        formats = executor.spread(_memory_formats, on_gpu, (None,))
        for model_run, memory_format in zip(on_gpu, formats, strict=True):
            described[model_run]["memory_format"] = memory_format
    return described


def _memory_formats(
    model_runs: Sequence[ModelRun], _: Sequence[None], device: Device
) -> Generator[str, None, None]:
    """The order of the images of each model on a device."""
    for model_run in model_runs:
        yield str(device.forward(model_run.model).memory_format).removeprefix("torch.")
