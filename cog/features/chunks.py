"""The unit of work: chunks of the features of some models, made on one device.

In: models, stores with equal chunks, the indices of the chunks. Out: those chunks, in every store.

- Every chunk is cut into batches from its own start: the same device, batch size and images give
  the same bytes, whichever worker makes a chunk, in any order.
- Each image is read and decoded once for all models that lack the chunk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cog.features.executors.device import Device
from cog.features.feeder.batch import Batch, cut
from cog.features.feeder.feed import feed
from cog.features.forward import Forward, Pending
from cog.features.model_run import ModelRun
from cog.features.on_device import with_pixels
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

    Needs nothing but its arguments and the files that they name: it may run in any process, on
    any machine. Gives every batch after its use, without the pixels.
    """
    forwards = [device.forward(gap.model_run.model) for gap in gaps.of]  # now, on this thread
    return _batches(gaps, chunks, forwards, device.threads)


@dataclass(frozen=True)
class _Started:
    """A batch, and the features of it that are on their way; None where a store has its chunk."""

    batch: Batch
    pending: tuple[Pending | None, ...]


def _batches(
    gaps: Gaps, chunks: Sequence[int], forwards: Sequence[Forward], threads: int
) -> Generator[Batch, None, None]:
    """Every batch, after its features have been fetched.

    A CUDA device computes a batch while the features of the one before are fetched, and the one
    behind is copied. `feed` keeps the pixels of both until then.
    """
    grid = gaps.of[0].store
    size = batch_size(forwards[0].model.device.type, gaps.settings, gaps.images.split)
    slices = [part for chunk in chunks for part in cut(grid.chunk_slice(chunk), size)]
    preprocesses = {forward.model.preprocess for forward in forwards}
    device, split = forwards[0].model.device, gaps.images.split
    feeding = feeding_for(gaps.settings, device, threads, split)
    late = 1 if any(forward.transfers.beside for forward in forwards) else 0
    started: deque[_Started] = deque()
    made = _Made(gaps)
    batches = feed(gaps.images, slices, preprocesses, feeding)
    try:
        for packed in batches:
            batch = with_pixels(packed, preprocesses, forwards[0].transfers)
            started.append(_start(batch, gaps, forwards))
            if len(started) > late:
                yield made.take(started.popleft())
        while started:
            yield made.take(started.popleft())
    finally:
        for forward in forwards:
            forward.finish()  # before the feeder's memory goes
        batches.close()


def _start(batch: Batch, gaps: Gaps, forwards: Sequence[Forward]) -> _Started:
    """Start the forward pass of every model whose store lacks the chunk of a batch."""
    chunk = batch.rows.start // gaps.of[0].store.chunk_rows
    pending = [
        forward.start(_crops(batch.pixels[forward.model.preprocess]))
        if chunk in gap.chunks
        else None
        for gap, forward in zip(gaps.of, forwards, strict=True)
    ]
    return _Started(batch, tuple(pending))


def _crops(pixels: torch.Tensor) -> torch.Tensor:
    """The crops of a batch as images: [b · (1 + A), 3, h, w] of [b, 1 + A, 3, h, w]."""
    return pixels.flatten(0, -4)


class _Made:
    """What has been made of a chunk so far; it is written when it is whole."""

    def __init__(self, gaps: Gaps) -> None:
        self.gaps = gaps
        self.batches: list[Batch] = []
        self.features: list[list[NDArray[np.float32]]] = [[] for _ in gaps.of]

    def take(self, started: _Started) -> Batch:
        """Fetch the features of the next batch."""
        grid, batch = self.gaps.of[0].store, started.batch
        for pending, parts in zip(started.pending, self.features, strict=True):
            if pending is not None:
                parts.append(pending.result().reshape(len(batch.readable), -1))
        batch.pixels.clear()  # a chunk of features is small, a chunk of pixels is not
        self.batches.append(batch)
        chunk = batch.rows.start // grid.chunk_rows
        if batch.rows.stop == grid.chunk_slice(chunk).stop:
            self._write(chunk)
        return batch

    def _write(self, chunk: int) -> None:
        """Write one chunk to every store that lacked it."""
        readable = np.concatenate([batch.readable for batch in self.batches])
        reasons = {row: why for batch in self.batches for row, why in batch.reasons.items()}
        truncated = {row: why for batch in self.batches for row, why in batch.truncated.items()}
        for gap, parts in zip(self.gaps.of, self.features, strict=True):
            if parts:
                gap.store.write_chunk(chunk, np.concatenate(parts), readable, reasons, truncated)
                parts.clear()
        self.batches = []
