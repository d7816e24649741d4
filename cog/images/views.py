"""Augmented views of an image: random resized crops, half of them flipped, as networks are trained.

In: a decoded image, its path, a geometry. Out: uint8 [1 + A, 3, H, W], its centre crop and A views.

- A view is drawn by a generator of (the image's path, the view's number): the order of images, the
  number of views, restarts and workers do not change it.
- A crop has 8 % to 100 % of the image's area and sides in a ratio of 3/4 to 4/3; ten are tried for
  one that lies within the image, else it is the largest centred one within these ratios.
Source: torchvision's RandomResizedCrop and RandomHorizontalFlip with their defaults, as the linear
probes of MoCo, DINO and MAE have them; with the same numbers drawn, the pixels are theirs.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cog.images.decoding import DEFAULT_DECODER
from cog.images.preprocess import Preprocess, resize

AREA = (0.08, 1.0)  # of the image, of a crop
RATIO = (3 / 4, 4 / 3)  # width by height, drawn log-uniformly
TRIES = 10
FLIPPED = 0.5
MOST_VIEWS = 63  # with the centre crop they make a batch of the default size on a CPU


@dataclass(frozen=True)
class View:
    """A part of an image in pixels, and whether it is flipped from left to right."""

    top: int
    left: int
    height: int
    width: int
    flipped: bool


def describe_views(count: int) -> dict[str, Any]:
    """What decides the views of images, ready for JSON; it enters the fingerprint of features."""
    return {"count": count, "area": list(AREA), "ratio": list(RATIO), "flipped": FLIPPED}


def draw_view(path: str, number: int, height: int, width: int) -> View:
    """The view of a number, from 0 up, of the image of a path and a size in pixels.

    >>> draw_view("n02123045/n02123045_1.jpg", 0, 375, 500)
    View(top=13, left=96, height=348, width=336, flipped=True)
    """
    digest = hashlib.sha256(path.encode()).digest()
    rng = np.random.default_rng([*np.frombuffer(digest, "<u4").tolist(), number])
    top, left, high, wide = _draw_crop(rng, height, width)
    return View(top, left, high, wide, bool(rng.random() < FLIPPED))


def _draw_crop(rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop."""
    for _ in range(TRIES):
        area = height * width * rng.uniform(*AREA)
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            top = int(rng.integers(0, height - high + 1))
            return top, int(rng.integers(0, width - wide + 1)), high, wide
    low, most = RATIO
    wide = min(width, max(1, round(height * most)))
    high = min(height, max(1, round(width / low)))
    return (height - high) // 2, (width - wide) // 2, high, wide


def view_pixels(
    image: torch.Tensor, view: View, geometry: Preprocess, decoder: str = DEFAULT_DECODER
) -> NDArray[np.uint8]:
    """A view of uint8 [3, h, w], resized to what the geometry gives: uint8 [3, H, W]."""
    part = image[:, view.top : view.top + view.height, view.left : view.left + view.width]
    _, height, width = geometry.shape
    resized = resize(part, (height, width), geometry.interpolation, decoder)
    return resized[:, :, ::-1] if view.flipped else resized


def put_views(
    image: torch.Tensor, path: str, geometry: Preprocess, decoder: str, out: NDArray[np.uint8]
) -> None:
    """Write the centre crop of uint8 [3, h, w] and its views to `out`, uint8 [1 + A, 3, H, W]."""
    geometry.pixels(image, decoder, out=out[0])
    for number in range(len(out) - 1):
        view = draw_view(path, number, *image.shape[1:])
        np.copyto(out[1 + number], view_pixels(image, view, geometry, decoder))
