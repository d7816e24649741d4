"""The decoded images of a sample, which stay in memory: those that one process evaluates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cog.cores import usable_cores, usable_memory
from cog.errors import CogError
from cog.features.feeder.batch import cut
from cog.features.feeder.feed import feed
from cog.features.feeder.feeding import Feeding
from cog.images.image_list import some_images
from cog.images.preprocess import Preprocess
from cog.monitor.sample import Rows, Sample

BATCH = 256  # images that are decoded at once
_MOST = 0.5  # of the memory that the process may use
MB, GB = 1e6, 1e9


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images of a sample as the network's preprocessing resizes them."""

    rows: Rows
    """[m], which rows of the sample they are; without unreadable ones"""
    images: Tensor
    """uint8[m, 3, h, w] in the memory of the host"""
    unreadable: int
    """images that could not be read, and are left out"""


def bytes_of(samples: tuple[Sample, ...], preprocess: Preprocess, processes: int = 1) -> int:
    """The memory that the images of samples take, in each of some processes that share them."""
    size = int(np.prod(preprocess.shape))
    return size * sum(-(-len(sample) // processes) for sample in samples)


def refuse_too_much(needed: int) -> None:
    """Refuse more than half of the memory that this process may use.

    Raises:
        CogError: that is so.
    """
    usable = usable_memory()
    if usable is not None and needed > _MOST * usable:
        raise CogError(
            f"the sample takes {needed / GB:.1f} GB of this machine's memory, more than half of "
            f"the {usable / GB:.1f} GB that this process may use",
            "give fewer images a class (per_class=5), fewer classes (classes=100) or fewer levels",
        )


def decode(sample: Sample, rows: Rows, preprocess: Preprocess, workers: int | None) -> Pixels:
    """Read, decode and resize some rows of a sample, by threads; by default one a core.

    Raises:
        CogError: an image cannot be read from its disk; that is no property of the image, as
            damage is.
    """
    images = torch.empty((len(rows), *preprocess.shape), dtype=torch.uint8, device="cpu")
    readable = np.ones(len(rows), bool)
    feeding = Feeding(workers or usable_cores(), "threads")
    trains = rows < sample.n_train
    done = 0
    for part, own in zip(sample.lists, (rows[trains], rows[~trains] - sample.n_train), strict=True):
        slices = list(cut(slice(0, len(own)), BATCH))
        for batch in feed(some_images(part, own), slices, [preprocess], feeding):
            here = slice(done, done + len(batch.readable))
            images[here] = batch.pixels[preprocess]
            readable[here] = batch.readable
            done = here.stop
    if readable.all():
        return Pixels(rows, images, 0)
    kept = np.flatnonzero(readable)
    return Pixels(rows[kept], images[torch.from_numpy(kept)], len(rows) - len(kept))
