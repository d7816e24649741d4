"""Small files that ask for much: pixels, scans, segments, pages, tiles, packed text."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator


def _side(rng: Rng, most: int) -> int:
    """A side in pixels, small or large alike."""
    return int(2 ** rng.uniform(0, np.log2(most)))


def _many(rng: Rng, most: int) -> int:
    """How often something is repeated."""
    return int(2 ** rng.uniform(0, np.log2(most)))


def costly_image(rng: Rng, kind: str, seed: bytes) -> bytes:
    """An image of one format, as Pillow names it; some are made from an ordinary one, `seed`."""
    makers = _MAKERS[kind]
    return makers[int(rng.integers(len(makers)))](rng, seed)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    checked = name + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


def _png(rng: Rng, middle: bytes = b"", sides: tuple[int, int] | None = None) -> bytes:
    width, height = sides or (_side(rng, 1 << 31), _side(rng, 1 << 31))
    kind = int(rng.choice([0, 2, 3, 4, 6]))
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, int(rng.integers(2)))
    rows = zlib.compress(bytes(int(2 ** rng.uniform(0, 24))), 9)
    body = _png_chunk(b"IHDR", head) + _png_chunk(b"PLTE", bytes(768)) + middle
    return b"\x89PNG\r\n\x1a\n" + body + _png_chunk(b"IDAT", rows) + _png_chunk(b"IEND", b"")


def _png_large(rng: Rng, _: bytes) -> bytes:
    return _png(rng)


def _png_text(rng: Rng, _: bytes) -> bytes:
    """Packed text of up to 256 MB."""
    packed = zlib.compress(bytes(_many(rng, 1 << 28)), 9)
    name = (b"zTXt", b"iCCP")[int(rng.integers(2))]
    return _png(rng, _png_chunk(name, b"a\0\0" + packed), (20, 20))


def _png_chunks(rng: Rng, _: bytes) -> bytes:
    """Up to 100,000 chunks."""
    name = (b"tEXt", b"IDAT", b"aaAa")[int(rng.integers(3))]
    return _png(rng, _png_chunk(name, b"") * _many(rng, 100_000), (20, 20))


def _jpeg_scans(rng: Rng, seed: bytes) -> bytes:
    """The last scan again and again, in a frame of up to 8,000 pixels a side."""
    frame = max(seed.find(b"\xff\xc0"), seed.find(b"\xff\xc2"))
    sides = struct.pack(">HH", _side(rng, 8000), _side(rng, 8000))
    data = seed[: frame + 5] + sides + seed[frame + 9 :]
    at = data.rfind(b"\xff\xda")
    return (
        data[:at] + data[at:-2] * min(_many(rng, 20_000), (1 << 21) // (len(data) - at)) + data[-2:]
    )


def _jpeg_segments(rng: Rng, seed: bytes) -> bytes:
    """Up to a million empty segments, comments, tables or fill bytes before the frame."""
    piece = (
        b"\xff\xe1\0\x02",
        b"\xff\xfe\0\x02",
        b"\xff\xff",
        b"\xff\xc4\0\x02",
        b"\xff\xdd\0\x04\0\x01",
    )
    chosen = piece[int(rng.integers(len(piece)))]
    return seed[:2] + chosen * _many(rng, 1_000_000) + seed[2:]


def _jpeg_large(rng: Rng, seed: bytes) -> bytes:
    frame = max(seed.find(b"\xff\xc0"), seed.find(b"\xff\xc2"))
    sides = struct.pack(">HH", _side(rng, 65_535), _side(rng, 65_535))
    return seed[: frame + 5] + sides + seed[frame + 9 :]


def _gif_large(rng: Rng, _: bytes) -> bytes:
    screen = struct.pack("<HH", _side(rng, 65_535), _side(rng, 65_535))
    frame = b"\x2c\0\0\0\0" + struct.pack("<HH", _side(rng, 65_535), _side(rng, 65_535))
    frame += b"\0\x02\x02\x4c\x01\0"
    return b"GIF89a" + screen + b"\x80\0\0" + bytes(6) + frame * _many(rng, 20_000) + b";"


def _bmp_large(rng: Rng, _: bytes) -> bytes:
    width, height = _side(rng, 1 << 31), _side(rng, 1 << 31) * int(rng.choice([1, -1]))
    bits, packed = (int(rng.choice(values)) for values in ([1, 4, 8, 16, 24, 32], [0, 1, 2, 3]))
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packed, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + head + bytes(1024 + 2000)


def _dib_large(rng: Rng, seed: bytes) -> bytes:
    return _bmp_large(rng, seed)[14:]


def _tiff(rng: Rng, pages: int, again: bool) -> bytes:
    """Pages with few bytes of content; `again`: the last one leads back to the first."""
    file, size = bytearray(b"II*\0\x08\0\0\0"), 2 + 12 * 9 + 4
    values = {
        256: _side(rng, 1 << 31), 257: _side(rng, 1 << 31), 258: 8,
        259: int(rng.choice([1, 2, 3, 4, 5, 7, 8, 32773])), 262: int(rng.integers(0, 7)),
        273: 8, 277: int(rng.integers(1, 5)), 278: _side(rng, 1 << 31), 279: 100,
    }  # fmt: skip
    for page in range(pages):
        file += struct.pack("<H", len(values))
        for tag, value in values.items():
            file += struct.pack("<HHII", tag, 4, 1, value)
        last = page == pages - 1
        file += struct.pack("<I", (8 if again else 0) if last else 8 + (page + 1) * size)
    return bytes(file)


def _tiff_large(rng: Rng, _: bytes) -> bytes:
    return _tiff(rng, 1, again=False) + bytes(200)


def _tiff_pages(rng: Rng, _: bytes) -> bytes:
    return _tiff(rng, _many(rng, 10_000), again=bool(rng.integers(2)))


def _webp(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _webp_lossless(rng: Rng, _: bytes) -> bytes:
    """Up to 16,384 pixels a side, in a few bytes."""
    bits = (_side(rng, 16_384) - 1) | (_side(rng, 16_384) - 1) << 14
    content = bytes(_many(rng, 300_000)) if rng.random() < 0.5 else rng.bytes(2000)
    return _webp(_webp_chunk(b"VP8L", b"\x2f" + struct.pack("<I", bits) + content))


def _webp_canvas(rng: Rng, seed: bytes) -> bytes:
    """A canvas of up to 2²⁴ pixels a side, with many frames."""
    sides = b"".join((_side(rng, 1 << 24) - 1).to_bytes(3, "little") for _ in range(2))
    head = _webp_chunk(b"VP8X", b"\x02\0\0\0" + sides) + _webp_chunk(b"ANIM", bytes(6))
    frame = _webp_chunk(b"ANMF", bytes(6) + sides + bytes(4) + seed[12:400])
    return _webp(head + frame * _many(rng, 2000))


def _ppm_large(rng: Rng, _: bytes) -> bytes:
    kind, most = int(rng.integers(1, 7)), int(rng.choice([1, 255, 65_535, 65_536]))
    return f"P{kind} {_side(rng, 1 << 40)} {_side(rng, 1 << 40)} {most}\n".encode() + b"1 " * 500


def _ppm_words(rng: Rng, _: bytes) -> bytes:
    """Long comments, and numbers of many digits."""
    comment = b"#" + b"a" * _many(rng, 1 << 20) + b"\n"
    return b"P3\n" + comment + b"3 2 " + b"9" * _many(rng, 1 << 20) + b"\n255 0 0 " * 6


def _jpeg2000_large(rng: Rng, seed: bytes) -> bytes:
    """Other sizes of the image and of its tiles."""
    at = seed.find(b"\xff\x51") + 6
    sides = struct.pack(">IIII", _side(rng, 1 << 32), _side(rng, 1 << 32), 0, 0)
    tiles = struct.pack(">II", _side(rng, 1 << 32), _side(rng, 1 << 32))
    return seed[:at] + sides + tiles + seed[at + 24 :]


_MAKERS: dict[str, list[Callable[[Rng, bytes], bytes]]] = {
    "JPEG": [_jpeg_scans, _jpeg_segments, _jpeg_large],
    "PNG": [_png_large, _png_text, _png_chunks],
    "GIF": [_gif_large],
    "BMP": [_bmp_large],
    "DIB": [_dib_large],
    "TIFF": [_tiff_large, _tiff_pages],
    "WEBP": [_webp_lossless, _webp_canvas],
    "PPM": [_ppm_large, _ppm_words],
    "JPEG2000": [_jpeg2000_large],
}
