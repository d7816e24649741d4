"""The libraries that decode plain JPEGs: equal to Pillow to the bit, or not used."""

from __future__ import annotations

import io
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cog.images import jpeg_library as module
from cog.images.decoding import decode, decoder_note
from cog.images.headers import is_plain, jpeg_frame
from cog.images.jpeg_library import LIBRARIES, decoding_libraries, jpeg_library, library_note

SIZES = [(1, 1), (7, 3), (8, 8), (16, 16), (17, 33), (61, 85), (2, 501)]
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turn by 90 degrees
KINDS: dict[str, dict[str, object]] = {
    "4:2:0": {},
    "4:2:2": {"subsampling": 1},
    "4:4:4": {"subsampling": 0},
    "quality 100": {"quality": 100},
    "RGB inside": {"keep_rgb": True},
    "restart markers": {"restart_marker_blocks": 1},
    "EXIF says turn": {"exif": EXIF},
}


def photo(height: int, width: int) -> Image.Image:
    rng = np.random.default_rng([height, width])
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 5) > 0], axis=-1)
    levels = 127 + 90 * waves + rng.normal(0, 8, (height, width, 3))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Callable[[bytes], torch.Tensor]:
    if request.param == "simplejpeg":
        pytest.importorskip("simplejpeg")
    return LIBRARIES[request.param]()


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Takes libraries away, for a test."""

    def take_away(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)
        jpeg_library.cache_clear()

    yield take_away
    monkeypatch.undo()
    jpeg_library.cache_clear()


@pytest.mark.parametrize("progressive", [False, True])
def test_every_library_gives_pillows_bits(library, progressive: bool) -> None:
    for size in SIZES:
        image = photo(*size)
        files = [encode(image, progressive=progressive, **options) for options in KINDS.values()]
        files.append(encode(image.convert("L"), progressive=progressive))
        for data in files:
            pixels = library(data)
            assert pixels.dtype == torch.uint8
            np.testing.assert_array_equal(pixels.numpy(), by_pillow(data))


def test_what_a_library_reads_of_damaged_files_is_what_pillow_reads(library) -> None:
    rng = np.random.default_rng(0)
    seeds = [
        encode(photo(40, 56), progressive=each, quality=q) for each in (0, 1) for q in (60, 95)
    ]
    read = refused = 0
    for number in range(400):
        data = bytearray(seeds[number % 4])
        at, size = int(rng.integers(2, len(data))), int(rng.integers(1, 40))
        data[at : at + size] = (b"", bytes(size), rng.bytes(size), rng.bytes(3))[number // 4 % 4]
        frame = jpeg_frame(bytes(data))
        if frame is None or not is_plain(frame) or frame.height * frame.width > 10**6:
            continue
        try:
            pixels = library(bytes(data))
        except (ValueError, RuntimeError):
            refused += 1
        else:
            read += 1
            np.testing.assert_array_equal(pixels.numpy(), by_pillow(bytes(data)))
    assert read > 9
    assert refused > 9


def test_a_library_lets_other_threads_run(library) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (1000, 1500, 3), np.uint8)
    data = encode(Image.fromarray(levels), quality=95)
    thread = threading.Thread(target=library, args=(data,))
    thread.start()
    turns = 0
    while thread.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns >= 5  # it takes about 50 ms; with the lock held there is one turn


def test_without_the_first_library_the_next_decodes_and_the_run_says_so(without) -> None:
    without("simplejpeg")
    assert jpeg_library().name == "torchvision"
    assert "without a decoder of simplejpeg, torchvision" in library_note()
    assert decoding_libraries()["decoder of JPEGs"].startswith("torchvision ")
    assert decoder_note("torchvision") == library_note()
    data = encode(photo(61, 85))
    np.testing.assert_array_equal(decode(data).numpy(), by_pillow(data))


@pytest.mark.parametrize("gone", ["torchvision", "operator"])
def test_without_any_library_pillow_decodes_and_the_run_says_so(
    gone: str, without, monkeypatch: pytest.MonkeyPatch
) -> None:
    without("simplejpeg", *(["torchvision"] if gone == "torchvision" else []))
    if gone == "operator":
        monkeypatch.setattr(torch.ops, "image", torch.ops.no_such_library)
    assert jpeg_library().name == "pillow"
    note = library_note()
    assert "without a decoder of simplejpeg and torchvision, pillow" in note
    assert "times as slowly (pip install simplejpeg)" in note
    data = encode(photo(61, 85))
    np.testing.assert_array_equal(decode(data).numpy(), by_pillow(data))


def test_a_library_of_other_pixels_is_not_used(without, monkeypatch: pytest.MonkeyPatch) -> None:
    def other() -> Callable[[bytes], torch.Tensor]:
        return lambda data: torch.from_numpy(by_pillow(data) ^ 1)

    without()
    monkeypatch.setattr(module, "LIBRARIES", {"simplejpeg": other, **{"torchvision": other}})
    assert jpeg_library().name == "pillow"


def test_nothing_is_said_where_the_first_library_decodes() -> None:
    pytest.importorskip("simplejpeg")
    assert jpeg_library().name == "simplejpeg"
    assert library_note() == decoder_note("torchvision") == ""
    assert "libjpeg-turbo" in decoding_libraries()["pillow"]


def test_nothing_of_the_images_package_imports_torchvision_at_once() -> None:
    """Worker processes do without it: it takes a second to import."""
    for path in Path(module.__file__).parent.rglob("*.py"):
        assert not re.search(r"^(import|from) torchvision", path.read_text(), re.MULTILINE), path
