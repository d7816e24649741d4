"""Encoded images to pixels: exactly what Pillow's `convert("RGB")` gives, and mostly faster.

- A plain JPEG, which nearly every image is, is decoded by a library that gives the same bits as
  Pillow in less time (cog/images/jpeg_library.py). If it fails, Pillow tries too.
- Pillow decodes all else: CMYK, PNG, BMP, TIFF and the like.
- An image is truncated if Pillow reads it with its switch LOAD_TRUNCATED_IMAGES alone: cut off, or
  broken inside. Then its pixels are those that Pillow gives with the switch, as in the official
  code: what is missing is grey, black, or as in the row above, as the format has it.
- EXIF orientation is ignored, as in the official code.
- An image that would take far too much time or memory is unreadable (cog/images/limits.py).

Two other decoders can be chosen for plain JPEGs: `pillow`, and `nvjpeg` on the GPU, whose pixels
differ a little. nvJPEG decodes whole batches (cog/images/nvjpeg.py); here it is the default. That
is called `torchvision`, for its pixels are those of torchvision's decoder and of its resizing of
tensors, whichever library decodes.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from cog.errors import unknown_name
from cog.images.headers import JpegFrame, is_plain, jpeg2000_block, jpeg_frame, webp_size
from cog.images.jpeg_library import jpeg_library, library_note
from cog.images.limits import (
    OF_BLOCK,
    OF_JPEG2000,
    OF_JPEG_SCANS,
    OF_PILLOW,
    OF_PLAIN_JPEG,
    OF_WEBP,
    ROOM,
    BoundedReads,
    TooCostly,
    Unreadable,
    memory_of,
    refuse_scans,
)
from cog.images.nvjpeg import NVJPEG, check_nvjpeg, nvjpeg_note
from cog.images.pillow_simd import simd_note
from cog.images.quiet import silence_pillow
from cog.images.truncated import READ, REFUSE, pillow_reads_truncated

DECODERS = ("torchvision", "pillow", NVJPEG)
DEFAULT_DECODER = "torchvision"

# Pillow opens more, some of it by starting other programs: EPS would run Ghostscript.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000")

TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF
_QUIET = threading.Lock()  # warning filters belong to the process, not to a thread
T = TypeVar("T")

silence_pillow()


def check_decoder(name: str) -> None:
    """Refuse, by a CogError, a decoder that is unknown or that cannot work on this machine."""
    if name not in DECODERS:
        raise unknown_name("decoder", name, DECODERS)
    if name == NVJPEG:
        check_nvjpeg()


def decoder_note(name: str, resizes: bool = True) -> str:
    """What the user should know of a decoder on this machine; mostly nothing, which is empty.

    `resizes`: whether Pillow resizes what it decodes itself.
    """
    if name == "pillow":
        return simd_note() if resizes else ""
    return (nvjpeg_note() if name == NVJPEG else "") or library_note()


def decode(data: bytes, decoder: str = DEFAULT_DECODER, truncated: str = READ) -> torch.Tensor:
    """Pixels uint8 [3, h, w] of an encoded image, as Pillow's `convert("RGB")` gives them.

    Safe to call from several threads. Call `check_decoder` first for a decoder that a user chose.

    Raises:
        Unreadable: as `decode_for` does.
    """
    return decode_for(lambda pixels: pixels, data, decoder, truncated)[0]


def decode_for(
    use: Callable[[torch.Tensor], T],
    data: bytes,
    decoder: str = DEFAULT_DECODER,
    truncated: str = READ,
) -> tuple[T, str]:
    """What `use` makes of the pixels, and why the image is truncated: empty if it is whole.

    The memory of the pixels counts while `use` runs: other threads may wait for it.

    Raises:
        Unreadable: empty, damaged, not an image, or too costly; or truncated, if `truncated` is
            `refuse`.
    """
    if not data:
        raise Unreadable("empty file")
    frame = jpeg_frame(data)
    if frame is not None:
        _refuse_scans(frame, data)
        if decoder != "pillow" and is_plain(frame):
            found = _use_plain(use, data, frame)
            if found is not None:
                return found
    try:
        return _decode_with_pillow(use, data), ""
    except Unreadable as error:
        if truncated == REFUSE or isinstance(error, TooCostly):
            raise
        why = error
    try:
        return _decode_with_pillow(use, data, read_truncated=True), str(why)
    except Unreadable as error:
        raise (error if isinstance(error, TooCostly) else why) from None


def _use_plain(
    use: Callable[[torch.Tensor], T], data: bytes, frame: JpegFrame
) -> tuple[T, str] | None:
    """What `use` makes of a plain JPEG; None if that is damaged."""
    a_pixel = OF_PLAIN_JPEG if frame.one_scan else OF_JPEG_SCANS
    with ROOM.take(memory_of(frame.height, frame.width, a_pixel)):
        pixels = _decode_quickly(data)
        return None if pixels is None else (use(pixels), "")


def _refuse_scans(frame: JpegFrame, data: bytes) -> None:
    """Refuse a JPEG of too many scans. A 0xFF in image data has a 0 behind it, so scans count."""
    if not frame.one_scan:
        octets = np.frombuffer(data, np.uint8)
        scans = np.count_nonzero((octets[:-1] == 0xFF) & (octets[1:] == 0xDA))
        refuse_scans(int(scans), frame.height, frame.width)


def _decode_quickly(data: bytes) -> torch.Tensor | None:
    """Pixels of a plain JPEG; None if it is damaged, or no library is there but Pillow."""
    library = jpeg_library()
    try:
        return library.decode(data) if library.decode else None
    except (RuntimeError, ValueError):
        return None


def _decode_with_pillow(
    use: Callable[[torch.Tensor], T], data: bytes, read_truncated: bool = False
) -> T:
    with opened(data, read_truncated) as image:
        with _pillow(read_truncated):
            pixels = _load(image)
        return use(pixels)


@contextmanager
def opened(data: bytes, read_truncated: bool) -> Iterator[Image.Image]:
    """An image of one of `FORMATS`, opened by Pillow without warnings, and not loaded.

    The memory that it takes when it is loaded counts from now.

    Raises:
        Unreadable: it cannot be opened, or is too costly.
    """
    canvas = webp_size(data)  # made when the file is opened
    with ROOM.take(memory_of(*canvas, OF_WEBP) if canvas else 0):
        with _pillow(read_truncated), quiet_pillow():
            image = Image.open(BoundedReads(data), formats=FORMATS)
        with ROOM.take(_memory_of_opened(image, data)):
            yield image


@contextmanager
def _pillow(read_truncated: bool) -> Iterator[None]:
    """Pillow with its switch; whatever it raises becomes Unreadable."""
    try:
        with pillow_reads_truncated(read_truncated):
            yield
    except (Unreadable, MemoryError):
        raise
    except UnidentifiedImageError as error:  # its text has an address in memory
        raise Unreadable("not an image in a known format") from error
    except Exception as error:  # Pillow raises nearly anything for damaged files
        raise Unreadable(" ".join(str(error).split()) or type(error).__name__) from error


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """A context without the warnings of Pillow, which are about size and metadata."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _memory_of_opened(image: Image.Image, data: bytes) -> int:
    """Bytes that an opened image will take; a WebP has them already."""
    memory = memory_of(image.height, image.width, _a_pixel(image, data))
    tags = getattr(image, "tag_v2", {})
    length, width = (tags.get(tag) for tag in (TILE_LENGTH, TILE_WIDTH))
    if isinstance(length, int) and isinstance(width, int):  # of a TIFF: one may be larger than it
        memory = max(memory, memory_of(length, width, OF_PILLOW))
    file = getattr(image, "fp", None)
    if image.format in ("BMP", "DIB") and isinstance(file, BoundedReads):
        file.left += 2 * image.height * image.width  # compressed, each run is a read
    return 0 if image.format == "WEBP" else memory


def _a_pixel(image: Image.Image, data: bytes) -> int:
    """Bytes that a pixel of an opened image takes while it is decoded."""
    if image.format == "JPEG2000":
        return OF_JPEG2000 + len(image.getbands()) * OF_BLOCK // jpeg2000_block(data)
    return OF_PILLOW


def _load(image: Image.Image) -> torch.Tensor:
    """The pixels of an opened image."""
    if image.format == "TIFF":  # load parses its metadata again, and may warn
        with quiet_pillow():
            image.load()
    image.load()
    image.info.pop("transparency", None)  # convert would warn about it; RGB does not change
    rgb = image if image.mode == "RGB" else image.convert("RGB")  # which would copy RGB
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)
