"""A batch of decoded images, and the cutting of rows into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cog.images.packed import Packed
from cog.images.preprocess import Preprocess


@dataclass(frozen=True)
class Batch:
    """Decoded images: uint8 [b, 3, h, w] for every preprocessing, black where unreadable.

    With A augmented views it is [b, 1 + A, 3, h, w].

    Preprocessings that differ only in mean and std share a tensor: do not change it. The pixels
    stay as they are until two more batches have been given; then their memory is used again.
    """

    rows: slice
    pixels: dict[Preprocess, torch.Tensor]
    readable: NDArray[np.bool_]
    reasons: dict[int, str]
    """why, for each row of the image list that is not readable"""
    truncated: dict[int, str]
    """why, for each row whose image is cut off or broken, and read as far as it goes"""
    packed: Packed | None = None
    """instead of the pixels, where a device resizes: the decoded images, in their own sizes"""


def cut(rows: slice, size: int) -> Iterator[slice]:
    """A slice in pieces of `size` rows from its own start, so that a chunk's batches never vary."""
    for start in range(rows.start, rows.stop, size):
        yield slice(start, min(start + size, rows.stop))
