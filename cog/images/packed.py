"""A packed batch on a device: its images are brought there, decoded if need be, and resized.

In: a slot that its parts have been packed into (cog/images/packing.py). Out: pixels uint8
[b, 3, H, W] on the device for every geometry.

- Pages in use cross to the device, and no others. Images of one size become a bucket there.
- JPEGs that nvJPEG decodes are one call for the batch; what fails there is decoded on the CPU.
- The device holds the pages, the buckets, the pixels, and `WORK` bytes of float32 to resize with:
  for 256 images of 500 × 375 about 0.7 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from cog.images.decoding import DEFAULT_DECODER, decode_for
from cog.images.device_resize import Bucket, Send, resize
from cog.images.limits import Unreadable
from cog.images.nvjpeg import decode_batch
from cog.images.packing import (
    BYTES,
    DECODED,
    ENCODED,
    FIRST,
    HEIGHT,
    KIND,
    PAGE,
    RESIZED,
    SIDE,
    WIDTH,
    pages_of,
    pages_resized,
    rounded_up,
    table_bytes,
    table_in,
)
from cog.images.preprocess import Preprocess


@dataclass(frozen=True)
class Unpacked:
    """What a packed batch gives; black where a row is black or unreadable."""

    pixels: dict[Preprocess, torch.Tensor]
    """uint8 [b, 3, H, W] on the device, of each geometry"""
    reasons: dict[int, str] = field(default_factory=dict)
    """why, for rows of the batch that only now turned out to be unreadable"""
    truncated: dict[int, str] = field(default_factory=dict)
    """why, for rows of the batch that only now turned out to be truncated"""


@dataclass(frozen=True)
class Packed:
    """A batch that is packed.

    Args:
        slot: uint8 [slot_bytes] on the CPU, as its parts left it.
        capacity: rows of the largest batch that the slot may hold.
        rows: of this batch.
        geometries: that the parts were packed for, in their order.
        truncated: what is done with truncated images.
    """

    slot: torch.Tensor
    capacity: int
    rows: int
    geometries: Sequence[Preprocess]
    truncated: str

    def on(self, device: torch.device, send: Send) -> Unpacked:
        """The pixels of all geometries on a device, whose stream is not waited for.

        The slot may be used again when the device has done what is enqueued. Call it where float32
        products are exact.
        """
        table = table_in(self.slot.numpy(), self.capacity)[: self.rows]
        pages = self._sent_pages(table, send)
        found = Unpacked({})
        decoded = _buckets(table, pages, send)
        decoded += list(self._encoded(table, device, send, found))
        resized = np.flatnonzero(table[:, KIND] == RESIZED)
        order = np.concatenate([*(rows for rows, _ in decoded), resized])
        index = np.full(self.rows, len(order))  # of each row: those that are none of these are last
        index[order] = np.arange(len(order))
        by_row = send(torch.from_numpy(index))
        buckets = [bucket for _, bucket in decoded]
        first = pages.of(table[resized, FIRST])
        for geometry in self.geometries:
            parts = [resize(buckets, geometry, send)] if buckets else []
            count = pages_resized(geometry)
            parts.append(pages.images(first, count, geometry.shape, send))
            parts.append(torch.zeros((1, *geometry.shape), dtype=torch.uint8, device=device))
            found.pixels[geometry] = torch.cat(parts).index_select(0, by_row)
            first += count
        return found

    def _sent_pages(self, table: NDArray[np.int32], send: Send) -> _Pages:
        """The pages in use, on the device."""
        all_pages = self.slot[table_bytes(self.capacity) :].view(-1, PAGE)
        used = np.zeros(len(all_pages), bool)
        here = np.isin(table[:, KIND], (DECODED, RESIZED))
        counts = _counts(table, self.geometries)
        for first, count in zip(table[here, FIRST], counts[here], strict=True):
            used[first : first + count] = True
        edges = np.flatnonzero(np.diff(used, prepend=False, append=False)).reshape(-1, 2)
        sent = [send(all_pages[start:stop]) for start, stop in edges.tolist()]
        on_device = torch.cat(sent) if len(sent) > 1 else sent[0] if sent else send(all_pages[:0])
        return _Pages(on_device, np.cumsum(used) - 1)

    def _encoded(
        self, table: NDArray[np.int32], device: torch.device, send: Send, found: Unpacked
    ) -> Iterator[tuple[NDArray[np.intp], Bucket]]:
        """The images that came encoded, decoded and in buckets; notes in `found` what is wrong."""
        rows = np.flatnonzero(table[:, KIND] == ENCODED)
        pages = self.slot[table_bytes(self.capacity) :]
        encoded = [
            pages[first * PAGE : first * PAGE + count]
            for first, count in table[rows][:, (FIRST, BYTES)].astype(int).tolist()
        ]
        alike: dict[tuple[int, int], list[tuple[int, torch.Tensor]]] = {}
        for row, data, pixels in zip(
            rows.tolist(), encoded, decode_batch(encoded, device), strict=True
        ):
            if pixels is None or pixels.shape != (3, *table[row, [HEIGHT, WIDTH]]):
                pixels = self._on_cpu(row, data, send, found)
            if pixels is not None:
                size = rounded_up(pixels.shape[1]), rounded_up(pixels.shape[2])
                alike.setdefault(size, []).append((row, pixels))
        for (height, width), members in alike.items():
            shape = len(members), 3, height, width
            images = torch.empty(shape, dtype=torch.uint8, device=device)
            for image, (_, pixels) in zip(images, members, strict=True):
                _, own_height, own_width = pixels.shape
                image[:, :own_height, :own_width] = pixels
            sizes = np.array([pixels.shape[1:] for _, pixels in members], np.int64)
            yield np.array([row for row, _ in members]), Bucket(images, sizes)

    def _on_cpu(
        self, row: int, data: torch.Tensor, send: Send, found: Unpacked
    ) -> torch.Tensor | None:
        """An image that nvJPEG refused, on the device; None if it is unreadable."""
        try:
            pixels, why = decode_for(
                lambda pixels: pixels, data.numpy().tobytes(), DEFAULT_DECODER, self.truncated
            )
        except Unreadable as error:
            found.reasons[row] = str(error)
            return None
        if why:
            found.truncated[row] = why
        return send(pixels.contiguous())


@dataclass(frozen=True)
class _Pages:
    """Pages on a device, uint8 [n, PAGE], and the index that each page of the slot has there."""

    pages: torch.Tensor
    index: NDArray[np.intp]

    def of(self, first: NDArray[np.int32]) -> NDArray[np.intp]:
        """The indices of the first pages of images."""
        return self.index[first]

    def images(
        self, first: NDArray[np.intp], count: int, shape: Sequence[int], send: Send
    ) -> torch.Tensor:
        """Uint8 [n, *shape] of images in `count` pages each."""
        index = send(torch.from_numpy((first[:, None] + np.arange(count)).reshape(-1)))
        size = int(np.prod(shape))
        found = self.pages.index_select(0, index).view(len(first), count * PAGE)
        return found[:, :size].reshape(len(first), *shape)


def _counts(table: NDArray[np.int32], geometries: Sequence[Preprocess]) -> NDArray[np.int64]:
    """Pages of each row that has pixels."""
    sides = -(-table[:, [HEIGHT, WIDTH]].astype(np.int64) // SIDE)
    resized = sum(map(pages_resized, geometries))
    return np.where(table[:, KIND] == RESIZED, resized, sides.prod(1))


def _buckets(
    table: NDArray[np.int32], pages: _Pages, send: Send
) -> list[tuple[NDArray[np.intp], Bucket]]:
    """The decoded images by their sides in pages, each bucket with its rows."""
    rows_of: dict[tuple[int, int], list[int]] = {}
    for row in np.flatnonzero(table[:, KIND] == DECODED).tolist():
        height, width = table[row, [HEIGHT, WIDTH]].tolist()
        rows_of.setdefault((rounded_up(height), rounded_up(width)), []).append(row)
    made = []
    for (height, width), members in rows_of.items():
        rows = np.array(members)
        shape, count = (height, width, 3), pages_of(height, width)
        images = pages.images(pages.of(table[rows, FIRST]), count, shape, send).permute(0, 3, 1, 2)
        made.append((rows, Bucket(images, table[rows][:, [HEIGHT, WIDTH]].astype(np.int64))))
    return made
