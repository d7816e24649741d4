"""Models × pictures → feature stores: each picture is read and decoded once for all models.

In: runs, picture lists, devices, a worker's share. Out: the chunks of that share in every store.

- Chunks are cut into batches from their own start: the same device, batch size and pictures give
  the same bytes, whoever makes a chunk, in whatever order.
- A chunk is made for all models that lack it, on one device; the devices of a worker divide its
  chunks as workers divide all of them (cog/executors.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cog.batches import Batch, cut, decoded
from cog.decoding import DEFAULT_DECODER, check_decoder
from cog.errors import CogError, unknown_name
from cog.executors import ALL, Device, Share, devices_for, merged
from cog.forward import PRECISIONS, Forward, exact_products
from cog.images import ImageList, read_bytes
from cog.models import Model
from cog.places import Place
from cog.progress import Progress
from cog.runs import Run
from cog.store import FORMAT, FeatureStore
from cog.transforms import Unreadable, decode

UNREADABLE_SHARE = 0.01  # past this share of a dataset's pictures, something is wrong with the copy


@dataclass(frozen=True)
class Extraction:
    """How features are made and kept; what changes the numbers is in their fingerprint."""

    device: str = "auto"  # auto | cpu | cuda[:n] | mps, or several with commas
    precision: str = "fp32"  # fp32 | bf16 | fp16: of the network's arithmetic
    dtype: str = "float16"  # float16 | float32: of the features on disk
    batch_size: int | None = None  # pictures; by default 64 on a CPU, 256 on a GPU
    workers: int | None = None  # decoding threads; by default one a core
    chunk_rows: int | None = None  # by default about a minute of work
    decoder: str = DEFAULT_DECODER  # torchvision | pillow | nvjpeg

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing."""
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if self.dtype not in ("float16", "float32"):
            raise unknown_name("dtype", self.dtype, ("float16", "float32"))
        check_decoder(self.decoder)
        for name in ("batch_size", "workers", "chunk_rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise CogError(
                    f"{name} is {value}", f"give --{name.replace('_', '-')} a number from 1 up"
                )


def feature_fingerprint(run: Run, images: ImageList, settings: Extraction) -> dict[str, Any]:
    """Everything that the numbers of a store depend on, ready for JSON."""
    made_from = {
        "format": FORMAT,
        "model": run.fingerprint,
        "preprocess": run.model.preprocess.describe(),
        "images": images.fingerprint,
        "rows": len(images),
        "precision": settings.precision,
        "dtype": settings.dtype,
    }
    if settings.decoder != DEFAULT_DECODER:  # stores from before there was a choice stay valid
        made_from["decoder"] = settings.decoder
    return made_from


def store_path(run: Run, dataset: str, split: str) -> Place:
    """Where a run keeps the features of one split of one dataset."""
    return run.folder / "features" / f"{dataset}-{split}.zarr"


def extract(
    runs: Sequence[Run],
    dataset: str,
    lists: Sequence[ImageList],
    settings: Extraction,
    progress: Progress,
    devices: Sequence[Device] = (),
    share: Share = ALL,
) -> None:
    """Make the features of a dataset's `lists` (train, test) under the model of every run.

    Makes the missing chunks of each store that are in this worker's `share`; on the `devices`,
    without any on that of each model. A picture that cannot be read becomes a row marked
    unreadable, for every model alike.

    Raises:
        CogError: a store of something else is in the way, features that are not finite or do not
            fit the dtype, or more than 1 % of the dataset unreadable.
    """
    devices = devices or devices_for((), settings.precision, progress)
    total = sum(len(images) for images in lists)
    unreadable: set[tuple[str, int]] = set()

    def count(split: str, rows: Iterable[int]) -> None:
        unreadable.update((split, row) for row in rows)
        if len(unreadable) > UNREADABLE_SHARE * total:
            raise CogError(
                f"{len(unreadable)} of {total:,} pictures of {dataset} cannot be read, "
                f"more than {UNREADABLE_SHARE:.0%}: {_examples(lists, unreadable)}",
                "mend those files and run the command again (or remove them, with another --out)",
            )

    for images in lists:
        stores = _open_stores(runs, dataset, images, settings, share, len(devices))
        for store in stores.values():
            count(images.split, store.unreadable())
        for chunk_rows in sorted({store.chunk_rows for store in stores.values()}):
            alike = {run: store for run, store in stores.items() if store.chunk_rows == chunk_rows}
            label = f"{dataset} {images.split}"
            for batch in _fill(alike, images, settings, progress, label, devices, share):
                count(images.split, batch.reasons)


def _examples(lists: Sequence[ImageList], unreadable: set[tuple[str, int]]) -> str:
    """The first few unreadable pictures, by name."""
    paths = {images.split: images.paths for images in lists}
    return ", ".join(paths[split][row] for split, row in sorted(unreadable)[:3])


def refuse_other_features(
    runs: Sequence[Run], dataset: str, lists: Sequence[ImageList], settings: Extraction
) -> None:
    """Refuse stores in the way that hold features of something else, before anything is written.

    Raises:
        CogError: another model, picture list, preprocessing, precision or dtype.
    """
    for run in runs:
        for images in lists:
            _open_store(run, dataset, images, settings)


def _open_store(
    run: Run, dataset: str, images: ImageList, settings: Extraction
) -> FeatureStore | None:
    """The store that goes on, or None where there is none, or an empty one of something else."""
    path = store_path(run, dataset, images.split)
    if not FeatureStore.is_there(path):
        return None
    store = FeatureStore.open(path)
    wanted = feature_fingerprint(run, images, settings)
    if store.fingerprint != wanted and not store.done_chunks():
        return None
    store.require(wanted)
    return store


def _forget_mended(
    store: FeatureStore, images: ImageList, settings: Extraction, share: Share
) -> None:
    """Drop the chunks of a share with pictures that could not be read and now can."""
    for row in store.unreadable():
        if not share.has(row // store.chunk_rows):
            continue
        try:
            decode(read_bytes(images, row), settings.decoder)
        except Unreadable:
            continue
        store.forget_chunk(row // store.chunk_rows)


def _open_stores(
    runs: Sequence[Run],
    dataset: str,
    images: ImageList,
    settings: Extraction,
    share: Share,
    devices: int,
) -> dict[Run, FeatureStore]:
    """The store of every run for one picture list, opened where it exists, else created."""
    stores: dict[Run, FeatureStore] = {}
    new: list[Run] = []
    for run in runs:
        store = _open_store(run, dataset, images, settings)
        if store is None:
            new.append(run)
        else:
            store.clear_partial()
            _forget_mended(store, images, settings, share)
            stores[run] = store
    if new:
        rows_each = len(images) // (share.workers * devices)
        chunk_rows = settings.chunk_rows or _rows_a_chunk(new, settings, rows_each)
        for run in new:
            path = store_path(run, dataset, images.split)
            made_from = feature_fingerprint(run, images, settings)
            FeatureStore.remove_empty(path, made_from)
            stores[run] = FeatureStore.create(
                path,
                images.labels,
                dim=run.model.dim,
                dtype=settings.dtype,
                chunk_rows=min(chunk_rows, len(images)),
                fingerprint=made_from,
            )
            chunk_rows = stores[run].chunk_rows  # another worker's, if it was quicker
    return stores


def _rows_a_chunk(runs: Sequence[Run], settings: Extraction, rows_each: int) -> int:
    """About a minute of work for all the models together, as a whole number of batches.

    At most an eighth of the rows that each device of each worker is to make: none waits long for
    one that has a chunk more.
    """
    rows = 60 / sum(seconds_a_picture(run.model, settings) for run in runs)
    batch = batch_size(runs[0].model, settings)
    return max(1, min(int(rows), 65_536, rows_each // 8) // batch) * batch


def batch_size(model: Model, settings: Extraction) -> int:
    """Pictures a forward pass."""
    return settings.batch_size or (64 if model.device.type == "cpu" else 256)


def seconds_a_picture(model: Model, settings: Extraction) -> float:
    """Seconds of forward pass a picture costs, measured on the second of two small batches."""
    rows = min(batch_size(model, settings), 8 if model.device.type == "cpu" else 64)
    grey = torch.full((rows, *model.preprocess.shape), 128, dtype=torch.uint8)
    forward = Forward(model, settings.precision)
    for _ in range(2):
        start = time.perf_counter()
        forward(grey)
    return (time.perf_counter() - start) / rows


def _fill(
    stores: Mapping[Run, FeatureStore],
    images: ImageList,
    settings: Extraction,
    progress: Progress,
    label: str,
    devices: Sequence[Device],
    share: Share,
) -> Generator[Batch, None, None]:
    """Write the missing chunks of a share to stores with equal chunks, on all devices at once.

    Gives every batch after its use, as it comes.
    """
    missing = {
        run: list(filter(share.has, store.missing_chunks())) for run, store in stores.items()
    }
    chunks = sorted(set().union(*missing.values()))
    if not chunks:
        return
    todo = {run: store for run, store in stores.items() if missing[run]}
    grid = next(iter(todo.values()))
    size = batch_size(next(iter(todo)).model, settings)
    threads = max(1, (settings.workers or os.cpu_count() or 1) // len(devices))
    settings = replace(settings, batch_size=size, workers=threads)
    makers = [
        make_chunks(
            todo,
            {run: device.forward(run.model) for run in todo},
            [chunk for chunk in chunks if part.has(chunk)],
            images,
            settings,
        )
        for device, part in zip(devices, share.divided(len(devices)), strict=True)
    ]
    rows = sum(len(range(grid.rows)[grid.chunk_slice(chunk)]) for chunk in chunks)
    with exact_products(settings.precision), progress.bar(label, rows, "pictures") as advance:
        for batch in merged(makers):
            advance(batch.rows.stop - batch.rows.start)
            yield batch


def make_chunks(
    stores: Mapping[Run, FeatureStore],
    forwards: Mapping[Run, Forward],
    chunks: Sequence[int],
    images: ImageList,
    settings: Extraction,
) -> Generator[Batch, None, None]:
    """Make `chunks` of stores with equal chunks, where they are missing, on one device.

    Needs nothing but its arguments and the files that they name: it may run on any thread, process
    or machine. Gives every batch after its use; the pictures' pixels are dropped.
    """
    missing = {run: set(store.missing_chunks()) for run, store in stores.items()}
    grid = next(iter(stores.values()))
    size = batch_size(next(iter(stores)).model, settings)
    wanted = sorted(set(chunks) & set().union(*missing.values()))
    slices = [part for chunk in wanted for part in cut(grid.chunk_slice(chunk), size)]
    preprocesses = {run.model.preprocess for run in stores}
    held: list[Batch] = []
    features: dict[Run, list[NDArray[np.float32]]] = {run: [] for run in stores}
    for batch in decoded(images, slices, preprocesses, settings.workers, settings.decoder):
        chunk = batch.rows.start // grid.chunk_rows
        held.append(batch)
        for run in stores:
            if chunk in missing[run]:
                features[run].append(forwards[run](batch.pixels[run.model.preprocess]))
        batch.pixels.clear()  # a chunk of features is small, a chunk of pixels is not
        if batch.rows.stop == grid.chunk_slice(chunk).stop:
            _write(chunk, held, features, stores)
            held = []
        yield batch


def _write(
    chunk: int,
    batches: Sequence[Batch],
    features: Mapping[Run, list[NDArray[np.float32]]],
    stores: Mapping[Run, FeatureStore],
) -> None:
    """Write one chunk to every store that lacked it, and empty the lists of its features."""
    readable = np.concatenate([batch.readable for batch in batches])
    reasons = {row: why for batch in batches for row, why in batch.reasons.items()}
    for run, parts in features.items():
        if parts:
            stores[run].write_chunk(chunk, np.concatenate(parts), readable, reasons)
            parts.clear()
