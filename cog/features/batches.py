"""Batches of images, decoded ahead of their use, once for all preprocessings.

In: an image list, slices of its rows, preprocessings. Out: a batch for each slice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cog.cores import usable_cores
from cog.images.decoding import DEFAULT_DECODER, Unreadable, check_decoder, decode
from cog.images.image_list import ImageList, read_bytes
from cog.images.preprocess import Preprocess


@dataclass(frozen=True)
class Batch:
    """Decoded images: uint8 [b, 3, h, w] for every preprocessing, black where unreadable.

    Preprocessings that differ only in mean and std share a tensor: do not change it.
    """

    rows: slice
    pixels: dict[Preprocess, torch.Tensor]
    readable: NDArray[np.bool_]
    reasons: dict[int, str]


def decoded(
    images: ImageList,
    slices: Sequence[slice],
    preprocesses: Iterable[Preprocess],
    workers: int | None = None,
    decoder: str = DEFAULT_DECODER,
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
    ahead: deque[tuple[slice, list[Future[list[torch.Tensor] | str]]]] = deque()
    try:
        for rows in slices:
            work = range(rows.start, rows.stop)
            ahead.append(
                (rows, [pool.submit(_load, images, row, geometries, decoder) for row in work])
            )
            if len(ahead) == 3:
                yield _collect(*ahead.popleft(), geometries, wanted)
        while ahead:
            yield _collect(*ahead.popleft(), geometries, wanted)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _load(
    images: ImageList, row: int, geometries: Sequence[Preprocess], decoder: str
) -> list[torch.Tensor] | str:
    """One image's pixels for each geometry, or why it cannot be read."""
    try:
        image = decode(read_bytes(images, row), decoder)
    except Unreadable as error:
        return str(error)
    return [geometry.pixels(image, decoder) for geometry in geometries]


def _collect(
    rows: slice,
    futures: Sequence[Future[list[torch.Tensor] | str]],
    geometries: Sequence[Preprocess],
    wanted: Iterable[Preprocess],
) -> Batch:
    """Stack the images of one batch."""
    loaded = [future.result() for future in futures]
    reasons = {
        rows.start + index: found for index, found in enumerate(loaded) if isinstance(found, str)
    }
    stacked = {}
    for index, geometry in enumerate(geometries):
        black = torch.zeros(geometry.shape, dtype=torch.uint8)
        stacked[geometry] = torch.stack(
            [black if isinstance(found, str) else found[index] for found in loaded]
        )
    pixels = {preprocess: stacked[preprocess.geometry] for preprocess in wanted}
    readable = np.array([not isinstance(found, str) for found in loaded])
    return Batch(rows, pixels, readable, reasons)


def cut(rows: slice, size: int) -> Iterator[slice]:
    """A slice in pieces of `size` rows from its own start, so that a chunk's batches never vary."""
    for start in range(rows.start, rows.stop, size):
        yield slice(start, min(start + size, rows.stop))
