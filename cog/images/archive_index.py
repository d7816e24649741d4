"""The images inside one file (a tar, a shard), found once and kept as an index.

The index lies in `.cog-index/` beside the file, or in the user's cache folder if that folder cannot
be written or is a link. It is valid for one size and time of change of the file, if all that it
says can be true of that file, and is written by rename; else it is made again.
Layout: a line of JSON (which file, how many images, a checksum), int64 [m, 2], a name a line.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.images.listing import Span
from cog.images.plain_files import kind_of_file, open_plain
from cog.storage import cache_folder, write_bytes

VERSION = 2  # of what is found in a file; an index of another version is built again
FOLDER = ".cog-index"
_MOST_BYTES = 1 << 20, 64  # of an index: these, and so many for each byte of its file


@dataclass(frozen=True, eq=False)
class Members:
    """Names with their `Span`s, int64 [m, 2]; `skipped` counts other entries by reason."""

    names: list[str]
    spans: NDArray[np.int64]
    skipped: Mapping[str, int] = field(default_factory=dict)


def kept_members(
    container: Path, kind: str, find: Callable[[], Members], part: str = ""
) -> Members:
    """What `find` gives for a file, or for a `part` of it, read from its index if that is valid.

    `kind` is whatever else the result depends on; another kind needs another index.

    Raises:
        FileNotFoundError: no such file.
        CogError: it is no plain file, but a FIFO, say.
    """
    status = container.stat()
    if kind_found := kind_of_file(status.st_mode):
        raise CogError(
            f"{container} is {kind_found}: expected a file", "remove it, or put the file there"
        )
    key = {"version": VERSION, "kind": kind, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    files = [file for file, own in _index_files(container, part) if not _has_link(file, own)]
    for file in files:
        if members := _read_index(file, key):
            return members
    members = find()
    if container.stat().st_mtime_ns == status.st_mtime_ns:  # else it is still being written
        for file in files:
            with suppress(OSError):  # read-only or full: try the next file, else do without
                body = members.spans.astype("<i8").tobytes() + "\n".join(members.names).encode()
                count = {"count": len(members.names), "skipped": dict(members.skipped)}
                head = json.dumps(key | count | {"crc32": zlib.crc32(body)})
                write_bytes(file, head.encode() + b"\n" + body)
                break
    return members


def _index_files(container: Path, part: str) -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    """The files that may hold the index, each with the topmost folder that is made for it.

    They are beside the container, and in the cache folder.
    """
    name = f"{container.name}/{part}.index" if part else f"{container.name}.index"
    folder = hashlib.sha256(os.fsencode(container.parent.resolve())).hexdigest()[:16]
    cache = cache_folder("indexes")
    beside = container.parent / FOLDER
    return (beside / name, beside), (cache / folder / name, cache)


def _has_link(file: Path, own: Path) -> bool:
    """Whether an index would be read or written through a link, or over what is no plain file."""
    for path in (file, *file.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) if path == file else stat.S_ISDIR(mode)):
                return True
        if path == own:
            break
    return False


def _read_index(file: Path, key: dict[str, Any]) -> Members | None:
    """An index, or None if it is not there, is of another file or kind, or is damaged."""
    try:
        with open_plain(file, follow=False) as opened:
            size = os.fstat(opened.fileno()).st_size
            if size > _MOST_BYTES[0] + _MOST_BYTES[1] * key["size"]:
                return None
            line, _, body = opened.read().partition(b"\n")
        head = json.loads(line)
        if {name: head[name] for name in key} != key or head["crc32"] != zlib.crc32(body):
            return None
        return _members_in(body, head["count"], head["skipped"], key["size"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _members_in(body: bytes, count: Any, skipped: Any, size: int) -> Members | None:
    """What an index says, or None if that cannot be true of a file of `size` bytes."""
    counts = [count, *(skipped.values() if isinstance(skipped, dict) else [None])]
    if not all(type(number) is int and number >= 0 for number in counts):
        return None
    if 16 * count > len(body):
        return None
    spans = np.frombuffer(body, "<i8", 2 * count).astype(np.int64).reshape(count, 2)
    names = body[16 * count :].decode().split("\n") if count else []
    first, second = spans[:, 0], spans[:, 1]
    in_place = first >= 0  # else a row group and a row
    fits = (second >= 0) & (~in_place | ((first <= size) & (second <= size - first)))
    return Members(names, spans, skipped) if len(names) == count and fits.all() else None


def read_span(file: Path, span: Span) -> bytes:
    """The bytes of one image whose span is its offset and size in the file.

    Raises:
        OSError: the file is no plain file, cannot be read, or ends before the span does.
    """
    with open_plain(file, buffering=0) as opened:  # reads no more than the span
        return read_span_of(opened, span)


def read_span_of(opened: BinaryIO, span: Span) -> bytes:
    """The bytes of a span of a file that `open_plain` opened, wherever it stands.

    Raises:
        OSError: the file cannot be read, or ends before the span does.
    """
    offset, size = span
    data = b""
    if offset >= 0 and 0 <= size <= os.fstat(opened.fileno()).st_size - offset:
        data = os.pread(opened.fileno(), size, offset)
        while len(data) < size and (
            more := os.pread(opened.fileno(), size - len(data), offset + len(data))
        ):
            data += more
        if len(data) == size:
            return data
    raise OSError(0, f"{Path(opened.name).name} ends before byte {offset + size:,}")


def size_of_span(_: Path, span: Span) -> int:
    """The size in bytes of an image whose span is its offset and size."""
    return span[1]
