"""What is odd about one encoded image, and how the decoder reads it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from cog.images.decoding import FORMATS, Unreadable, decode, jpeg_frame
from cog.images.listing import IMAGE_FORMATS

HUGE_PIXELS = 50_000_000  # 150 MB of pixels; the decoder itself refuses more than 3.5 times that
TINY_SIDE = 32  # pixels; a crop of 224 enlarges it seven times


class Oddity(NamedTuple):
    """`finding` is unreadable or odd; `detail` says why, and how the image is read."""

    finding: str
    detail: str


def check_image(name: str, data: bytes) -> list[Oddity]:
    """What is unreadable or odd about an encoded image with that file name; mostly nothing.

    Decodes it as for a network. Safe to call from several threads.

    >>> check_image("a.jpg", b"")
    [Oddity(finding='unreadable', detail='empty file')]
    """
    try:
        pixels = decode(data)
    except Unreadable as error:
        return [Oddity("unreadable", str(error))]
    height, width = pixels.shape[1:]
    found = [*_of_content(name, data)]
    if min(height, width) < TINY_SIDE:
        found.insert(0, f"tiny, a side under {TINY_SIDE} pixels")
    if height * width > HUGE_PIXELS:
        found.insert(0, f"huge, more than {HUGE_PIXELS / 1e6:.0f} million pixels")
    return [Oddity("odd", f"{odd}, read as {width} × {height} RGB") for odd in found]


def _of_content(name: str, data: bytes) -> Iterator[str]:
    """What the header says; a plain JPEG, which nearly every image is, is not opened again."""
    suffix = name.rpartition(".")[2]
    frame = jpeg_frame(data)
    turn, pages = 1, 1
    if frame is not None and b"Exif\0\0" not in data[:65_536] and b"MPF\0" not in data[:65_536]:
        kind, cmyk, bits = "JPEG", frame.channels == 4, frame.bits
    else:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            kind = {"DIB": "BMP", "MPO": "JPEG"}.get(str(image.format), str(image.format))
            cmyk = image.mode == "CMYK"
            bits = {"I": 32, "F": 32}.get(image.mode, 16 if image.mode.startswith("I;16") else 8)
            if kind == "PNG":
                bits = data[24]  # Pillow reads colours as 8 bits
            pages = getattr(image, "n_frames", 1)
            turn = image.getexif().get(0x0112, 1)
    if cmyk:
        yield "CMYK, by Pillow's way to RGB"
    if bits > 8:
        yield f"{bits} bits a channel, by Pillow's way to 8"
    if pages > 1:
        yield f"animated or of several pages, the first of {pages}"
    if turn in range(2, 9):
        yield f"EXIF says to turn it (orientation {turn}), as stored and not turned"
    if IMAGE_FORMATS.get(suffix.lower(), kind) != kind:
        yield f"wrong suffix, a {kind} called .{suffix}"
