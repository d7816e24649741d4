"""Images of every format and of many of its kinds, from which damaged ones are made."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image


def _noise(height: int = 40, width: int = 60) -> Image.Image:
    """A picture with detail and with flat parts."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    pixels[: height // 3] = 90
    return Image.fromarray(pixels)


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)  # type: ignore[arg-type]
    return data.getvalue()


def image_seeds() -> dict[str, list[bytes]]:
    """By format, as Pillow names it, encoded images."""
    return {kind: list(make()) for kind, make in _MAKERS.items()}


def _jpegs() -> Iterator[bytes]:
    image, exif = _noise(), Image.Exif()
    exif[0x0112] = 6
    yield _encode(image, "JPEG")
    yield _encode(image, "JPEG", progressive=True)
    yield _encode(_noise(150, 200), "JPEG", quality=30, restart_marker_blocks=2)
    yield _encode(image, "JPEG", subsampling=0, optimize=True, exif=exif, comment=b"a" * 300)
    yield _encode(image.convert("L"), "JPEG")
    yield _encode(image.convert("CMYK"), "JPEG", icc_profile=b"no profile" * 50)


def _pngs() -> Iterator[bytes]:
    image = _noise()
    yield _encode(image, "PNG")
    yield _encode(image.convert("RGBA"), "PNG")
    yield _encode(image.quantize(16), "PNG", transparency=3)
    yield _encode(image.convert("1"), "PNG")
    yield _encode(Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60)), "PNG")
    yield _encode(image, "PNG", save_all=True, append_images=[image.rotate(90), image])


def _gifs() -> Iterator[bytes]:
    image = _noise()
    yield _encode(image, "GIF")
    yield _encode(image.quantize(8), "GIF", transparency=2, interlace=0)
    frames = [image.rotate(90), image.rotate(180)]
    yield _encode(image, "GIF", save_all=True, append_images=frames, loop=0)


def _bmps() -> Iterator[bytes]:
    for mode in ("RGB", "RGBA", "L", "P", "1"):
        yield _encode(_noise().convert(mode), "BMP")


def _dibs() -> Iterator[bytes]:
    yield _encode(_noise(), "DIB")
    yield _encode(_noise().quantize(), "DIB")


def _tiffs() -> Iterator[bytes]:
    image = _noise()
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield _encode(image, "TIFF", compression=compression)
    yield _encode(image.convert("CMYK"), "TIFF")
    yield _encode(image.convert("1"), "TIFF", compression="group4")
    yield _encode(Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60)), "TIFF")
    yield _encode(image, "TIFF", save_all=True, append_images=[image.rotate(90), image])
    yield _encode(image, "TIFF", big_tiff=True)


def _webps() -> Iterator[bytes]:
    image = _noise()
    yield _encode(image, "WEBP")
    yield _encode(image, "WEBP", lossless=True)
    yield _encode(image.convert("RGBA"), "WEBP", quality=20)
    yield _encode(image, "WEBP", save_all=True, append_images=[image.rotate(180), image])


def _ppms() -> Iterator[bytes]:
    for mode in ("RGB", "L", "1"):
        yield _encode(_noise().convert(mode), "PPM")
    yield b"P3\n# plain\n3 2\n255\n" + b"255 0 0  0 255 0  0 0 255 " * 2
    yield b"P2\n3 2\n65535\n" + b"65535 0 7 " * 2
    yield b"P1\n4 2\n1 0 1 0 0 1 0 1\n"


def _jpeg2000s() -> Iterator[bytes]:
    image = _noise()
    yield _encode(image, "JPEG2000")
    yield _encode(image, "JPEG2000", irreversible=True, quality_layers=[20, 5], num_resolutions=3)
    yield _encode(image.convert("L"), "JPEG2000", tile_size=(32, 32))
    yield _encode(image.convert("RGBA"), "JPEG2000", no_jp2=True)


_MAKERS = {
    "JPEG": _jpegs, "PNG": _pngs, "GIF": _gifs, "BMP": _bmps, "DIB": _dibs, "TIFF": _tiffs,
    "WEBP": _webps, "PPM": _ppms, "JPEG2000": _jpeg2000s,
}  # fmt: skip
