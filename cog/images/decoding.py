"""Encoded images to pixels: exactly what Pillow's `convert("RGB")` gives, and mostly faster.

- torchvision decodes a plain JPEG, which nearly every image is. It uses the same library as Pillow,
  gives the same bits, and does not hold the interpreter's lock. If it fails, Pillow tries too.
- Pillow decodes all else: 16-bit, CMYK, BMP, TIFF and the like because torchvision cannot read them
  or reads them differently, PNG because a damaged one ends the process in torchvision (0.29).
- EXIF orientation is ignored, as in the official code.

Two other decoders can be chosen for plain JPEGs: `pillow`, and `nvjpeg` on the GPU, whose pixels
differ a little.
"""

from __future__ import annotations

import io
import threading
import warnings
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torchvision.io import ImageReadMode

from cog.errors import CogError, unknown_name

DECODERS = ("torchvision", "pillow", "nvjpeg")
DEFAULT_DECODER = "torchvision"
MAX_PIXELS = 178_956_970  # Pillow refuses more as a decompression bomb
MAX_ASPECT = 1000  # with its short side at 224, a longer strip would take as much memory

# Pillow opens more, some of it by starting other programs: EPS would run Ghostscript.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000")

_QUIET = threading.Lock()  # warning filters belong to the process, not to a thread


class Unreadable(Exception):
    """The bytes are not an image that can be read; the text says why, equal for equal bytes."""


class JpegFrame(NamedTuple):
    """The header of a JPEG; `kind` is the second byte of its SOF marker."""

    kind: int
    bits: int
    height: int
    width: int
    channels: int


def check_decoder(name: str) -> None:
    """Refuse, by a CogError, a decoder that is unknown or that cannot work on this machine."""
    if name not in DECODERS:
        raise unknown_name("decoder", name, DECODERS)
    if name == "nvjpeg":
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(file, "JPEG")
        try:
            _decode_with_nvjpeg(file.getvalue())
        except (RuntimeError, AttributeError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            raise CogError(
                f"the decoder nvjpeg needs CUDA and a torchvision built with nvJPEG: {reason}",
                f"give --decoder {DEFAULT_DECODER}",
            ) from error


def decode(data: bytes, decoder: str = DEFAULT_DECODER) -> torch.Tensor:
    """Pixels uint8 [3, h, w] of an encoded image, as Pillow's `convert("RGB")` gives them.

    Safe to call from several threads. Call `check_decoder` first for a decoder that a user chose.

    Raises:
        Unreadable: empty, cut off, damaged, not an image, or far too large.
    """
    if not data:
        raise Unreadable("empty file")
    frame = jpeg_frame(data)
    if decoder != "pillow" and frame is not None and is_plain(frame):
        _refuse_size(frame.height, frame.width)
        quick = _decode_with_nvjpeg if decoder == "nvjpeg" else _decode_with_torchvision
        try:
            return quick(data)
        except (RuntimeError, AttributeError):
            pass  # damaged, or a torchvision without its decoder: Pillow decides
    return _decode_with_pillow(data)


def _decode_with_torchvision(data: bytes) -> torch.Tensor:
    """Pixels of a plain JPEG, by the operator: torchvision.io.decode_jpeg of 0.29 always warns."""
    buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)  # a tensor of bytes would warn
    pixels: torch.Tensor = torch.ops.image.decode_jpeg(buffer, ImageReadMode.RGB.value, False)
    return pixels


def _decode_with_nvjpeg(data: bytes) -> torch.Tensor:
    """Pixels of a plain JPEG, decoded on the current GPU and fetched back to be resized."""
    buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    found: list[torch.Tensor] = torch.ops.image.decode_jpegs_cuda(
        [buffer], ImageReadMode.RGB.value, torch.device("cuda")
    )
    return found[0].cpu()


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """The frame header of a JPEG, or None for anything else.

    >>> jpeg_frame(bytes.fromhex("ffd8 ffc0 0011 08 0177 01f4 03 012200 021101 031101"))
    JpegFrame(kind=192, bits=8, height=375, width=500, channels=3)
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == 0xFF:  # a fill byte
            at += 1
        elif 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = (int.from_bytes(data[at + i : at + i + 2]) for i in (5, 7))
            return JpegFrame(kind, data[at + 4], height, width, data[at + 9])
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def is_plain(frame: JpegFrame) -> bool:
    """Whether torchvision reads it as Pillow does: 8-bit Huffman, and neither CMYK nor YCCK."""
    return (
        frame.kind in (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
        and frame.bits == 8
        and frame.channels in (1, 3)
        and frame.height > 0  # 0 if the height comes after the first scan
    )


def _refuse_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise Unreadable(f"{width} × {height} pixels: more than {MAX_PIXELS:,}")
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise Unreadable(f"{width} × {height} pixels: {MAX_ASPECT:,} times as long as wide")


def _decode_with_pillow(data: bytes) -> torch.Tensor:
    try:
        with _QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about size and metadata
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _refuse_size(image.height, image.width)
            if image.format == "TIFF":  # load parses its metadata again, and may warn
                image.load()
        image.load()
        image.info.pop("transparency", None)  # convert would warn about it; RGB does not change
        pixels = np.array(image.convert("RGB"))
    except (Unreadable, MemoryError):
        raise
    except UnidentifiedImageError as error:  # its text has an address in memory
        raise Unreadable("not an image in a known format") from error
    except Exception as error:  # Pillow raises nearly anything for damaged files
        raise Unreadable(" ".join(str(error).split()) or type(error).__name__) from error
    return torch.from_numpy(pixels).permute(2, 0, 1)
