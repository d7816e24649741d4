"""Drawn photographs, for measurements on a machine that has no images: 500 × 375 JPEGs.

In: how many, a folder. Out: their files there, as an image list.

Smooth shades, discs and stripes, and grain, so that a file has about the size and the decoding cost
of ImageNet's average photograph (110 kB there; 70 to 90 kB here).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from cog.images.image_list import ImageList

WIDTH, HEIGHT = 500, 375
QUALITY = 90
_WNID = "n00000001"


def draw_photograph(seed: int) -> bytes:
    """A JPEG of 500 × 375: equal bytes for equal seeds, under one version of Pillow."""
    rng = np.random.default_rng([14, seed])
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    shades = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    pixels = np.array(shades.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    for _ in range(10):
        across, down, radius = rng.uniform((0, 0, 20), (WIDTH, HEIGHT, 110))
        inside = (x - across) ** 2 + (y - down) ** 2 < radius**2
        wave = np.sin(x[inside] * rng.uniform(0.1, 1) + y[inside] * rng.uniform(0.1, 1))
        pixels[inside] = rng.uniform(0, 255, 3) + 30 * wave[:, None]
    pixels += rng.normal(scale=rng.uniform(2, 12), size=(HEIGHT, WIDTH, 1))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def drawn_images(folder: Path, count: int) -> ImageList:
    """So many drawn photographs, written below a folder, as the images of one class."""
    (folder / _WNID).mkdir(parents=True)
    paths = tuple(f"{_WNID}/{seed:04}.jpg" for seed in range(count))
    for seed, path in enumerate(paths):
        (folder / path).write_bytes(draw_photograph(seed))
    labels = np.zeros(count, np.int64)
    return ImageList(str(folder), "folder", paths, labels, (_WNID,), "train")


def again_and_again(images: ImageList, rows: int) -> ImageList:
    """The images of a list in their order, from the start again after the last: `rows` in all."""
    order = np.arange(rows) % len(images)
    spans = None if images.spans is None else images.spans[order]
    return replace(
        images, paths=_at(images.paths, order.tolist()), labels=images.labels[order], spans=spans
    )


def _at(paths: Sequence[str], order: Sequence[int]) -> tuple[str, ...]:
    return tuple(paths[row] for row in order)
