"""What is odd about one encoded image, and how the decoder reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from PIL import Image

from cog.images.decoding import decode_for, opened, quiet_pillow
from cog.images.headers import jpeg_frame
from cog.images.limits import BoundedReads, Unreadable
from cog.images.listing import IMAGE_FORMATS
from cog.images.truncated import READ, pillow_reads_truncated

HUGE_PIXELS = 50_000_000  # 150 MB of pixels; the decoder itself refuses more than 3.5 times that
TINY_SIDE = 32  # pixels; a crop of 224 enlarges it seven times
READS = 20_000  # of a file, to count its pages: some thousand
BYTES_A_READ = 64  # and more of a large GIF, which is read in pieces of 255 bytes


class Oddity(NamedTuple):
    """`finding` is unreadable, truncated or odd; `detail` says why, and how the image is read."""

    finding: str
    detail: str


def check_image(name: str, data: bytes, truncated: str = READ) -> list[Oddity]:
    """What is unreadable or odd about an encoded image with that file name; mostly nothing.

    Decodes it as for a network. Safe to call from several threads.

    >>> check_image("a.jpg", b"")
    [Oddity(finding='unreadable', detail='empty file')]
    """
    try:
        shape, cut_off = decode_for(lambda pixels: pixels.shape, data, truncated=truncated)
    except Unreadable as error:
        return [Oddity("unreadable", str(error))]
    _, height, width = shape
    found = [Oddity("odd", odd) for odd in _of_content(name, data)]
    if min(height, width) < TINY_SIDE:
        found.insert(0, Oddity("odd", f"tiny, a side under {TINY_SIDE} pixels"))
    if height * width > HUGE_PIXELS:
        found.insert(0, Oddity("odd", f"huge, more than {HUGE_PIXELS / 1e6:.0f} million pixels"))
    if cut_off:
        found.insert(0, Oddity("truncated", f"{cut_off}, what is missing filled"))
    return [Oddity(kind, f"{detail}, read as {width} × {height} RGB") for kind, detail in found]


def _of_content(name: str, data: bytes) -> Iterator[str]:
    """What the header says; a plain JPEG, which nearly every image is, is not opened again."""
    frame = jpeg_frame(data)
    more: list[str] = []
    if frame is not None and b"Exif\0\0" not in data[:65_536] and b"MPF\0" not in data[:65_536]:
        kind, cmyk, bits = "JPEG", frame.channels == 4, frame.bits
    else:
        try:
            with opened(data, read_truncated=True) as image, pillow_reads_truncated(True):
                kind = {"DIB": "BMP", "MPO": "JPEG"}.get(str(image.format), str(image.format))
                cmyk = image.mode == "CMYK"
                bits = _bits(image.mode) if kind != "PNG" else data[24]  # read as 8 if coloured
                more += [*_of_pages(image, len(data)), *_of_exif(image, len(data))]
        except Unreadable as error:  # though it could be decoded
            yield f"of a kind that cannot be told ({error})"
            return
    if cmyk:
        yield "CMYK, by Pillow's way to RGB"
    if bits > 8:
        yield f"{bits} bits a channel, by Pillow's way to 8"
    yield from more
    suffix = name.rpartition(".")[2]
    if IMAGE_FORMATS.get(suffix.lower(), kind) != kind:
        yield f"wrong suffix, a {kind} called .{suffix}"


def _bits(mode: str) -> int:
    """Bits a channel, by Pillow's mode."""
    return {"I": 32, "F": 32}.get(mode, 16 if mode.startswith("I;16") else 8)


def _of_pages(image: Image.Image, size: int) -> Iterator[str]:
    """How many pages or frames there are, if several; counting may fail or take too long."""
    try:
        with _telling(image, size):
            pages = int(getattr(image, "n_frames", 1))
    except Exception as error:  # Pillow raises nearly anything for damaged files
        yield f"of several pages, which cannot be counted ({_reason(error)}), the first"
    else:
        if pages > 1:
            yield f"animated or of several pages, the first of {pages}"


def _of_exif(image: Image.Image, size: int) -> Iterator[str]:
    """How EXIF says to turn the image."""
    try:
        with _telling(image, size):
            turn = image.getexif().get(0x0112, 1)
    except Exception as error:  # as for pages
        yield f"EXIF that cannot be read ({_reason(error)})"
    else:
        if turn in range(2, 9):
            yield f"EXIF says to turn it (orientation {turn}), as stored and not turned"


@contextmanager
def _telling(image: Image.Image, size: int) -> Iterator[None]:
    """Pillow without warnings, and with bounded reads of a file of `size` bytes."""
    file = getattr(image, "fp", None)
    if isinstance(file, BoundedReads):
        file.left = READS if image.format == "TIFF" else READS + size // BYTES_A_READ
    with quiet_pillow():
        yield


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
