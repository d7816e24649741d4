"""C libraries that decode images are kept from printing on stderr.

libjpeg, as torchvision has it, prints a line for damaged data that it reads all the same; libtiff,
as Pillow has it, one for each error, which the reason of an unreadable image says too. These two
libraries alone are silenced, for all threads, once. Nothing is redirected: whatever else writes to
stderr is seen.

Linux only; elsewhere the lines stay.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_READ, _WRITE = 1, 2  # of mprotect


@functools.cache
def silence_decoders() -> None:
    """Silence libjpeg of torchvision and libtiff of Pillow, where they are found; Pillow's log too.

    What Pillow logs goes on to the handlers that a user has, and to stderr no more without them.
    """
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    for library in _loaded("libtiff", beside="/pillow.libs/"):
        ctypes.CDLL(library).TIFFSetErrorHandler(None)
    for library in _loaded("libjpeg", beside="/torchvision.libs/"):
        _without_fprintf(library)


def _mappings() -> list[list[str]]:
    """The files in this process's memory: addresses, permissions, …, path."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:  # not Linux
        return []
    return [fields for line in lines if len(fields := line.split(maxsplit=5)) == 6]


def _loaded(name: str, beside: str) -> list[str]:
    """The paths of the loaded libraries of that name in a wheel's folder of libraries."""
    paths = {fields[5] for fields in _mappings()}
    return sorted(path for path in paths if beside in path and Path(path).name.startswith(name))


def _without_fprintf(library: str) -> None:
    """Let one library's calls of fprintf(stderr, …) ask ferror(stderr) instead.

    They go through a table of addresses that the linker filled when it loaded the library. The
    entry is the word that equals fprintf's address; unless there is exactly one, nothing changes.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    old, new = (ctypes.cast(each, ctypes.c_void_p).value for each in (libc.fprintf, libc.ferror))
    entries = list(_words(library, old or 0))
    if len(entries) != 1 or not new:
        return
    entry, permissions = entries[0]
    page = ctypes.c_void_p(entry - entry % mmap.PAGESIZE)
    if "w" not in permissions and libc.mprotect(page, mmap.PAGESIZE, _READ | _WRITE):
        return
    ctypes.c_uint64.from_address(entry).value = new
    if "w" not in permissions:
        libc.mprotect(page, mmap.PAGESIZE, _READ)


def _words(library: str, value: int) -> Iterator[tuple[int, str]]:
    """Where the data of a loaded library hold an address, and the permissions there."""
    for addresses, permissions, *_, path in _mappings():
        if path == library and permissions[0] == "r" and permissions[2] == "-":
            start, stop = (int(part, 16) for part in addresses.split("-"))
            words = np.frombuffer(ctypes.string_at(start, stop - start), np.uint64)
            for index in np.flatnonzero(words == value):
                yield start + 8 * int(index), permissions
