"""What is said of odd images, drawn one of each kind."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from cog.datasets.check.image import check_image


def noise(height: int = 40, width: int = 60) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def turned(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(noise(), kind, exif=exif)


def sixteen_bits(kind: str) -> bytes:
    return encode(Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60)), kind)


def animated(kind: str) -> bytes:
    frames = [noise().rotate(turn) for turn in (0, 90, 180)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:])


def flat(height: int, width: int) -> bytes:
    return encode(Image.new("L", (width, height)), "PNG")


ODD: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "PNG called JPEG": ("a.JPEG", lambda: encode(noise(), "PNG"), "wrong suffix, a PNG called"),
    "JPEG called PNG": ("a.png", lambda: encode(noise(), "JPEG"), "wrong suffix, a JPEG called"),
    "GIF called jpg": ("a.jpg", lambda: encode(noise(), "GIF"), "wrong suffix, a GIF called"),
    "CMYK JPEG": ("a.jpg", lambda: encode(noise().convert("CMYK"), "JPEG"), "CMYK"),
    "CMYK TIFF": ("a.tif", lambda: encode(noise().convert("CMYK"), "TIFF"), "CMYK"),
    "16-bit PNG": ("a.png", lambda: sixteen_bits("PNG"), "16 bits"),
    "16-bit TIFF": ("a.tiff", lambda: sixteen_bits("TIFF"), "16 bits"),
    "animated GIF": ("a.gif", lambda: animated("GIF"), "the first of 3"),
    "animated PNG": ("a.png", lambda: animated("PNG"), "the first of 3"),
    "animated WebP": ("a.webp", lambda: animated("WEBP"), "the first of 3"),
    "several pages": ("a.tif", lambda: animated("TIFF"), "the first of 3"),
    "turned JPEG": ("a.jpg", lambda: turned("JPEG", 6), "orientation 6"),
    "turned PNG": ("a.png", lambda: turned("PNG", 3), "orientation 3"),
    "tiny": ("a.png", lambda: encode(noise(8, 60), "PNG"), "tiny, a side under 32"),
    "huge": ("a.png", lambda: flat(5000, 10_001), "huge, more than 50"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_images_are_reported_with_how_they_are_read(kind: str) -> None:
    name, draw, expected = ODD[kind]
    (found,) = check_image(name, draw())
    assert found.finding == "odd"
    assert expected in found.detail
    assert found.detail.endswith("RGB")
    sizes = {"tiny": "60 × 8", "huge": "10001 × 5000"}
    assert f"read as {sizes.get(kind, '60 × 40')} RGB" in found.detail


PLAIN: dict[str, tuple[str, Callable[[], bytes]]] = {
    "JPEG": ("a.JPEG", lambda: encode(noise(), "JPEG")),
    "grey JPEG": ("a.jpg", lambda: encode(noise().convert("L"), "JPEG")),
    "progressive JPEG": ("a.jpe", lambda: encode(noise(), "JPEG", progressive=True)),
    "upright": ("a.jpg", lambda: turned("JPEG", 1)),
    "PNG": ("a.png", lambda: encode(noise(), "PNG")),
    "palette": ("a.png", lambda: encode(noise().quantize(), "PNG")),
    "transparent": ("a.png", lambda: encode(noise().convert("RGBA"), "PNG")),
    "black and white": ("a.png", lambda: encode(noise().convert("1"), "PNG")),
    "GIF": ("a.gif", lambda: encode(noise(), "GIF")),
    "BMP": ("a.bmp", lambda: encode(noise(), "BMP")),
    "TIFF": ("a.tif", lambda: encode(noise(), "TIFF")),
    "WebP": ("a.webp", lambda: encode(noise(), "WEBP")),
    "PPM": ("a.ppm", lambda: encode(noise(), "PPM")),
    "JPEG 2000": ("a.jp2", lambda: encode(noise(), "JPEG2000")),
    "no suffix": ("a", lambda: encode(noise(), "PNG")),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_images_are_not_odd(kind: str) -> None:
    name, draw = PLAIN[kind]
    assert check_image(name, draw()) == []


def test_one_image_can_be_odd_in_several_ways() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    data = encode(noise(20, 20).convert("CMYK"), "JPEG", exif=exif)
    details = [found.detail for found in check_image("a.png", data)]
    assert [detail.split()[0].strip(",") for detail in details] == ["tiny", "CMYK", "EXIF", "wrong"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_cut_off_images_are_unreadable_or_truncated(kind: str) -> None:
    data = encode(noise(), kind)
    for cut in (b"", data[:5]):
        (found,) = check_image("a", cut)
        assert found.finding == "unreadable"
        assert found.detail
    half = data[: len(data) // 2]
    (refused,) = check_image("a", half, "refuse")
    assert refused.finding == "unreadable"
    (found,) = check_image("a", half)
    if kind == "WEBP":
        assert found == refused
    else:
        filled = f"{refused.detail}, what is missing filled, read as 60 × 40 RGB"
        assert found == ("truncated", filled)


def cut_pages() -> bytes:
    """A TIFF whose second page is cut off: the first can be decoded."""
    data = animated("TIFF")
    return data[: len(data) * 2 // 5]


def bad_exif(kind: str) -> bytes:
    return encode(noise(), kind, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0" * 9)


def gif_of(frames: int) -> bytes:
    """A GIF whose frame comes again and again; 40 bytes each."""
    data = encode(Image.new("L", (40, 40)), "GIF")
    frame = 13 + (3 << (data[10] & 7) + 1)
    frame = data.index(b",", frame)
    return data[:frame] + data[frame:-1] * frames + b";"


def tiff_of(pages: int) -> bytes:
    """A TIFF of one page, whose directory comes again and again."""
    data = bytearray(encode(noise(), "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    size = 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    directory = bytes(data[first : first + size])
    data += bytes(len(data) % 2)
    link = first + size
    data[link : link + 4] = len(data).to_bytes(4, "little")
    starts = range(len(data), len(data) + (pages - 1) * (size + 4), size + 4)
    data += b"".join(directory + (start + size + 4).to_bytes(4, "little") for start in starts)
    return bytes(data[:-4]) + bytes(4)


TOLD: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut pages": (cut_pages, "of several pages, which cannot be counted"),
    "200,000 pages": (lambda: tiff_of(200_000), "of several pages, which cannot be counted"),
    "200,000 frames": (lambda: gif_of(200_000), "of several pages, which cannot be counted"),
    "60 pages": (lambda: tiff_of(60), "the first of 60"),
    "60 frames": (lambda: gif_of(60), "the first of 60"),
}


@pytest.mark.parametrize("kind", TOLD)
def test_what_only_tells_of_an_image_ends_neither_the_check_nor_takes_long(kind: str) -> None:
    draw, expected = TOLD[kind]
    data = draw()
    begun = time.process_time()
    found = check_image("a", data)
    assert time.process_time() - begun < 10
    assert [each.finding for each in found] == ["odd"]
    assert expected in found[0].detail


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_bad_exif_is_no_more_than_odd(kind: str) -> None:
    assert {each.finding for each in check_image("a", bad_exif(kind))} <= {"odd"}


def no_number(*_: object) -> int:
    raise RecursionError("deep\n down")


@pytest.mark.parametrize(
    ("attribute", "raising"), [("n_frames", property(no_number)), ("getexif", no_number)]
)
def test_whatever_pillow_raises_is_odd(
    attribute: str, raising: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GifImageFile, attribute, raising)
    (found,) = check_image("a.gif", encode(noise(), "GIF"))
    assert found.finding == "odd"
    assert "(deep down)" in found.detail


def test_text_and_far_too_large_images_are_unreadable() -> None:
    (found,) = check_image("a.jpg", b"<html>not found</html>")
    assert found == ("unreadable", "not an image in a known format")
    (found,) = check_image("a.png", flat(1, 2000))
    assert found.finding == "unreadable"
