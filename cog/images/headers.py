"""Kind and size of JPEG and WebP files, and blocks of JPEG 2000, before a decoder is asked."""

from __future__ import annotations

import re
from typing import NamedTuple

from cog.images.limits import MAX_PARTS, TooCostly

# COD and COC, wherever they stand: length, style of precincts, number of sizes, and both sides of a
# block as powers of 2 less 2. What looks so by chance, as in one of 100,000 MB, does no harm.
_BLOCKS = re.compile(
    rb"\xff(?:\x52\0[\x0c-\x2d](.).{4}|\x53\0[\x09-\x2b].(.))([\0-\x20])([\0-\x08])([\0-\x08])",
    re.DOTALL,
)
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the markers SOF
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)  # kinds of JPEG frames with many scans


class JpegFrame(NamedTuple):
    """The header of a JPEG; `kind` is the second byte of its SOF marker."""

    kind: int
    bits: int
    height: int
    width: int
    channels: int
    first_scan: int = 0
    """channels of the first scan; 0 if there is none"""

    @property
    def one_scan(self) -> bool:
        """Whether the first scan is the only one: libjpeg takes no other after it."""
        return self.kind not in PROGRESSIVE and self.first_scan == self.channels


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """The frame header of a JPEG, or None for anything else.

    >>> jpeg_frame(bytes.fromhex("ffd8 ffc0 0011 08 0177 01f4 03 012200 021101 031101"))
    JpegFrame(kind=192, bits=8, height=375, width=500, channels=3, first_scan=0)

    Raises:
        TooCostly: more segments before the first scan than any camera writes.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    frame, at, last = None, 2, len(data) - 10
    for _ in range(MAX_PARTS):
        if at > last or data[at] != 0xFF:
            return frame
        kind = data[at + 1]
        if kind == 0xFF:  # a fill byte
            at += 1
            continue
        if kind == 0xDA:
            return frame and JpegFrame(*frame[:5], data[at + 4])
        if kind in FRAMES and frame is None:
            height, width = (data[at + i] << 8 | data[at + i + 1] for i in (5, 7))
            frame = JpegFrame(kind, data[at + 4], height, width, data[at + 9])
        at += 2 + (data[at + 2] << 8 | data[at + 3])
    raise TooCostly(f"more than {MAX_PARTS:,} segments before the first scan")


def is_plain(frame: JpegFrame) -> bool:
    """Whether torchvision reads it as Pillow does: 8-bit Huffman, and neither CMYK nor YCCK."""
    return (
        frame.kind in (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
        and frame.bits == 8
        and frame.channels in (1, 3)
        and frame.height > 0  # 0 if the height comes after the first scan
    )


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Height and width of a WebP, of its whole canvas if it is animated; None for anything else.

    >>> webp_size(b"RIFF....WEBPVP8X" + bytes.fromhex("0a000000 02000000 f30100 760100"))
    (375, 500)
    """
    kind, head = data[12:16], data[20:30]
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(head) < 10:
        return None
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (4, 7))
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    elif kind == b"VP8L":
        sides = int.from_bytes(head[1:5], "little")
        width, height = 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    else:
        return None
    return height, width


def jpeg2000_block(data: bytes) -> int:
    """Pixels of the smallest code block that a JPEG 2000 asks for, of a channel.

    A precinct, which is a region of the image at one size, is cut into blocks; it may be smaller.
    """
    least = 64 * 64
    for found in _BLOCKS.finditer(data):
        style, (sizes, width, height) = (
            found[1] or found[2],
            (each[0] for each in found.groups()[2:]),
        )
        least = min(least, 1 << width + height + 4)
        precincts = data[found.end() + 2 : found.end() + 3 + sizes] if style[0] & 1 else b""
        for index, sides in enumerate(precincts):  # of all sizes but the first, a half counts
            halved = 2 if index else 0
            least = min(least, 1 << max(0, (sides & 15) + (sides >> 4) - halved))
    return least
