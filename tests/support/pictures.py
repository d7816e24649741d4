"""Small pictures in a tar, some of them damaged, and what a feeder makes of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cog.features.feeder.feed import feed
from cog.features.feeder.feeding import Feeding
from cog.features.feeder.part import PART
from cog.images.image_list import ImageList
from cog.images.preprocess import Preprocess
from tests.support.image_files import everything, make_tars

WNID = "n00000011"


def picture(seed: int) -> bytes:
    """A JPEG of noise, of 30 to 60 pixels a side."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(30, 60, 2)
    file = io.BytesIO()
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def pictures(
    root: Path, count: int, bad: Mapping[int, bytes] = {}, cut_off: Sequence[int] = ()
) -> ImageList:
    """So many pictures in one tar; some rows have other bytes, some only half of theirs."""
    files = {f"{WNID}/{WNID}_{row:05}.JPEG": picture(row % 40) for row in range(count)}
    for row, path in enumerate(files):
        files[path] = bad.get(row, files[path])
        if row in cut_off:
            files[path] = files[path][: len(files[path]) // 2]
    return everything(make_tars(root, files), (WNID,))


def batches_of(
    images: ImageList,
    slices: Sequence[slice],
    preprocesses: Iterable[Preprocess],
    feeding: Feeding = Feeding(1, "threads"),  # noqa: B008
    part: int = PART,
) -> list[tuple[object, ...]]:
    """All that a feed gives, in values that compare: rows, bytes of pixels, bad images."""
    return [
        (
            (batch.rows.start, batch.rows.stop),
            {of: pixels.numpy().tobytes() for of, pixels in batch.pixels.items()},
            batch.readable.tolist(),
            batch.reasons,
            batch.truncated,
        )
        for batch in feed(images, slices, preprocesses, feeding, part)
    ]
