"""What an image may cost to decode; real images do not come near, and beyond it is unreadable.

- Pixels, and pixels times scans, bound the time; parts (segments, chunks, strips) bound what is
  read one by one.
- The memory of all threads together stays within a quarter of the machine's: an image waits until
  others are done. Of several processes each has a share of half of that, and only one at a time has
  an image beyond its share.
"""

from __future__ import annotations

import io
import threading

from cog.cores import usable_memory

MAX_PIXELS = 178_956_970  # Pillow refuses more as a decompression bomb
MAX_ASPECT = 1000  # with its short side at 224, a longer strip would take as much memory
MAX_SCANNED = 4_000_000_000  # pixels of all scans of a JPEG, of 1 ns each; encoders make 12 scans
MAX_PARTS = 32_768  # before the image data; a part may hold 64 kB
MAX_READS = 6 * MAX_PARTS  # of a file, for Pillow reads a part in up to six pieces
MAX_MEMORY = 3_000_000_000  # bytes that one image takes while it is decoded

# Bytes a pixel while an image is decoded, measured on images of 25 million pixels.
OF_PLAIN_JPEG = 3
OF_JPEG_SCANS = 9  # coefficients are kept from scan to scan
OF_PILLOW = 16
OF_WEBP = 24  # two canvases
OF_JPEG2000 = 24  # waves of 32 bits
OF_BLOCK = 512  # bytes for each code block of a channel of JPEG 2000, however small the block


class Unreadable(Exception):
    """The bytes are not an image that can be read; the text says why, equal for equal bytes."""


class TooCostly(Unreadable):
    """The image would take too much time or memory."""


def memory_of(height: int, width: int, a_pixel: int) -> int:
    """Bytes that an image takes while it is decoded.

    Raises:
        TooCostly: too many pixels, too long a strip, or too much memory.
    """
    if height * width > MAX_PIXELS:
        raise TooCostly(f"{width} × {height} pixels: more than {MAX_PIXELS:,}")
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise TooCostly(f"{width} × {height} pixels: over {MAX_ASPECT:,} times as long as wide")
    memory = height * width * a_pixel
    if memory > MAX_MEMORY:
        raise TooCostly(
            f"{width} × {height} pixels: {memory / 1e9:.1f} GB to decode, "
            f"more than {MAX_MEMORY / 1e9:.0f} GB"
        )
    return memory


def refuse_scans(scans: int, height: int, width: int) -> None:
    """Refuse a JPEG whose scans all together are too many pixels.

    Raises:
        TooCostly: they are.
    """
    if scans * max(height * width, 10_000) > MAX_SCANNED:
        raise TooCostly(f"{scans:,} scans of {width} × {height} pixels")


class BoundedReads(io.BytesIO):
    """A file in memory that ends the work of who reads it in too many pieces, or again and again.

    Chunks, blocks, tags and strips are read one by one by Python, and tags of a TIFF may all name
    the same bytes.
    """

    def __init__(self, data: bytes, most: int = MAX_READS) -> None:
        """`most`: how many reads there may be."""
        super().__init__(data)
        self.left = most
        self.bytes_left = 8 * len(data) + 2**24

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file.

        Raises:
            TooCostly: one read too many.
        """
        found = super().read(size)
        self.left -= 1
        self.bytes_left -= len(found)
        if self.left < 0 or self.bytes_left < 0:
            raise TooCostly("too many chunks, blocks, tags or strips")
        return found


class Room:
    """Memory that threads share: each takes what it needs, and waits where that is not left."""

    def __init__(self, most: int) -> None:
        """`most`: bytes of all threads together."""
        self.whole = self.most = most
        self.processes = 1
        """that share the whole"""
        self.lock: int | None = None
        """the descriptor of their file; None: this process has all"""
        self.used = 0
        self._waiting = 0
        self._changed = threading.Condition()
        self._one_beyond = threading.Lock()  # for a file is locked by a process, not by a thread

    def take(self, memory: int) -> Taken:
        """A context with `memory` bytes; more than there is only while no other thread has any."""
        return Taken(self, memory)

    def divide(self, processes: int, lock: int) -> None:
        """Be one of several processes that share the whole; each has an equal part of half.

        An image beyond the share waits until no other process has such a one: then it takes what
        it needs. `lock`: the descriptor of a file that all of them have open to write.
        """
        self.most = self.whole // (2 * processes)
        self.processes, self.lock = processes, lock

    def fetch(self, memory: int) -> None:
        """Take `memory` bytes, once there is room for them."""
        if self.lock is not None and memory > self.most:
            self._one_beyond.acquire()
            _lock_file(self.lock, True)
        with self._changed:
            self._waiting += 1
            while self.used and self.used + memory > self.most:
                self._changed.wait()
            self._waiting -= 1
            self.used += memory

    def give_back(self, memory: int) -> None:
        """Give `memory` bytes back, and wake the threads that wait for room."""
        with self._changed:
            self.used -= memory
            if self._waiting:
                self._changed.notify_all()
        if self.lock is not None and memory > self.most:
            _lock_file(self.lock, False)
            self._one_beyond.release()


class Taken:
    """A context in which a thread has memory of a room. A class: it is entered for every image."""

    __slots__ = ("memory", "room")

    def __init__(self, room: Room, memory: int) -> None:
        """`memory`: bytes."""
        self.room = room
        self.memory = memory

    def __enter__(self) -> None:
        """Take the memory, once there is room."""
        self.room.fetch(self.memory)

    def __exit__(self, *_: object) -> None:
        """Give it back, whatever happened."""
        self.room.give_back(self.memory)


def _lock_file(file: int, lock: bool) -> None:
    """Lock a file for this process, or let it go; a process that dies lets it go too."""
    import fcntl  # processes of workers are only where it is

    fcntl.lockf(file, fcntl.LOCK_EX if lock else fcntl.LOCK_UN)


ROOM = Room(max(MAX_MEMORY, (usable_memory() or 4 * MAX_MEMORY) // 4))
