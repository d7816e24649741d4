"""The unit of work: chunks of the features of some models, made on one device.

In: models, stores with equal chunks, the numbers of the chunks. Out: those chunks, in every store.

- Chunks are cut into batches from their own start: the same device, batch size and images give
  the same bytes, whoever makes a chunk, in whatever order.
- Each image is read and decoded once for all models that lack the chunk.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cog.features.batches import Batch, cut, decoded
from cog.features.forward import Forward
from cog.features.model_run import ModelRun
from cog.features.settings import Extraction, batch_size
from cog.features.store.store import FeatureStore
from cog.images.image_list import ImageList
from cog.models.model import Model


def seconds_an_image(model: Model, settings: Extraction, seconds: float = 0.0) -> float:
    """Seconds of forward pass an image costs: of small batches after a first, the quickest.

    Measures one, or as many as begin within so many seconds.
    """
    kind = model.device.type
    rows = min(batch_size(kind, settings), 8 if kind == "cpu" else 64)
    grey = torch.full((rows, *model.preprocess.shape), 128, dtype=torch.uint8)
    forward = Forward(model, settings.precision)
    begun = time.perf_counter()
    forward(grey)
    best = float("inf")
    while best == float("inf") or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        forward(grey)
        best = min(best, time.perf_counter() - start)
    return best / rows


def make_chunks(
    stores: Mapping[ModelRun, FeatureStore],
    forwards: Mapping[ModelRun, Forward],
    chunks: Sequence[int],
    images: ImageList,
    settings: Extraction,
) -> Generator[Batch, None, None]:
    """Make `chunks` of stores with equal chunks, where they are missing, on one device.

    Needs nothing but its arguments and the files that they name: it may run on any thread, process
    or machine. Gives every batch after its use; the images' pixels are dropped.
    """
    missing = {model_run: set(store.missing_chunks()) for model_run, store in stores.items()}
    grid = next(iter(stores.values()))
    size = batch_size(next(iter(stores)).model.device.type, settings)
    wanted = sorted(set(chunks) & set().union(*missing.values()))
    slices = [part for chunk in wanted for part in cut(grid.chunk_slice(chunk), size)]
    preprocesses = {model_run.model.preprocess for model_run in stores}
    held: list[Batch] = []
    features: dict[ModelRun, list[NDArray[np.float32]]] = {model_run: [] for model_run in stores}
    for batch in decoded(images, slices, preprocesses, settings.workers, settings.decoder):
        chunk = batch.rows.start // grid.chunk_rows
        held.append(batch)
        for model_run in stores:
            if chunk in missing[model_run]:
                features[model_run].append(
                    forwards[model_run](batch.pixels[model_run.model.preprocess])
                )
        batch.pixels.clear()  # a chunk of features is small, a chunk of pixels is not
        if batch.rows.stop == grid.chunk_slice(chunk).stop:
            _write(chunk, held, features, stores)
            held = []
        yield batch


def _write(
    chunk: int,
    batches: Sequence[Batch],
    features: Mapping[ModelRun, list[NDArray[np.float32]]],
    stores: Mapping[ModelRun, FeatureStore],
) -> None:
    """Write one chunk to every store that lacked it, and empty the lists of its features."""
    readable = np.concatenate([batch.readable for batch in batches])
    reasons = {row: why for batch in batches for row, why in batch.reasons.items()}
    for model_run, parts in features.items():
        if parts:
            stores[model_run].write_chunk(chunk, np.concatenate(parts), readable, reasons)
            parts.clear()
