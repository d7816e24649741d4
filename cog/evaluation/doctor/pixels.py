"""Whether pixels are those of Pillow, and those of a device that resizes are those of the CPU.

Each comparison is a function of its own, from which a `Check` is made; the tests of tests/gpu use
the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cog.errors import CogError
from cog.evaluation.doctor.checks import Check, not_tried, tried
from cog.images.decoding import check_decoder
from cog.images.nvjpeg import NVJPEG
from cog.images.packed import Packed
from cog.images.packing import Part, slot_bytes
from cog.images.preprocess import Preprocess
from cog.images.truncated import READ

PIXELS = 2  # of 255: at most, as Preprocess says; of nvJPEG, which smooths colours less, on average


def check_decoded(files: Sequence[bytes], preprocess: Preprocess) -> Check:
    """The pixels of the default decoder against Pillow's, resized and cropped."""
    return _check_pixels(
        "pixels, decoded quickly",
        "Pillow's",
        lambda: pixels_apart(loaded(files, preprocess), loaded(files, preprocess, "pillow")),
    )


def check_resized(
    files: Sequence[bytes], preprocess: Preprocess, device: torch.device, decoder: str
) -> Check:
    """The pixels that a device resizes, and perhaps decodes, against those of the CPU."""
    name, other = f"pixels, resized on {device.type}", "those resized when decoded"
    if decoder == NVJPEG:
        name = "pixels, nvjpeg"
        if device.type != "cuda":
            return not_tried(name, _words(other, True), "no GPU")
        try:
            check_decoder(NVJPEG)
        except CogError as error:
            return not_tried(name, _words(other, True), error.what)

    def apart() -> Apart:
        found = resized_there(files, preprocess, device, decoder)
        return pixels_apart(found, loaded(files, preprocess))

    return _check_pixels(name, other, apart, on_average=decoder == NVJPEG)


def _words(other: str, on_average: bool) -> str:
    return f"{other}, {'on average ' if on_average else ''}within {PIXELS} of 255"


def _check_pixels(
    name: str, other: str, compare: Callable[[], Apart], on_average: bool = False
) -> Check:
    words = _words(other, on_average)

    def check() -> Check:
        apart = compare()
        return Check(
            name,
            (apart.mean if on_average else apart.most) <= PIXELS,
            words,
            f"{apart.most:.0f} at most, {apart.mean:.3f} on average",
            "give --decoder pillow, and leave --resize-on at cpu; look at the versions of "
            "Pillow and torch, and at the driver",
        )

    return tried(name, words, check)


def loaded(files: Sequence[bytes], preprocess: Preprocess, *decoder: str) -> Tensor:
    """Uint8 [n, 3, H, W] of encoded images, resized on the CPU."""
    return torch.stack([preprocess.load(data, *decoder) for data in files])


def resized_there(
    files: Sequence[bytes], preprocess: Preprocess, device: torch.device, decoder: str
) -> Tensor:
    """The same, resized on a device, as `--resize-on device` does."""
    geometry = preprocess.geometry
    count, geometries = len(files), [geometry]
    slot = np.zeros(slot_bytes(count, geometries), np.uint8)
    part = Part(slot, count, slice(0, count), geometries, decoder, READ)
    for row, data in enumerate(files):
        part.put(row, data)
    packed = Packed(torch.from_numpy(slot), count, count, geometries, READ)
    return packed.on(device, lambda tensor: tensor.to(device)).pixels[geometry].cpu()


@dataclass(frozen=True)
class Apart:
    """By how many of 255 pixels differ."""

    most: float
    mean: float


def pixels_apart(found: Tensor, expected: Tensor) -> Apart:
    """By how many of 255 pixels differ from those that were expected."""
    apart = (found.float() - expected.float()).abs()
    return Apart(float(apart.max()), float(apart.mean()))
