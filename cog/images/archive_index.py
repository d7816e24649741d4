"""The images inside one file (a tar, a shard), found once and kept as an index.

The index lies in `.cog-index/` beside the file, or in the user's cache folder where that place
cannot be written; it holds for the file's size and time of change, and is written by rename.
Layout: a line of JSON (what the index is of, how many, a checksum), int64 [m, 2], names by line.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from cog.errors import CogError
from cog.images.listing import Listing
from cog.storage import write_bytes

VERSION = 1  # of what is found in a file: another version finds it again
FOLDER = ".cog-index"
WNID_LENGTH = 9


@dataclass(frozen=True, eq=False)
class Members:
    """Names, with offset and size of each in bytes, int64 [m, 2]; `skipped` were no images."""

    names: list[str]
    spans: NDArray[np.int64]
    skipped: int = 0


def kept_members(
    container: Path, kind: str, find: Callable[[], Members], part: str = ""
) -> Members:
    """What `find` gives for a file, from its index if there is one that still holds.

    Args:
        container: the file.
        kind: whatever else the result depends on; another kind is another index.
        find: called only without an index.
        part: of the file, where an index holds only a part of it.

    Raises:
        FileNotFoundError: no such file.
    """
    stat = container.stat()
    key = {"version": VERSION, "kind": kind, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    places = _index_places(container, part)
    for place in places:
        members = _read_index(place, key)
        if members is not None:
            return members
    members = find()
    if container.stat().st_mtime_ns == stat.st_mtime_ns:  # else it is still being written
        for place in places:
            with suppress(OSError):  # read-only or full: the next place, or none
                write_bytes(place, _index_bytes(members, key))
                break
    return members


def _index_places(container: Path, part: str) -> tuple[Path, Path]:
    """Where the index may lie: beside the file, and in the cache folder."""
    name = f"{container.name}/{part}.index" if part else f"{container.name}.index"
    folder = hashlib.sha256(os.fsencode(container.parent.resolve())).hexdigest()[:16]
    cache = Path(os.environ.get("COG_HOME") or user_cache_dir("cog")) / "indexes" / folder
    return container.parent / FOLDER / name, cache / name


def _index_bytes(members: Members, key: dict[str, Any]) -> bytes:
    body = members.spans.astype("<i8").tobytes() + "\n".join(members.names).encode()
    count = {"count": len(members.names), "skipped": members.skipped}
    head = json.dumps(key | count | {"crc32": zlib.crc32(body)})
    return head.encode() + b"\n" + body


def _read_index(place: Path, key: dict[str, Any]) -> Members | None:
    """An index, or None if it is not there, is of another file or kind, or is damaged."""
    try:
        line, _, body = place.read_bytes().partition(b"\n")
        head = json.loads(line)
        if {name: head[name] for name in key} != key or head["crc32"] != zlib.crc32(body):
            return None
        count, skipped = int(head["count"]), int(head["skipped"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    spans = np.frombuffer(body, "<i8", 2 * count).astype(np.int64).reshape(count, 2)
    names = body[16 * count :].decode().split("\n") if count else []
    return Members(names, spans, skipped)


def read_span(root: str, file: str, span: NDArray[np.int64] | None) -> bytes:
    """The bytes of one image: `span` is its offset and size in the file; size −1 is all of it.

    Raises:
        OSError: the file cannot be read, or ends before the span does.
    """
    assert span is not None  # every list made from such files has spans
    offset, size = (int(value) for value in span)
    with Path(root, file).open("rb", buffering=0) as opened:
        if size < 0:
            return opened.read()
        opened.seek(offset)
        data = opened.read(size)
        while len(data) < size:  # a read may be short, over 2 GB and on some file systems
            more = opened.read(size - len(data))
            if not more:
                raise OSError(0, f"{file} ends before byte {offset + size:,}")
            data += more
    return data


def gather(
    root: Path, source: str, files: Sequence[Path], parts: Sequence[Members], wnids: Sequence[str]
) -> Listing:
    """The listing of files whose members are named `wnid/file`, whatever the class.

    Raises:
        CogError: an image that is there twice.
    """
    found: dict[str, list[tuple[str, int]]] = {wnid: [] for wnid in wnids}
    start = 0
    for members in parts:
        for row, path in enumerate(members.names, start):  # there are millions
            if (rows := found.get(path[:WNID_LENGTH])) is not None:
                rows.append((path, row))
        start += len(members.names)
    numbers = np.repeat(np.arange(len(parts)), [len(members.names) for members in parts])
    every = np.concatenate([np.empty((0, 2), np.int64), *(members.spans for members in parts)])
    paths: dict[str, tuple[str, ...]] = {}
    spans: dict[str, NDArray[np.int64]] = {}
    for wnid, rows in found.items():
        rows.sort()
        paths[wnid] = tuple(path for path, _ in rows)
        own = np.array([row for _, row in rows], np.intp)
        spans[wnid] = np.column_stack([numbers[own], every[own]])
    _refuse_twice(root, paths)
    names = tuple(file.relative_to(root).as_posix() for file in files)
    return Listing(str(root), source, paths, spans, names, skipped_note(parts, source))


def _refuse_twice(root: Path, paths: dict[str, tuple[str, ...]]) -> None:
    twice = [
        path for own in paths.values() for path, following in pairwise(own) if path == following
    ]
    if twice:
        raise CogError(
            f"{len(twice):,} images are more than once in {root}: {', '.join(twice[:5])}",
            "remove the files that repeat others, such as shards of two downloads",
        )


def skipped_note(parts: Sequence[Members], what: str) -> tuple[str, ...]:
    """How much was passed over, if anything was."""
    count = sum(members.skipped for members in parts)
    return (f"{count:,} entries of the {what} files are no images of a class",) if count else ()
