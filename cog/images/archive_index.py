"""The images inside one file (a tar, a shard), found once and kept as an index.

The index lies in `.cog-index/` beside the file, or in the user's cache folder if that folder cannot
be written. It is valid for one size and time of change of the file, and is written by rename.
Layout: a line of JSON (which file, how many images, a checksum), int64 [m, 2], a name a line.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from cog.errors import CogError
from cog.images.class_names import folder_of, read_class_list
from cog.images.listing import Listing, Span
from cog.storage import write_bytes

VERSION = 1  # of what is found in a file; an index of another version is built again
FOLDER = ".cog-index"
WNID_LENGTH = 9


@dataclass(frozen=True, eq=False)
class Members:
    """Names with their `Span`s, int64 [m, 2]; `skipped` counts entries that are no images."""

    names: list[str]
    spans: NDArray[np.int64]
    skipped: int = 0


def kept_members(
    container: Path, kind: str, find: Callable[[], Members], part: str = ""
) -> Members:
    """What `find` gives for a file, or for a `part` of it, read from its index if that is valid.

    `kind` is whatever else the result depends on; another kind needs another index.

    Raises:
        FileNotFoundError: no such file.
    """
    stat = container.stat()
    key = {"version": VERSION, "kind": kind, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    files = _index_files(container, part)
    for file in files:
        if members := _read_index(file, key):
            return members
    members = find()
    if container.stat().st_mtime_ns == stat.st_mtime_ns:  # else it is still being written
        for file in files:
            with suppress(OSError):  # read-only or full: try the next file, else do without
                body = members.spans.astype("<i8").tobytes() + "\n".join(members.names).encode()
                count = {"count": len(members.names), "skipped": members.skipped}
                head = json.dumps(key | count | {"crc32": zlib.crc32(body)})
                write_bytes(file, head.encode() + b"\n" + body)
                break
    return members


def _index_files(container: Path, part: str) -> tuple[Path, Path]:
    """The files that may hold the index: beside the container, and in the cache folder."""
    name = f"{container.name}/{part}.index" if part else f"{container.name}.index"
    folder = hashlib.sha256(os.fsencode(container.parent.resolve())).hexdigest()[:16]
    cache = Path(os.environ.get("COG_HOME") or user_cache_dir("cog")) / "indexes" / folder
    return container.parent / FOLDER / name, cache / name


def _read_index(file: Path, key: dict[str, Any]) -> Members | None:
    """An index, or None if it is not there, is of another file or kind, or is damaged."""
    try:
        line, _, body = file.read_bytes().partition(b"\n")
        head = json.loads(line)
        if {name: head[name] for name in key} != key or head["crc32"] != zlib.crc32(body):
            return None
        count, skipped = int(head["count"]), int(head["skipped"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    spans = np.frombuffer(body, "<i8", 2 * count).astype(np.int64).reshape(count, 2)
    names = body[16 * count :].decode().split("\n") if count else []
    return Members(names, spans, skipped)


def read_span(file: Path, span: Span) -> bytes:
    """The bytes of one image whose span is its offset and size in the file.

    Raises:
        OSError: the file cannot be read, or ends before the span does.
    """
    offset, size = span
    with file.open("rb", buffering=max(size, 2)) as opened:  # reads no more than the span
        opened.seek(offset)
        data = opened.read(size)
    if len(data) < size:
        raise OSError(0, f"{file.name} ends before byte {offset + size:,}")
    return data


def size_of_span(_: Path, span: Span) -> int:
    """The size in bytes of an image whose span is its offset and size."""
    return span[1]


def list_shards(
    source: str,
    root: Path,
    files: Sequence[Path],
    find: Callable[[Path, Sequence[str], Path], Members],
    wnids: Sequence[str],
) -> Listing:
    """The listing of shards: `find` takes a file, the class list beside it, and their folder."""
    folder = folder_of(root)
    known = read_class_list(folder)
    kind = f"{source} {hashlib.sha256(' '.join(known).encode()).hexdigest()}"
    parts = [kept_members(file, kind, partial(find, file, known, folder)) for file in files]
    return gather(folder, source, files, parts, wnids)


def gather(
    root: Path, source: str, files: Sequence[Path], parts: Sequence[Members], wnids: Sequence[str]
) -> Listing:
    """The listing of files that may hold any class, and whose members are named `wnid/file`.

    Raises:
        CogError: an image that is there twice.
    """
    found: dict[str, list[tuple[str, int]]] = {wnid: [] for wnid in wnids}
    for row, path in enumerate(chain.from_iterable(members.names for members in parts)):
        if (rows := found.get(path[:WNID_LENGTH])) is not None:
            rows.append((path, row))
    numbers = np.repeat(np.arange(len(parts)), [len(members.names) for members in parts])
    every = np.concatenate([np.empty((0, 2), np.int64), *(members.spans for members in parts)])
    paths: dict[str, tuple[str, ...]] = {}
    spans: dict[str, NDArray[np.int64]] = {}
    for wnid, rows in found.items():
        rows.sort()
        paths[wnid] = tuple(path for path, _ in rows)
        own = np.array([row for _, row in rows], np.intp)
        spans[wnid] = np.column_stack([numbers[own], every[own]])
    twice = [path for own in paths.values() for path, after in pairwise(own) if path == after]
    if twice:
        raise CogError(
            f"{len(twice):,} images are there more than once in {root}: {', '.join(twice[:5])}",
            "remove the files that repeat others, for example shards of a second download",
        )
    names = tuple(file.relative_to(root).as_posix() for file in files)
    return Listing(str(root), source, paths, spans, names, skipped_note(parts, source))


def skipped_note(parts: Sequence[Members], what: str) -> tuple[str, ...]:
    """How many entries were left out, if any were."""
    count = sum(members.skipped for members in parts)
    return (f"{count:,} entries of the {what} files are not images of a class",) if count else ()
