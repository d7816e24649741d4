"""Decoded images in one piece of memory, from which a device takes them and resizes them there.

A slot holds a batch: a table int32 [capacity, 5], then pages of 3 × 128 × 128 bytes. An image whose
sides are rounded up to multiples of 128 takes a whole number of neighbouring pages, and images of
one such size become one tensor by choosing pages. Each part of a batch has its own rows of the
table and its own pages, so that parts are packed by any thread or process at once; what is never
used of a slot is never touched.

An image that has no room, or that is larger than `MOST_PAGES`, is resized when it is packed. That
depends on its part of the batch alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from cog.images.decoding import decode_for
from cog.images.nvjpeg import NVJPEG, decodable
from cog.images.preprocess import Preprocess

SIDE = 128  # sides of images are rounded up to multiples
PAGE = 3 * SIDE * SIDE  # bytes
PAGES_A_ROW = 16  # on average: 512 × 512 pixels, 0.8 MB; most photographs of ImageNet take 12
MOST_PAGES = 64  # of one image: 1024 × 1024

BLACK, DECODED, RESIZED, ENCODED = range(4)  # what a row has; black: nothing
KIND, FIRST, HEIGHT, WIDTH, BYTES = range(5)  # columns of the table: FIRST page


def rounded_up(side: int) -> int:
    """The side of the tensor that an image lies in.

    >>> rounded_up(500), rounded_up(375)
    (512, 384)
    """
    return -(-side // SIDE) * SIDE


def pages_of(height: int, width: int) -> int:
    """Pages that a decoded image takes.

    >>> pages_of(375, 500)
    12
    """
    return rounded_up(height) * rounded_up(width) // SIDE**2


def pages_resized(geometry: Preprocess) -> int:
    """Pages that an image takes that is resized."""
    return -(-int(np.prod(geometry.shape)) // PAGE)


def pages_a_row(geometries: Sequence[Preprocess]) -> int:
    """Pages that a slot has for each row; a row resized for all geometries always has room."""
    return max(PAGES_A_ROW, sum(map(pages_resized, geometries)))


def table_bytes(capacity: int) -> int:
    """Bytes of the table of a slot for so many rows, before its pages."""
    return -(-capacity * 20 // 4096) * 4096


def slot_bytes(capacity: int, geometries: Sequence[Preprocess]) -> int:
    """Bytes of a slot for batches of at most `capacity` rows; what they do not use is not touched.

    >>> round(slot_bytes(256, [Preprocess()]) / 1e6)
    201
    """
    return table_bytes(capacity) + capacity * pages_a_row(geometries) * PAGE


def table_in(slot: NDArray[np.uint8], capacity: int) -> NDArray[np.int32]:
    """The table int32 [capacity, 5] in the memory of a slot."""
    return slot[: capacity * 20].view(np.int32).reshape(capacity, 5)


@dataclass
class Part:
    """Some rows of a batch as they are packed: one worker puts their images one after the other.

    Args:
        slot: uint8 [slot_bytes], the memory of the batch.
        capacity: rows that the slot has room for.
        part: rows of the batch that this part has.
        geometries: that images will be resized to.
        decoder: one of `decoding.DECODERS`.
        truncated: what is done with truncated images.
    """

    slot: NDArray[np.uint8]
    capacity: int
    part: slice
    geometries: Sequence[Preprocess]
    decoder: str
    truncated: str
    _next: int = field(init=False)
    _left: int = field(init=False)  # rows that are still to be put

    def __post_init__(self) -> None:
        """Make all rows black."""
        self._table = table_in(self.slot, self.capacity)
        self._pages = self.slot[table_bytes(self.capacity) :].reshape(-1, PAGE)
        self._table[self.part] = 0
        self._left = self.part.stop - self.part.start
        self._next = self.part.start * pages_a_row(self.geometries)
        self._stop = self.part.stop * pages_a_row(self.geometries)
        self._reserve = sum(map(pages_resized, self.geometries))

    def put(self, row: int, data: bytes) -> str:
        """Decode an image into a row of the batch; says why it is truncated, empty if it is whole.

        For nvJPEG, a plain and whole JPEG stays encoded.

        Raises:
            Unreadable: as `decode_for` does. The row stays black.
        """
        self._left -= 1
        if self.decoder == NVJPEG and (frame := decodable(data)):
            pages = -(-len(data) // PAGE)
            if pages_of(frame.height, frame.width) <= MOST_PAGES and self._has_room(pages):
                room = self._take(row, ENCODED, pages, frame.height, frame.width, len(data))
                room[: len(data)] = np.frombuffer(data, np.uint8)
                return ""
        return decode_for(partial(self._place, row), data, self.decoder, self.truncated)[1]

    def _place(self, row: int, pixels: torch.Tensor) -> None:
        """Copy a decoded image into pages, or resize it if there is no room."""
        _, height, width = pixels.shape
        pages = pages_of(height, width)
        if self._has_room(pages):
            room = self._take(row, DECODED, pages, height, width)
            shape = rounded_up(height), rounded_up(width), 3  # as decoders give images
            # numpy copies: torch would start a team of threads in every worker.
            room.reshape(shape)[:height, :width] = pixels.permute(1, 2, 0).numpy()
            return
        room = self._take(row, RESIZED, self._reserve, height, width)
        for geometry in self.geometries:
            image, room = np.split(room, [pages_resized(geometry) * PAGE])
            size = int(np.prod(geometry.shape))
            geometry.pixels(pixels, out=image[:size].reshape(geometry.shape))

    def _has_room(self, pages: int) -> bool:
        """Whether so many pages are free, and all rows to come can still be resized."""
        free = self._stop - self._next - self._left * self._reserve
        return bool(pages <= min(free, MOST_PAGES))

    def _take(
        self, row: int, kind: int, pages: int, height: int, width: int, count: int = 0
    ) -> NDArray[np.uint8]:
        """The bytes of the next pages, which become those of a row."""
        first, self._next = self._next, self._next + pages
        self._table[row] = kind, first, height, width, count
        return self._pages[first : self._next].reshape(-1)
