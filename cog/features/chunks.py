"""The unit of work: chunks of the features of some models, made on one device.

In: models, stores with equal chunks, the indices of the chunks. Out: those chunks, in every store.

- Every chunk is cut into batches from its own start: the same device, batch size and images give
  the same bytes, whichever worker makes a chunk, in any order.
- Each image is read and decoded once for all models that lack the chunk.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.features.executors.device import Device
from cog.features.feeder.batch import Batch, cut
from cog.features.feeder.feed import feed
from cog.features.forward import Forward
from cog.features.model_run import ModelRun
from cog.features.settings import Extraction, batch_size, feeding_for
from cog.features.store.store import FeatureStore
from cog.images.image_list import ImageList


@dataclass(frozen=True)
class Gap:
    """The chunks that the store of one model lacks."""

    model_run: ModelRun
    store: FeatureStore
    chunks: frozenset[int]


@dataclass(frozen=True)
class Gaps:
    """Stores with equal chunks that lack some, the images, and how features are made."""

    of: tuple[Gap, ...]
    images: ImageList
    settings: Extraction


def make_chunks(gaps: Gaps, chunks: Sequence[int], device: Device) -> Generator[Batch, None, None]:
    """Make those of the `chunks` that stores lack, on one device.

    Needs nothing but its arguments and the files that they name: it may run on any thread, process
    or machine. Gives every batch after its use, without the pixels.
    """
    forwards = [device.forward(gap.model_run.model) for gap in gaps.of]  # now, on this thread
    return _batches(gaps, chunks, forwards, device.threads)


def _batches(
    gaps: Gaps, chunks: Sequence[int], forwards: Sequence[Forward], threads: int
) -> Generator[Batch, None, None]:
    grid = gaps.of[0].store
    size = batch_size(forwards[0].model.device.type, gaps.settings)
    slices = [part for chunk in chunks for part in cut(grid.chunk_slice(chunk), size)]
    preprocesses = {forward.model.preprocess for forward in forwards}
    held: list[Batch] = []
    features: list[list[NDArray[np.float32]]] = [[] for _ in gaps.of]
    feeding = feeding_for(gaps.settings, forwards[0].model.device, threads)
    for batch in feed(gaps.images, slices, preprocesses, feeding):
        chunk = batch.rows.start // grid.chunk_rows
        held.append(batch)
        for gap, forward, parts in zip(gaps.of, forwards, features, strict=True):
            if chunk in gap.chunks:
                parts.append(forward(batch.pixels[forward.model.preprocess]))
        batch.pixels.clear()  # a chunk of features is small, a chunk of pixels is not
        if batch.rows.stop == grid.chunk_slice(chunk).stop:
            _write(chunk, held, features, gaps)
            held = []
        yield batch


def _write(
    chunk: int,
    batches: Sequence[Batch],
    features: Sequence[list[NDArray[np.float32]]],
    gaps: Gaps,
) -> None:
    """Write one chunk to every store that lacked it, and empty the lists of its features."""
    readable = np.concatenate([batch.readable for batch in batches])
    reasons = {row: why for batch in batches for row, why in batch.reasons.items()}
    truncated = {row: why for batch in batches for row, why in batch.truncated.items()}
    for gap, parts in zip(gaps.of, features, strict=True):
        if parts:
            gap.store.write_chunk(chunk, np.concatenate(parts), readable, reasons, truncated)
            parts.clear()
