"""A part of a batch: some rows that a worker reads, decodes and resizes into a slot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cog.features.feeder.feeding import Feeding
from cog.features.feeder.slots import Layout
from cog.images.decoding import decode_for
from cog.images.limits import Unreadable
from cog.images.neighbours import Located, read_each
from cog.images.packing import Part
from cog.images.views import put_views

PART = 32  # rows: many enough that a part costs little to hand out, and so few that all have one

Put = Callable[[int, bytes], str]
"""puts an encoded image into a row; says why it is truncated, and raises Unreadable"""


class BadImage(NamedTuple):
    """A row that is unreadable, or truncated and read as far as it goes."""

    row: int
    why: str
    readable: bool


def load_part(
    images: Located,
    first: int,
    views: Sequence[NDArray[np.uint8]],
    layout: Layout,
    feeding: Feeding,
    stopped: Callable[[], bool] = lambda: False,
) -> list[BadImage]:
    """Read and decode images into rows of a batch, resized or packed; gives those not whole.

    Args:
        images: where they lie.
        first: the row of the batch that the first of them becomes.
        views: the arrays of the slot of the batch; black for an image that cannot be read.
        layout: what the arrays of a slot are.
        feeding: how images are decoded.
        stopped: asked before each image; once it says so, no more are read.

    Raises:
        CogError: as `read_bytes`.
    """
    bad: list[BadImage] = []
    put = _resizing(views, layout, feeding, dict(enumerate(images.paths, first)))
    if layout.packed:
        (slot,), rows = views, slice(first, first + len(images.paths))
        how = feeding.decoder, feeding.truncated
        put = Part(slot, layout.rows, rows, layout.geometries, *how).put
    for row, data in enumerate(read_each(images), first):
        if stopped():
            break
        try:
            why = put(row, data)
        except Unreadable as error:
            bad.append(BadImage(row, str(error), readable=False))
        else:
            if why:
                bad.append(BadImage(row, why, readable=True))
    return bad


def _resizing(
    views: Sequence[NDArray[np.uint8]],
    layout: Layout,
    feeding: Feeding,
    paths: Mapping[int, str],
) -> Put:
    """What resizes images into their rows of the pixels of each geometry; `paths`: of the rows."""

    def put(row: int, data: bytes) -> str:
        def write(image: torch.Tensor) -> None:
            for geometry, pixels in zip(layout.geometries, views, strict=True):
                if layout.each > 1:
                    put_views(image, paths[row], geometry, feeding.decoder, pixels[row])
                else:
                    geometry.pixels(image, feeding.decoder, out=pixels[row])

        try:
            return decode_for(write, data, feeding.decoder, feeding.truncated)[1]
        except Unreadable:
            for pixels in views:
                pixels[row] = 0
            raise

    return put
