"""Images read in their order, those that lie near one another in one file at once.

In: where some images lie. Out: the bytes of each, and the errors that reading it alone would give.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cog.images.archive_index import read_span_of
from cog.images.image_list import ImageList, reading
from cog.images.listing import Span
from cog.images.plain_files import open_plain
from cog.images.sources import IMAGE_SOURCES

RUN_BYTES = 1 << 22  # read at once, at most, unless one image has more
GAP_BYTES = 1 << 14  # between two images that are read at once: headers, labels, short members


class Located(NamedTuple):
    """Where some images lie: all that it takes to read them, and no more of their list."""

    root: str
    source: str
    paths: tuple[str, ...]
    spans: list[list[int]] | None  # as in the spans of a list
    containers: dict[int, str]


def locate(images: ImageList, rows: slice) -> Located:
    """Where the images of some rows lie."""
    paths = images.paths[rows]
    if images.spans is None:
        return Located(images.root, images.source, paths, None, {})
    spans = images.spans[rows].tolist()
    containers = {number: images.containers[number] for number in {span[0] for span in spans}}
    return Located(images.root, images.source, paths, spans, containers)


def read_each(images: Located) -> Iterator[bytes]:
    """The bytes of each image, in order, as `read_bytes` gives them one by one.

    Raises:
        CogError: as `read_bytes`, when the turn of that image comes.
    """
    if images.spans is None:
        for path in images.paths:
            yield _read_alone(images, path, Path(images.root, path), (0, 0))
        return
    numbers = [span[0] for span in images.spans]
    start = 0
    for number, group in groupby(numbers):
        stop = start + len(list(group))
        yield from _read_container(
            images, Path(images.root, images.containers[number]), slice(start, stop)
        )
        start = stop


def _read_container(images: Located, file: Path, rows: slice) -> Iterator[bytes]:
    """The images of some rows that all lie in one file, which is opened once."""
    assert images.spans is not None
    paths, spans = images.paths[rows], images.spans[rows]
    if not IMAGE_SOURCES[images.source].in_place or min(span[1] for span in spans) < 0:
        for path, (_, first, second) in zip(paths, spans, strict=True):
            yield _read_alone(images, path, file, (first, second))
        return
    with reading(images.root, paths[0]):
        opened = open_plain(file, buffering=0)
    with opened:
        in_file = [(offset, size) for _, offset, size in spans]
        for run in _runs(in_file):
            yield from _read_run(opened, images, paths[run], in_file[run])


def _read_alone(images: Located, path: str, file: Path, span: Span) -> bytes:
    """The bytes of one image by its source."""
    with reading(images.root, path):
        return IMAGE_SOURCES[images.source].read(file, span)


def _runs(spans: Sequence[Span]) -> Iterator[slice]:
    """Slices of neighbours: in the order of their file, with small gaps.

    >>> list(_runs([(512, 90), (1536, 70), (2560, 80), (512, 90)]))
    [slice(0, 3, None), slice(3, 4, None)]
    """
    start = 0
    for row in range(1, len(spans)):
        (before, size), (offset, own) = spans[row - 1], spans[row]
        near = 0 <= offset - before - size <= GAP_BYTES
        if not near or offset + own - spans[start][0] > RUN_BYTES:
            yield slice(start, row)
            start = row
    yield slice(start, len(spans))


def _read_run(
    opened: BinaryIO, images: Located, paths: Sequence[str], spans: Sequence[Span]
) -> Iterator[bytes]:
    """The images of a run; one by one where they do not come whole, so that each has its error."""
    start, (offset, size) = spans[0][0], spans[-1]
    data = _read_at_once(opened, start, offset + size - start)
    for (offset, size), path in zip(spans, paths, strict=True):
        if data:
            yield data[offset - start : offset - start + size]
            continue
        with reading(images.root, path):
            alone = read_span_of(opened, (offset, size))
        yield alone


def _read_at_once(opened: BinaryIO, offset: int, size: int) -> bytes:
    """Bytes of an opened file; none if it has fewer, or cannot be read."""
    number, data = opened.fileno(), b""
    with suppress(OSError):
        if 0 < size <= os.fstat(number).st_size - offset:
            data = os.pread(number, size, offset)
    return data if len(data) == size else b""
