"""Slots: the memory that batches lie in, one after another, and that is used again.

A slot holds one batch: uint8 [b, 3, H, W] for each geometry, each from the start of a page on, so
that a driver of a device may register them; or packed (cog/images/packing.py), where the device
resizes. All slots are one file without a name, in memory, that each worker maps; it does not lie in
/dev/shm, which is small in containers.

Memory: slots × rows of a batch × the sum of 3·H·W over geometries (and × 1 + A for A augmented
views, uint8 [b, 1 + A, 3, H, W]), or × 0.8 MB if it is packed,
which `Layout` counts. Where nothing was written, none is taken, unless it is pinned for a GPU.
Beside that, a worker that is a process takes some 90 MB for Python and torch (measured: its
proportional share, with four of them forked).
"""

from __future__ import annotations

import mmap
import os
import socket
import tempfile
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from cog.images.packing import slot_bytes
from cog.images.preprocess import Preprocess

HELD = 2  # batches that were given last: they stay as they are


def slots_for(workers: int, part: int, batch: int) -> int:
    """How many batches are in memory: those held, one that is due, and what workers do ahead.

    >>> slots_for(workers=2, part=32, batch=64), slots_for(16, 32, 256)
    (4, 5)
    """
    return HELD + 1 + -(-workers * part // batch)


@dataclass(frozen=True)
class Layout:
    """Where the pixels of each geometry lie in slots for batches of at most `rows`."""

    geometries: tuple[Preprocess, ...]
    rows: int
    slots: int
    packed: bool = False  # then a slot is one flat piece of memory
    each: int = 1  # pixels of a geometry that an image has: with A augmented views, 1 + A

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the arrays in a slot: of each geometry's pixels, or of the one that is packed."""
        if self.packed:
            return [(slot_bytes(self.rows, self.geometries),)]
        rows = (self.rows, self.each) if self.each > 1 else (self.rows,)
        return [(*rows, *geometry.shape) for geometry in self.geometries]

    @property
    def sizes(self) -> list[int]:
        """Bytes of each array in a slot, up to the end of a page."""
        page = mmap.PAGESIZE
        return [-(-int(np.prod(shape)) // page) * page for shape in self.shapes]

    @property
    def bytes(self) -> int:
        """Bytes of all slots."""
        return self.slots * sum(self.sizes)

    def views(self, memory: NDArray[np.uint8], slot: int) -> list[NDArray[np.uint8]]:
        """The arrays of a slot of the memory, uint8, in their shapes."""
        start, sizes = slot * sum(self.sizes), self.sizes
        found = []
        for shape, at in zip(self.shapes, accumulate([start, *sizes[:-1]]), strict=True):
            found.append(memory[at : at + int(np.prod(shape))].reshape(shape))
        return found


def memory_file(size: int) -> int:
    """A new file without a name, of `size` bytes that are zero; gives its descriptor.

    It takes memory only where it is written. Where the system has no files in memory, it lies in
    the folder for temporary files.
    """
    try:
        number = os.memfd_create("cog-feeder", os.MFD_CLOEXEC)
    except (AttributeError, OSError):  # not Linux, or a container that does not allow it
        with tempfile.TemporaryFile() as file:
            number = os.dup(file.fileno())
    os.ftruncate(number, max(size, 1))
    return number


def send_file(connection: Connection, number: int) -> None:
    """Send a descriptor to the process at the other end of a socket; keep it until it is there."""
    with socket.socket(fileno=os.dup(connection.fileno())) as opened:
        socket.send_fds(opened, [b"f"], [number])


def receive_file(connection: Connection) -> int:
    """The descriptor that was sent.

    Raises:
        EOFError: the other end is gone.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as opened:
        _, numbers, _, _ = socket.recv_fds(opened, 1, 1)
    if not numbers:
        raise EOFError
    return numbers[0]


def mapped(number: int, size: int) -> NDArray[np.uint8]:
    """The bytes of a file as a flat array; they stay while the array is used, and no longer."""
    return np.frombuffer(mmap.mmap(number, max(size, 1)), np.uint8, size)


def private_memory(size: int) -> NDArray[np.uint8]:
    """The same for threads: memory of this process alone."""
    return np.frombuffer(mmap.mmap(-1, max(size, 1)), np.uint8, size)
