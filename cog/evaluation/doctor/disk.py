"""How fast files of the size of a chunk are written and read where results go."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from cog.object_storage import Url
from cog.storage import StoragePath, nearest_folder

CHUNK = 16_000_000  # bytes: 8,000 rows of 1,024 numbers of two bytes
MOST = 16  # chunks


@dataclass(frozen=True)
class Disk:
    """Bytes a second at a storage path."""

    path: str
    write: float
    """until the disk has them, by fsync"""
    read: float
    """with Linux, after its cache was asked to forget them"""
    bytes: int
    """that were written, and removed"""


def disk_rates(out: StoragePath, seconds: float) -> Disk:
    """Write and read files like chunks at `out`, or above it where it is not there yet.

    As many as begin within `seconds`, and at most 16 of 16 MB; they are removed again.

    Raises:
        OSError: nothing can be written there.
    """
    folder = out if isinstance(out, Url) else nearest_folder(out)
    key = secrets.token_hex(4)
    paths = [folder / f".cog-doctor-{os.getpid()}-{key}-{number}" for number in range(MOST)]
    data = os.urandom(CHUNK)
    written: list[StoragePath] = []

    def write(path: StoragePath) -> None:
        written.append(path)
        _write(path, data)

    try:
        write_rate = _rate(write, paths, seconds)
        read_rate = _rate(lambda path: path.read_bytes(), list(written), seconds)
    finally:
        for path in written:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return Disk(str(folder), write_rate, read_rate, CHUNK * len(written))


def _write(path: StoragePath, data: bytes) -> None:
    if isinstance(path, Url):
        path.write_bytes(data)
        return
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _rate(work: Callable[[StoragePath], object], paths: list[StoragePath], seconds: float) -> float:
    """Bytes a second of work on chunks that begins within some seconds."""
    begun = time.perf_counter()
    done = 0
    for path in paths:
        work(path)
        done += 1
        if time.perf_counter() - begun >= seconds:
            break
    return done * CHUNK / (time.perf_counter() - begun)
