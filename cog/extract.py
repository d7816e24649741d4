"""Models × pictures → feature stores: each picture is read and decoded once for all models."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cog.batches import Batch, cut, decoded
from cog.errors import CogError, unknown_name
from cog.forward import PRECISIONS, embed
from cog.images import ImageList, read_bytes
from cog.models import Model
from cog.progress import Progress
from cog.runs import Run
from cog.store import FORMAT, FeatureStore
from cog.transforms import Unreadable, decode

UNREADABLE_SHARE = 0.01  # past this share of a dataset's pictures, something is wrong with the copy


@dataclass(frozen=True)
class Extraction:
    """How features are made and kept; what changes the numbers is in their fingerprint."""

    device: str = "auto"  # auto | cpu | cuda[:n] | mps
    precision: str = "fp32"  # fp32 | bf16 | fp16: of the network's arithmetic
    dtype: str = "float16"  # float16 | float32: of the features on disk
    batch_size: int | None = None  # pictures; by default 64 on a CPU, 256 on a GPU
    workers: int | None = None  # decoding threads; by default one a core
    chunk_rows: int | None = None  # by default about a minute of work

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing."""
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if self.dtype not in ("float16", "float32"):
            raise unknown_name("dtype", self.dtype, ("float16", "float32"))
        for name in ("batch_size", "workers", "chunk_rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise CogError(
                    f"{name} is {value}", f"give --{name.replace('_', '-')} a number from 1 up"
                )


def feature_fingerprint(run: Run, images: ImageList, settings: Extraction) -> dict[str, Any]:
    """Everything that the numbers of a store depend on, ready for JSON."""
    return {
        "format": FORMAT,
        "model": run.fingerprint,
        "preprocess": run.model.preprocess.describe(),
        "images": images.fingerprint,
        "rows": len(images),
        "precision": settings.precision,
        "dtype": settings.dtype,
    }


def store_path(run: Run, dataset: str, split: str) -> Path:
    """Where a run keeps the features of one split of one dataset."""
    return run.folder / "features" / f"{dataset}-{split}.zarr"


def extract(
    runs: Sequence[Run],
    dataset: str,
    lists: Sequence[ImageList],
    settings: Extraction,
    progress: Progress,
) -> None:
    """Make the features of a dataset's `lists` (train, test) under the model of every run.

    Goes on at the first missing chunk of each store. A picture that cannot be read becomes a row
    marked unreadable, for every model alike.

    Raises:
        CogError: a store of something else is in the way, features that are not finite or do not
            fit the dtype, or more than 1 % of the dataset unreadable.
    """
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
        stores = _open_stores(runs, dataset, images, settings)
        for store in stores.values():
            count(images.split, store.unreadable())
        for chunk_rows in sorted({store.chunk_rows for store in stores.values()}):
            alike = {run: store for run, store in stores.items() if store.chunk_rows == chunk_rows}
            for batch in _fill(alike, images, settings, progress, dataset):
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
    if not path.exists():
        return None
    store = FeatureStore.open(path)
    wanted = feature_fingerprint(run, images, settings)
    if store.fingerprint != wanted and len(store.missing_chunks()) == store.n_chunks:
        return None
    store.require(wanted)
    return store


def _forget_mended(store: FeatureStore, images: ImageList) -> None:
    """Drop the chunks of pictures that could not be read and now can."""
    for row in store.unreadable():
        try:
            decode(read_bytes(images, row))
        except Unreadable:
            continue
        store.forget_chunk(row // store.chunk_rows)


def _open_stores(
    runs: Sequence[Run], dataset: str, images: ImageList, settings: Extraction
) -> dict[Run, FeatureStore]:
    """The store of every run for one picture list, opened where it exists, else created."""
    stores: dict[Run, FeatureStore] = {}
    new: list[Run] = []
    for run in runs:
        store = _open_store(run, dataset, images, settings)
        if store is None:
            new.append(run)
        else:
            _forget_mended(store, images)
            stores[run] = store
    if new:
        chunk_rows = settings.chunk_rows or _rows_a_minute(new, settings)
        for run in new:
            FeatureStore.remove(store_path(run, dataset, images.split))
            stores[run] = FeatureStore.create(
                store_path(run, dataset, images.split),
                images.labels,
                dim=run.model.dim,
                dtype=settings.dtype,
                chunk_rows=min(chunk_rows, len(images)),
                fingerprint=feature_fingerprint(run, images, settings),
            )
    return stores


def _rows_a_minute(runs: Sequence[Run], settings: Extraction) -> int:
    """About a minute of work for all the models together, as a whole number of batches."""
    rows = 60 / sum(seconds_a_picture(run.model, settings) for run in runs)
    batch = batch_size(runs[0].model, settings)
    return max(1, min(int(rows), 65_536) // batch) * batch


def batch_size(model: Model, settings: Extraction) -> int:
    """Pictures a forward pass."""
    return settings.batch_size or (64 if model.device.type == "cpu" else 256)


def seconds_a_picture(model: Model, settings: Extraction) -> float:
    """Seconds of forward pass a picture costs, measured on the second of two small batches."""
    rows = min(batch_size(model, settings), 8 if model.device.type == "cpu" else 64)
    grey = torch.full((rows, *model.preprocess.shape), 128, dtype=torch.uint8)
    for _ in range(2):
        start = time.perf_counter()
        embed(model, grey, settings.precision)
    return (time.perf_counter() - start) / rows


def _fill(
    stores: Mapping[Run, FeatureStore],
    images: ImageList,
    settings: Extraction,
    progress: Progress,
    dataset: str,
) -> Iterator[Batch]:
    """Write the missing chunks of stores with equal chunks; gives every batch after its use."""
    missing = {run: set(store.missing_chunks()) for run, store in stores.items()}
    chunks = sorted(set().union(*missing.values()))
    if not chunks:
        return
    grid = next(iter(stores.values()))
    todo = [run for run in stores if missing[run]]
    size = batch_size(todo[0].model, settings)
    slices = [part for chunk in chunks for part in cut(grid.chunk_slice(chunk), size)]
    rows = sum(part.stop - part.start for part in slices)
    preprocesses = {run.model.preprocess for run in todo}
    held: list[Batch] = []
    features: dict[Run, list[NDArray[np.float32]]] = {run: [] for run in todo}
    with progress.bar(f"{dataset} {images.split}", rows, "pictures") as advance:
        for batch in decoded(images, slices, preprocesses, settings.workers):
            chunk = batch.rows.start // grid.chunk_rows
            held.append(batch)
            for run in todo:
                if chunk in missing[run]:
                    pixels = batch.pixels[run.model.preprocess]
                    features[run].append(embed(run.model, pixels, settings.precision))
            batch.pixels.clear()  # a chunk of features is small, a chunk of pixels is not
            if batch.rows.stop == grid.chunk_slice(chunk).stop:
                _write(chunk, held, features, stores)
                held = []
            advance(batch.rows.stop - batch.rows.start)
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
