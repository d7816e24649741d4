"""Batches of images, decoded ahead of their use, once for all preprocessings.

In: an image list, slices of its rows, preprocessings. Out: a batch for each slice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from cog.cores import usable_cores
from cog.images.decoding import DEFAULT_DECODER, check_decoder, decode_for
from cog.images.image_list import ImageList, read_bytes
from cog.images.limits import Unreadable
from cog.images.preprocess import Preprocess
from cog.images.truncated import READ


@dataclass(frozen=True)
class Batch:
    """Decoded images: uint8 [b, 3, h, w] for every preprocessing, black where unreadable.

    Preprocessings that differ only in mean and std share a tensor: do not change it.
    """

    rows: slice
    pixels: dict[Preprocess, torch.Tensor]
    readable: NDArray[np.bool_]
    reasons: dict[int, str]
    """why, for each row of the image list that is not readable"""
    truncated: dict[int, str]
    """why, for each row whose image is cut off or broken, and read as far as it goes"""


@dataclass(frozen=True)
class _Loaded:
    """One image's pixels for each geometry, None if it cannot be read; and what is wrong."""

    pixels: Sequence[torch.Tensor] | None
    why: str = ""


def decoded(
    images: ImageList,
    slices: Sequence[slice],
    preprocesses: Iterable[Preprocess],
    workers: int | None = None,
    decoder: str = DEFAULT_DECODER,
    truncated: str = READ,
) -> Iterator[Batch]:
    """Read and decode the images of `slices` ahead of their use, on a pool of threads.

    The decoder releases the interpreter's lock, so threads do. Holds at most three batches.

    Raises:
        CogError: the decoder is unknown or not installed.
    """
    check_decoder(decoder)
    wanted = set(preprocesses)
    geometries = sorted({preprocess.geometry for preprocess in wanted}, key=str)
    pool = ThreadPoolExecutor(workers or usable_cores(), thread_name_prefix="decode")
    ahead: deque[tuple[slice, list[Future[_Loaded]]]] = deque()
    load = partial(_load, images, geometries, decoder, truncated)
    try:
        for rows in slices:
            ahead.append((rows, [pool.submit(load, row) for row in range(rows.start, rows.stop)]))
            if len(ahead) == 3:
                yield _collect(*ahead.popleft(), geometries, wanted)
        while ahead:
            yield _collect(*ahead.popleft(), geometries, wanted)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _load(
    images: ImageList, geometries: Sequence[Preprocess], decoder: str, truncated: str, row: int
) -> _Loaded:
    """One image, decoded once."""

    def resized(image: torch.Tensor) -> list[torch.Tensor]:
        return [geometry.pixels(image, decoder) for geometry in geometries]

    try:
        return _Loaded(*decode_for(resized, read_bytes(images, row), decoder, truncated))
    except Unreadable as error:
        return _Loaded(None, str(error))


def _collect(
    rows: slice,
    futures: Sequence[Future[_Loaded]],
    geometries: Sequence[Preprocess],
    wanted: Iterable[Preprocess],
) -> Batch:
    """Stack the images of one batch."""
    loaded = [future.result() for future in futures]
    wrong = {rows.start + index: found for index, found in enumerate(loaded) if found.why}
    stacked = {}
    for index, geometry in enumerate(geometries):
        black = torch.zeros(geometry.shape, dtype=torch.uint8)
        stacked[geometry] = torch.stack(
            [black if found.pixels is None else found.pixels[index] for found in loaded]
        )
    return Batch(
        rows,
        pixels={preprocess: stacked[preprocess.geometry] for preprocess in wanted},
        readable=np.array([found.pixels is not None for found in loaded]),
        reasons={row: found.why for row, found in wrong.items() if found.pixels is None},
        truncated={row: found.why for row, found in wrong.items() if found.pixels is not None},
    )


def cut(rows: slice, size: int) -> Iterator[slice]:
    """A slice in pieces of `size` rows from its own start, so that a chunk's batches never vary."""
    for start in range(rows.start, rows.stop, size):
        yield slice(start, min(start + size, rows.stop))
