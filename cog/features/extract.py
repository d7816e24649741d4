"""Models × images → feature stores: each image is read and decoded once for all models.

In: runs, image lists, devices or a cluster, a worker's share. Out: the chunks of that share in
every store.

- A chunk is made for all models that lack it, on one device (cog/features/chunks.py); the devices
  of a worker divide its chunks as workers divide all of them (cog/features/executors/devices.py),
  a cluster takes them in ranges (cog/features/executors/ray_cluster.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from cog.errors import CogError
from cog.features.batches import Batch
from cog.features.chunks import make_chunks, seconds_an_image
from cog.features.executors.devices import Device, devices_for, merged
from cog.features.executors.ray_cluster import Cluster
from cog.features.executors.share import ALL, Share
from cog.features.forward import Forward, exact_products
from cog.features.model_run import ModelRun
from cog.features.run_stores import open_stores
from cog.features.settings import Extraction, batch_size
from cog.features.store.store import FeatureStore
from cog.images.image_list import ImageList
from cog.progress import Progress
from cog.storage import StoragePath

Executor = Sequence[Device] | Cluster
"""where the work runs; its length is how much of it at once"""

CHUNKS_A_TASK = 4  # at most, of a cluster: what a node that dies loses, and how often a bar moves
UNREADABLE_SHARE = 0.01  # past this share of a dataset's images, something is wrong with the copy


def extract(
    model_runs: Sequence[ModelRun],
    dataset: str,
    lists: Sequence[ImageList],
    settings: Extraction,
    progress: Progress,
    executor: Executor = (),
    share: Share = ALL,
) -> None:
    """Make the features of a dataset's `lists` (train, test) under the model of every run.

    Makes the missing chunks of each store that are in this worker's `share`; on the devices or the
    cluster given as `executor`, without any on the device of each model. An image that cannot be
    read becomes a row marked unreadable, for every model alike.

    Raises:
        CogError: a store of something else is in the way, features that are not finite or do not
            fit the dtype, or more than 1 % of the dataset unreadable.
    """
    executor = executor or devices_for((), settings.precision, progress)
    settings = replace(settings, batch_size=batch_size(kind_of(executor, model_runs[0]), settings))
    total = sum(len(images) for images in lists)
    unreadable: set[tuple[str, int]] = set()

    def count(split: str, rows: Iterable[int]) -> None:
        unreadable.update((split, row) for row in rows)
        if len(unreadable) > UNREADABLE_SHARE * total:
            raise CogError(
                f"{len(unreadable)} of {total:,} images of {dataset} cannot be read, "
                f"more than {UNREADABLE_SHARE:.0%}: {_examples(lists, unreadable)}",
                "mend those files and run the command again (or remove them, with another --out)",
            )

    def seconds(new: Sequence[ModelRun]) -> float:
        return sum(forward_seconds(executor, new, settings))

    for images in lists:
        stores = open_stores(model_runs, dataset, images, settings, share, len(executor), seconds)
        for store in stores.values():
            count(images.split, store.unreadable())
        for chunk_rows in sorted({store.chunk_rows for store in stores.values()}):
            alike = {
                model_run: store
                for model_run, store in stores.items()
                if store.chunk_rows == chunk_rows
            }
            label = f"{dataset} {images.split}"
            for batch in _fill(alike, images, settings, progress, label, executor, share):
                count(images.split, batch.reasons)


def _examples(lists: Sequence[ImageList], unreadable: set[tuple[str, int]]) -> str:
    """The first few unreadable images, by name."""
    paths = {images.split: images.paths for images in lists}
    return ", ".join(paths[split][row] for split, row in sorted(unreadable)[:3])


def _fill(
    stores: Mapping[ModelRun, FeatureStore],
    images: ImageList,
    settings: Extraction,
    progress: Progress,
    label: str,
    executor: Executor,
    share: Share,
) -> Generator[Batch, None, None]:
    """Write the missing chunks of a share to stores with equal chunks, as many at once as can be.

    Gives every batch after its use, as it comes.
    """
    missing = {
        model_run: list(filter(share.has, store.missing_chunks()))
        for model_run, store in stores.items()
    }
    chunks = sorted(set().union(*missing.values()))
    if not chunks:
        return
    todo = {model_run: store for model_run, store in stores.items() if missing[model_run]}
    grid = next(iter(todo.values()))
    rows = sum(len(range(grid.rows)[grid.chunk_slice(chunk)]) for chunk in chunks)
    if isinstance(executor, Cluster):
        batches = _on_cluster(executor, todo, chunks, images, settings)
    else:
        batches = _on_devices(executor, todo, chunks, images, settings, share)
    with progress.bar(label, rows, "images") as advance:
        for batch in batches:
            advance(batch.rows.stop - batch.rows.start)
            yield batch


def _on_devices(
    devices: Sequence[Device],
    stores: Mapping[ModelRun, FeatureStore],
    chunks: Sequence[int],
    images: ImageList,
    settings: Extraction,
    share: Share,
) -> Iterator[Batch]:
    """Chunks on the devices of this machine, which divide them."""
    threads = max(1, (settings.workers or os.cpu_count() or 1) // len(devices))
    makers = [
        make_chunks(
            stores,
            {model_run: device.forward(model_run.model) for model_run in stores},
            [chunk for chunk in chunks if part.has(chunk)],
            images,
            replace(settings, workers=threads),
        )
        for device, part in zip(devices, share.divided(len(devices)), strict=True)
    ]
    with exact_products(settings.precision):
        yield from merged(makers)


Sent = tuple[Sequence[tuple[ModelRun, StoragePath]], ImageList, Extraction]


def _on_cluster(
    cluster: Cluster,
    stores: Mapping[ModelRun, FeatureStore],
    chunks: Sequence[int],
    images: ImageList,
    settings: Extraction,
) -> Iterator[Batch]:
    """Chunks on a cluster, in ranges: small enough that all of it is busy until the end."""
    size = min(CHUNKS_A_TASK, max(1, len(chunks) // (4 * len(cluster))))
    ranges = [chunks[start : start + size] for start in range(0, len(chunks), size)]
    places = [(model_run, store.path) for model_run, store in stores.items()]
    sent: Sent = places, images, replace(settings, workers=cluster.cores)
    for batches in cluster.each(_make_range, [(sent, ranges)]):
        yield from batches
    for store in stores.values():  # what tasks that died left half written
        store.clear_partial()


def _make_range(
    sent: Sent, chunks: Sequence[int], device: torch.device, note: Callable[[str], None]
) -> list[Batch]:
    """On a node: a range of chunks, in all stores that lack them."""
    places, images, settings = sent
    stores = {model_run: FeatureStore.open(place) for model_run, place in places}
    forwards = {
        model_run: Forward(model_run.model.to(device), settings.precision, note)
        for model_run in stores
    }
    with exact_products(settings.precision):
        return list(make_chunks(stores, forwards, chunks, images, settings))


def kind_of(executor: Executor, model_run: ModelRun) -> str:
    """The kind of device that makes features: cpu, cuda or mps."""
    return executor.kind if isinstance(executor, Cluster) else model_run.model.device.type


def forward_seconds(
    executor: Executor, model_runs: Sequence[ModelRun], settings: Extraction
) -> list[float]:
    """Seconds of forward pass an image costs under each run, on one device, measured there."""
    if not isinstance(executor, Cluster):
        return [seconds_an_image(model_run.model, settings) for model_run in model_runs]
    (found,) = executor.each(_measure, [((model_runs, settings), (None,))])
    return found


def _measure(
    sent: tuple[Sequence[ModelRun], Extraction],
    _: None,
    device: torch.device,
    __: Callable[[str], None],
) -> list[float]:
    """On a node: seconds an image."""
    model_runs, settings = sent
    return [seconds_an_image(model_run.model.to(device), settings) for model_run in model_runs]
