"""Which library decodes plain JPEGs: the first that is there and gives the bits that Pillow gives.

- simplejpeg, which brings libjpeg-turbo and needs nothing but numpy;
- torchvision's operator: it is to leave torchvision, whose successor torchcodec turns images as
  their EXIF says;
- Pillow, where neither is there: the same pixels, but slower.

Before a library is used it decodes two small images, and its pixels must be Pillow's: so features
do not depend on the library. The first two do not hold the interpreter's lock. simplejpeg refuses
each damaged image; torchvision reads some of them, as Pillow does, and prints a line on stderr.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import PIL
import torch
from PIL import Image, features

Decode = Callable[[bytes], torch.Tensor]
"""encoded bytes to pixels uint8 [3, h, w]; ValueError or RuntimeError where they are damaged"""

RGB = 3  # of torchvision's ImageReadMode
PILLOW_COSTS = 1.5  # times an image of 500 × 375, decoded and resized: benchmarks/jpeg.py


@dataclass(frozen=True)
class JpegLibrary:
    """A library that decodes plain JPEGs; without `decode` it is Pillow."""

    name: str
    version: str
    decode: Decode | None


def _with_simplejpeg() -> Decode:
    from simplejpeg import decode_jpeg

    return lambda data: torch.from_numpy(decode_jpeg(data)).permute(2, 0, 1)


def _with_torchvision() -> Decode:
    """By the operator: torchvision.io.decode_jpeg of 0.29 always warns."""
    import torchvision  # noqa: F401  # registers it

    operator = torch.ops.image.decode_jpeg.default

    def decode(data: bytes) -> torch.Tensor:
        buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)  # bytes would warn
        pixels: torch.Tensor = operator(buffer, RGB, False)
        return pixels

    return decode


LIBRARIES = {"simplejpeg": _with_simplejpeg, "torchvision": _with_torchvision}


@functools.cache
def jpeg_library() -> JpegLibrary:
    """The library that decodes plain JPEGs in this process."""
    for name, load in LIBRARIES.items():
        try:
            decode = load()
            if _is_exact(decode):
                return JpegLibrary(name, metadata.version(name), decode)
        except Exception:  # what is missing or broken may raise anything
            continue
    return JpegLibrary("pillow", PIL.__version__, None)


def _is_exact(decode: Decode) -> bool:
    """Whether the pixels of two small images, of one scan and of many, are those of Pillow."""
    levels = np.random.default_rng(0).integers(0, 256, (21, 35, 3), np.uint8)
    for progressive in (False, True):
        file = io.BytesIO()
        Image.fromarray(levels).save(file, "JPEG", progressive=progressive)
        theirs = np.array(Image.open(file).convert("RGB")).transpose(2, 0, 1)
        if not np.array_equal(decode(file.getvalue()).numpy(), theirs):
            return False
    return True


def library_note() -> str:
    """What the user should know of the library; empty if it is the first."""
    library = jpeg_library()
    if library.name == next(iter(LIBRARIES)):
        return ""
    missing = " and ".join(list(LIBRARIES)[: 1 if library.decode else None])
    slower = "" if library.decode else f", about {PILLOW_COSTS} times as slowly"
    return (
        f"without a decoder of {missing}, {library.name} {library.version} decodes JPEGs, to the "
        f"same pixels{slower} (pip install simplejpeg)"
    )


def decoding_libraries() -> dict[str, str]:
    """For run.json: what decodes plain JPEGs, and the Pillow that decodes all other images."""
    library = jpeg_library()
    turbo = features.version("libjpeg_turbo")
    return {
        "decoder of JPEGs": f"{library.name} {library.version}",
        "pillow": PIL.__version__ + (f", with libjpeg-turbo {turbo}" if turbo else ""),
    }
