"""What decoding prints on stderr: nothing of its own, and all that others print there."""

from __future__ import annotations

import ctypes
import io
import logging
import os
import sys

import numpy as np
import pytest
from PIL import Image

from cog.datasets.check.image import check_image
from cog.images.jpeg_library import jpeg_library

noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))


def encode(kind: str, **options: object) -> bytearray:
    file = io.BytesIO()
    noise.save(file, kind, **options)
    return bytearray(file.getvalue())


def broken_jpeg() -> bytes:
    """libjpeg reads it, and says: Corrupt JPEG data."""
    data = encode("JPEG")
    data[-300:-200] = b""
    return bytes(data)


def broken_tiff() -> bytes:
    """libtiff does not read it, and says why."""
    data = encode("TIFF", compression="tiff_adobe_deflate")
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    return bytes(data)


def many_samples() -> bytes:
    """Pillow logs an error."""
    data = encode("TIFF")
    samples = data.index(b"\x15\x01\x03\0\1\0\0\0")
    data[samples + 8] = 49
    return bytes(data)


def odd_exif() -> bytes:
    """Pillow warns of its EXIF."""
    return bytes(encode("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0" * 9))


def cut_pages() -> bytes:
    file = io.BytesIO()
    noise.save(file, "TIFF", save_all=True, append_images=[noise, noise])
    return file.getvalue()[: len(file.getvalue()) * 2 // 5]


@pytest.mark.skipif(sys.platform != "linux", reason="about the loaded libraries of Linux")
@pytest.mark.parametrize("draw", [broken_jpeg, broken_tiff, many_samples, odd_exif, cut_pages])
@pytest.mark.filterwarnings("error")
def test_damaged_images_print_nothing(draw, capfd: pytest.CaptureFixture[str]) -> None:
    if draw is broken_jpeg and jpeg_library().name == "torchvision":
        pytest.skip("torchvision's libjpeg prints, which is why simplejpeg is tried first")
    check_image("a.jpg", draw())
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="about the loaded libraries of Linux")
def test_what_others_print_on_stderr_is_seen(capfd: pytest.CaptureFixture[str]) -> None:
    check_image("a.jpg", broken_jpeg())
    libc = ctypes.CDLL(None)
    stderr = ctypes.c_void_p.in_dll(libc, "stderr")
    libc.fprintf(stderr, b"of C\n")
    libc.fflush(stderr)
    print("of Python", file=sys.__stderr__, flush=True)
    os.write(2, b"of the process\n")
    assert {"of C", "of the process"} <= set(capfd.readouterr().err.splitlines())


def test_without_handlers_the_log_of_pillow_goes_nowhere() -> None:
    handlers = logging.getLogger("PIL").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
    assert logging.getLogger("PIL").propagate
