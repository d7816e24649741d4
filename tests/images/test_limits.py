"""Images made to cost: each is unreadable, with the reason, at little cost."""

from __future__ import annotations

import io
import struct
import threading
import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cog.images.decoding import decode
from cog.images.headers import jpeg2000_block, jpeg_frame, webp_size
from cog.images.limits import MAX_MEMORY, MAX_PARTS, ROOM, BoundedReads, Room, TooCostly, Unreadable


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def flat(side: int) -> Image.Image:
    return Image.new("RGB", (side, side), (90, 120, 30))


def scans(side: int, count: int, mode: str = "RGB", **options: object) -> bytes:
    """A JPEG whose last scan comes again and again."""
    data = encode(flat(side).convert(mode), "JPEG", progressive=True, **options)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + b"\xff\xd9"


def scans_one_by_one(side: int, count: int) -> bytes:
    """A baseline JPEG of a scan for each channel, again and again; none of them decodes."""
    data = bytearray(encode(flat(side), "JPEG"))
    scan = data.index(b"\xff\xda")
    return bytes(data[:scan]) + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * count + b"\xff\xd9"


def segments(count: int) -> bytes:
    data = encode(flat(40), "JPEG")
    return data[:2] + b"\xff\xfe\0\2" * count + data[2:]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_chunks(count: int) -> bytes:
    data = encode(flat(40), "PNG")
    return data[:33] + chunk(b"teSt") * count + data[33:]


def png_data(count: int) -> bytes:
    """Empty pieces of pixel data."""
    data = encode(flat(40), "PNG")
    start = data.index(b"IDAT") - 4
    return data[:start] + chunk(b"IDAT") * count + data[start:]


def gif_comments(count: int) -> bytes:
    data = encode(flat(40), "GIF")
    start = data.index(b",", 13 + 3 * 2)
    return data[:start] + b"!\xfe\1x\0" * count + data[start:]


def webp(width: int, height: int) -> bytes:
    """An animation of one small frame on a large canvas."""
    data = bytearray(encode(flat(40), "WEBP", save_all=True, append_images=[flat(40).rotate(9)]))
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    data[24:30] = sides
    return bytes(data)


def tiff(*tags: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """A TIFF of these tags: number, type, count, value or offset; `tail` begins at byte 8."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    tail += bytes(len(tail) % 2)
    start = struct.pack("<2sHI", b"II", 42, 8 + len(tail))
    return start + tail + struct.pack("<H", len(tags)) + entries + bytes(4)


SIDES = ((256, 4, 1, 64), (257, 4, 1, 64))
GREY = ((258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1))


def tiff_strips(count: int) -> bytes:
    """A strip for each row, all of the same bytes."""
    sides = ((256, 4, 1, 1000), (257, 4, 1, count))
    offsets = struct.pack(f"<{count}I", *[8] * count)
    strips = ((273, 4, count, 8), (278, 4, 1, 1), (279, 4, count, 8))
    return tiff(*sides, *GREY, *strips, tail=offsets + bytes(1000))


def tiff_tile() -> bytes:
    """A small image, deflated, in one tile of 3.6 billion pixels."""
    deflated = (GREY[0], (259, 3, 1, 8), *GREY[2:])
    tiles = ((322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 8), (325, 4, 1, 64))
    return tiff(*SIDES, *deflated, *tiles, tail=bytes(64))


def jpeg2000(side: int, block: int, precinct: int | None = None) -> bytes:
    """The header of a large image with the data of a small one; `precinct`: a power of 2."""
    small = {"codeblock_size": (block, block), "num_resolutions": 3, "no_jp2": True}
    data = bytearray(encode(flat(64), "JPEG2000", **small))
    for at in (8, 24):  # the image, and its one tile
        struct.pack_into(">II", data, at, side, side)
    style = data.index(b"\xff\x52")
    if precinct is not None:
        data[style + 3 : style + 5] = b"\x0f\x01"  # length, and that precincts follow
        data[style + 14 : style + 14] = bytes([precinct << 4 | precinct]) * 3
    return bytes(data)


COSTLY: dict[str, tuple[Callable[[], bytes], str]] = {
    "5,000 scans": (lambda: scans(2000, 5000), "5,0.. scans of 2000 × 2000 pixels"),
    "5,000 scans, CMYK": (lambda: scans(2000, 5000, "CMYK"), "scans of 2000 × 2000"),
    "scan by scan": (lambda: scans_one_by_one(2000, 5000), "5,000 scans of 2000 × 2000"),
    "a million scans": (lambda: scans(16, 10**6), "scans of 16 × 16"),
    "a million segments": (lambda: segments(10**6), "segments before the first scan"),
    "fill bytes": (lambda: b"\xff\xd8" + b"\xff" * 10**6, "segments before the first scan"),
    "a million chunks": (lambda: png_chunks(10**6), "too many chunks"),
    "pieces of data": (lambda: png_data(10**6), "too many chunks"),
    "a million comments": (lambda: gif_comments(10**6), "too many chunks, blocks"),
    "WebP of 4.3 GB": (lambda: webp(13_300, 13_300), "13300 × 13300 pixels: 4.2 GB to decode"),
    "largest WebP": (lambda: webp(2**24, 2**24), "more than 178,956,970"),
    "JPEG 2000": (lambda: jpeg2000(13_000, 64), "13000 × 13000 pixels: 4.1 GB to decode"),
    "small blocks": (lambda: jpeg2000(6000, 4), "6000 × 6000 pixels: 4.3 GB to decode"),
    "small precincts": (lambda: jpeg2000(4000, 64, 2), "4000 × 4000 pixels: 6.5 GB to decode"),
    "strips": (lambda: tiff_strips(100_000), "tags or strips"),
    "tile of 3.6 GB": (tiff_tile, "60000 × 60000 pixels: more than"),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_costly_images_are_unreadable_at_little_cost(kind: str) -> None:
    draw, reason = COSTLY[kind]
    data = draw()
    begun = time.process_time()
    with pytest.raises(Unreadable, match=reason):
        decode(data)
    assert time.process_time() - begun < 2
    assert ROOM.used == 0


def test_what_real_images_have_is_far_within_the_bounds() -> None:
    for data in (
        scans(200, 100),
        scans(60, 20, "CMYK"),
        segments(MAX_PARTS // 2),
        png_chunks(20_000),
        png_data(20_000),
        gif_comments(10_000),
        webp(2000, 2000),
        tiff_strips(500),
    ):
        assert decode(data).shape[0] == 3


def test_run_length_pixels_of_a_bmp_are_no_parts() -> None:
    """Each run is a read of its own, of two bytes; here every pixel is a run."""
    side = 500
    row = b"".join(bytes((1, x % 2)) for x in range(side)) + b"\0\0"
    body = row * side + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(body), 0, 0, 2, 2)
    palette = bytes(4) + b"\0\0\xff\0"  # red: Pillow before 12 reads no grey ones
    start = 14 + len(head) + len(palette)
    data = struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start) + head + palette + body
    pixels = decode(data)
    assert pixels[0, 7, :4].tolist() == [0, 255, 0, 255]


def test_a_file_that_is_read_again_and_again_ends() -> None:
    """As the tags of a TIFF may do; new versions of Pillow bound them too."""
    file = BoundedReads(bytes(10**6))

    def read_again() -> None:
        for _ in range(1000):
            file.seek(0)
            file.read()

    with pytest.raises(TooCostly):
        read_again()
    assert file.left > 0


def test_threads_share_the_room() -> None:
    room, most, lock = Room(100), [0, 0], threading.Lock()
    held: list[int] = []

    def work(size: int) -> None:
        for _ in range(50):
            with room.take(size):
                with lock:
                    held.append(size)
                    most[0] = max(most[0], sum(held))
                    most[1] = max(most[1], len(held))
                time.sleep(0)
                with lock:
                    held.remove(size)

    threads = [threading.Thread(target=work, args=(size,)) for size in (20, 30, 40, 60, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 100
    assert most[1] > 1
    assert room.used == 0


def test_an_image_larger_than_the_room_is_decoded_alone() -> None:
    room = Room(100)
    with room.take(300):
        assert room.used == 300
    assert ROOM.most >= MAX_MEMORY


def test_room_is_given_back_whatever_happens() -> None:
    room = Room(100)
    with pytest.raises(ZeroDivisionError), room.take(90):
        raise ZeroDivisionError
    with room.take(90):
        pass
    assert room.used == 0


def test_headers_tell_the_size_of_every_webp() -> None:
    image = flat(40).resize((50, 41))
    for options in ({}, {"lossless": True}, {"exif": b"Exif\0\0"}):
        assert webp_size(encode(image, "WEBP", **options)) == (41, 50)
    assert webp_size(encode(image, "WEBP", save_all=True, append_images=[image.rotate(9)])) == (
        41,
        50,
    )
    assert webp_size(encode(image, "PNG")) is webp_size(b"RIFF") is None


@pytest.mark.parametrize(
    ("block", "precinct", "pixels"),
    [(64, None, 4096), (16, None, 256), (4, None, 16), (64, 7, 4096), (64, 5, 256), (64, 0, 1)],
)
def test_headers_tell_the_blocks_of_jpeg_2000(
    block: int, precinct: int | None, pixels: int
) -> None:
    assert jpeg2000_block(jpeg2000(64, block, precinct)) == pixels


def test_one_scan_is_told_from_several() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8))
    for mode in ("RGB", "L", "CMYK"):
        for progressive in (False, True):
            frame = jpeg_frame(encode(image.convert(mode), "JPEG", progressive=progressive))
            assert frame is not None
            assert frame.one_scan is not progressive
    with pytest.raises(TooCostly):
        jpeg_frame(segments(MAX_PARTS))
