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

from cog.features.feeder.batch import Batch
from cog.features.feeder.feeding import Feeding
from cog.images.decoding import check_decoder, decode_for
from cog.images.image_list import ImageList, read_bytes
from cog.images.limits import Unreadable
from cog.images.preprocess import Preprocess


@dataclass(frozen=True)
class _Loaded:
    """One image's pixels for each geometry, None if it cannot be read; and what is wrong."""

    pixels: Sequence[torch.Tensor] | None
    why: str = ""


def feed(
    images: ImageList,
    slices: Sequence[slice],
    preprocesses: Iterable[Preprocess],
    feeding: Feeding,
) -> Iterator[Batch]:
    """Read and decode the images of `slices` ahead of their use, on a pool of threads.

    The decoder releases the interpreter's lock, so threads do. Holds at most three batches.

    Raises:
        CogError: the decoder is unknown or not installed.
    """
    check_decoder(feeding.decoder)
    wanted = set(preprocesses)
    geometries = sorted({preprocess.geometry for preprocess in wanted}, key=str)
    pool = ThreadPoolExecutor(feeding.workers, thread_name_prefix="decode")
    ahead: deque[tuple[slice, list[Future[_Loaded]]]] = deque()
    load = partial(_load, images, geometries, feeding.decoder, feeding.truncated)
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
