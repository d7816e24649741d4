"""A part of a batch: some rows that a worker reads, decodes and resizes into their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cog.features.feeder.feeding import Feeding
from cog.images.decoding import decode_for
from cog.images.limits import Unreadable
from cog.images.neighbours import Located, read_each
from cog.images.preprocess import Preprocess

PART = 32  # rows: many enough that a part costs little to hand out, and so few that all have one

Own = tuple[Preprocess, NDArray[np.uint8]]
"""a geometry, and the pixels uint8 [3, H, W] of one row"""


class Odd(NamedTuple):
    """A row that is unreadable, or truncated and read as far as it goes."""

    row: int
    why: str
    readable: bool


def load_part(
    images: Located,
    first: int,
    rows: Sequence[NDArray[np.uint8]],
    geometries: Sequence[Preprocess],
    feeding: Feeding,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Odd]:
    """Read, decode and resize images into rows of a batch; gives those rows that are not whole.

    Args:
        images: where they lie.
        first: the row of the batch that the first of them becomes.
        rows: the pixels of the batch, uint8 [b, 3, H, W] for each geometry; black for an image that
            cannot be read.
        geometries: the preprocessings that these are for.
        feeding: how images are decoded.
        stopped: asked before each image; once it says so, no more are read.

    Raises:
        CogError: as `read_bytes`.
    """
    odd: list[Odd] = []
    how = feeding.decoder, feeding.truncated
    for row, data in enumerate(read_each(images), first):
        if stopped():
            break
        own = [(geometry, of[row]) for geometry, of in zip(geometries, rows, strict=True)]
        try:
            _, why = decode_for(partial(_write, own, feeding.decoder), data, *how)
        except Unreadable as error:
            odd.append(Odd(row, str(error), readable=False))
            for _, pixels in own:
                pixels[...] = 0
        else:
            if why:
                odd.append(Odd(row, why, readable=True))
    return odd


def _write(own: Sequence[Own], decoder: str, image: torch.Tensor) -> None:
    """Write a decoded image into its row for every geometry."""
    for geometry, pixels in own:
        geometry.pixels(image, decoder, out=pixels)
