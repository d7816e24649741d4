"""Images in Parquet files as Hugging Face exports them: `image` {bytes, path} and `label`.

- The class of a label is the label itself, if that is text and a wnid; else the wnid among the
  names in the file's own `huggingface` metadata; else the wnid in the path, as in imagenet-1k; else
  the label is an index in the class list beside the files. Columns of other types are refused.
- If the column of bytes is not compressed, as in newer exports, a span is the offset and size of an
  image in the file, and it is read as from a tar. The first listing reads the files to find these.
- If the column is compressed, a span is −1 − row group, and the row. An image costs the unpacking
  of its row group; the last few groups are kept. That is cheap if a file is ordered by class and
  slow if it is shuffled, which a note says.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cog.errors import CogError
from cog.images.archive_index import Members, read_span
from cog.images.class_names import (
    image_path,
    named_path,
    no_class,
    no_name,
    shard_files,
)
from cog.images.listing import Listing, Span, is_image, reason_in_a_line, refuse_unlistable
from cog.images.parquet_columns import check_columns, no_bytes
from cog.images.plain_files import open_plain
from cog.images.shards import list_named, list_shards
from cog.recipe import WNID
from cog.small_files import parse_json

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_PAGE_BYTES = 1 << 16  # read at once of a page
GROUPS_KEPT = 4  # unpacked row groups: of 100 images each, by default, about 10 MB


def find_in_parquet(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid, from all files; rows with a label below 0 have no class.

    Raises:
        CogError: pyarrow is not installed; a file is damaged or is no such export; an image is
            there twice, or its class cannot be known.
    """
    files = shard_files(root, ".parquet")
    listing = list_shards("parquet", root, files, _find, wnids, read_from_parquet)
    return replace(listing, notes=(*listing.notes, *_scattered(listing)))


def find_named(root: Path, files: Sequence[Path]) -> Listing:
    """The images of some files by class, whatever the names of the classes are.

    Raises:
        CogError: as `find_in_parquet` does.
    """
    find = partial(_find, any_name=True)
    listing = list_named("parquet", root, files, find, read_from_parquet)
    return replace(listing, notes=(*listing.notes, *_scattered(listing)))


def read_from_parquet(file: Path, span: Span) -> bytes:
    """The bytes of one image, in place or from its unpacked row group."""
    if span[0] >= 0:
        return read_span(file, span)
    return _group(file, file.stat().st_mtime_ns, -1 - span[0]).image(span[1])


def size_in_parquet(file: Path, span: Span) -> int:
    """The size of one image in bytes; a compressed one must be read."""
    return span[1] if span[0] >= 0 else len(read_from_parquet(file, span))


class _Group:
    """The images of one row group; the first thread that reads one unpacks them all."""

    def __init__(self, file: Path, _: int, number: int) -> None:
        self.file, self.number = file, number
        self.lock = threading.Lock()
        self.images: pa.ChunkedArray | None = None

    def image(self, row: int) -> bytes:
        """The bytes of one image; OSError if they cannot be unpacked."""
        try:
            with self.lock:
                if self.images is None:
                    with _open(self.file) as opened:
                        self.images = _bytes_column(opened, self.number)
            return bytes(self.images[row].as_py() or b"")  # no bytes: an empty file
        except (OSError, CogError):
            raise
        except Exception as error:  # pyarrow raises nearly anything for damaged files
            raise OSError(
                0, f"row group {self.number} is damaged: {reason_in_a_line(error)}"
            ) from error


_group = lru_cache(maxsize=GROUPS_KEPT)(_Group)  # of a file, its time of change and a number


@contextmanager
def _open(file: Path) -> Iterator[pq.ParquetFile]:
    """An opened Parquet file.

    Raises:
        CogError: pyarrow is not installed; or the file is not whole, as its end or whatever is read
            of it in the block tells.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise CogError(
            f"{file} needs pyarrow", "install it: pip install 'imagenet-cog[parquet]'"
        ) from error
    open_plain(file).close()  # pyarrow would wait for the writer of a FIFO
    try:
        with pq.ParquetFile(file) as opened:
            yield opened
    except CogError:
        raise
    except Exception as error:  # pyarrow raises nearly anything for damaged files
        if isinstance(error, OSError) and error.errno:
            raise
        raise CogError(
            f"{file} is not a whole Parquet file ({reason_in_a_line(error)})", "download it again"
        ) from error


def _bytes_column(opened: pq.ParquetFile, group: int) -> pa.ChunkedArray:
    """The encoded images of a row group."""
    import pyarrow as pa

    column = opened.read_row_group(group, columns=["image.bytes"]).column("image")
    chunks = [chunk.field("bytes") for chunk in column.chunks]
    if chunks and isinstance(chunks[0], pa.DictionaryArray):
        chunks = [chunk.dictionary_decode() for chunk in chunks]
    return pa.chunked_array(chunks, pa.binary() if not chunks else None)


def _find(file: Path, known: Sequence[str], folder: Path, any_name: bool = False) -> Members:
    """The images of one file, as `wnid/file`, or as `class/file` where names are free."""
    with _open(file) as opened:
        types = check_columns(file, opened.schema_arrow)
        if _has_no_bytes(opened, file):
            raise no_bytes(file)
        class_of = _classes_of_labels(opened, any_name)
        where = f"{file} (its labels are of type {types['label']})"
        paths: list[str] = []
        spans: list[tuple[int, int]] = []
        skipped = Counter[str]()
        for group in range(opened.num_row_groups):
            in_place = _spans(opened, file, group)
            table = opened.read_row_group(group, columns=["image.path", "label"])
            chunks = table.column("image").chunks
            names = [name for chunk in chunks for name in chunk.field("path").to_pylist()]
            labels = table.column("label").to_pylist()
            for row, (name, label) in enumerate(zip(names, labels, strict=True)):
                if isinstance(label, int) and label < 0:  # of a test set without labels
                    skipped["with a label below 0"] += 1
                    continue
                classes = [] if label is None else [class_of.get(label, label)]
                own = name if name and is_image(name) else f"{file.stem}-{group}-{row}.jpg"
                paths.append(_path(own, classes, known, any_name))
                if not paths[-1]:
                    no = no_name if any_name else no_class
                    raise no(where, own, classes, known, folder)
                spans.append(in_place[row] if in_place else (-1 - group, row))
    if paths and not any(first < 0 or size for first, size in spans):
        raise no_bytes(file)
    refuse_unlistable(paths, str(file))
    return Members(paths, np.array(spans, np.int64).reshape(-1, 2), skipped)


def _path(own: str, classes: Sequence[object], known: Sequence[str], any_name: bool) -> str:
    """`wnid/file`, or `class/file` where names are free; empty if the class cannot be known."""
    if any_name:
        return named_path(own, classes, known)
    return image_path([own], classes, known)


def _has_no_bytes(opened: pq.ParquetFile, file: Path) -> bool:
    """Whether there are rows, and none has the bytes of its image."""
    for group in range(opened.num_row_groups):
        kept = _chunk_of_bytes(opened, file, group).statistics
        count = kept.null_count if kept is not None and kept.has_null_count else None
        if count is None:
            count = _bytes_column(opened, group).null_count
        if count < opened.metadata.row_group(group).num_rows:
            return False
    return bool(opened.metadata.num_rows)


def _classes_of_labels(opened: pq.ParquetFile, any_name: bool) -> dict[object, str]:
    """The class of every label by the metadata: the wnid in its name, or where free, the name."""
    try:
        info = parse_json((opened.schema_arrow.metadata or {})[b"huggingface"], lenient=True)
        names = info["info"]["features"]["label"]["names"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    if not isinstance(names, list):
        return {}
    if any_name:
        return {label: name for label, name in enumerate(names) if type(name) is str}
    matches = ((label, WNID.match(name)) for label, name in enumerate(names) if type(name) is str)
    return {label: match[0] for label, match in matches if match}


def _chunk_of_bytes(opened: pq.ParquetFile, file: Path, group: int) -> pq.ColumnChunkMetaData:
    """What the file's end says of the encoded images of a row group.

    To ask for that of a damaged file ends the process (pyarrow 26), so that the first page is read
    before, which raises.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, metadata=opened.metadata, buffer_size=_PAGE_BYTES) as pages:
        next(pages.iter_batches(1, row_groups=[group], columns=["image.bytes"]), None)
    paths = [opened.schema.column(index).path for index in range(len(opened.schema))]
    return opened.metadata.row_group(group).column(paths.index("image.bytes"))


def _spans(opened: pq.ParquetFile, file: Path, group: int) -> list[Span]:
    """Offset and size in the file of every image of a row group; none if it is compressed.

    A search for the bytes of each image finds them: the layout of pages need not be known.
    """
    column = _chunk_of_bytes(opened, file, group)
    if column.compression != "UNCOMPRESSED":
        return []
    first = column.dictionary_page_offset or column.data_page_offset
    raw = read_span(file, (first, column.total_compressed_size))
    spans, start = [], 0
    for image in _bytes_column(opened, group):
        data = image.as_buffer() or b""  # no bytes: an empty file
        offset = raw.find(data, start)
        if offset < 0:
            offset = raw.find(data)  # equal images are stored once, in a dictionary
        if offset < 0:
            return []
        spans.append((first + offset, len(data)))
        start = offset + len(data)
    return spans


def _scattered(listing: Listing) -> tuple[str, ...]:
    """A note if row groups must be unpacked once for nearly each of their images."""
    packed = visits = 0
    for spans in (listing.spans or {}).values():
        groups = spans[spans[:, 1] < 0][:, :2]
        packed += len(groups)
        visits += len(np.unique(groups, axis=0))
    if packed < 1000 or visits * 4 < packed:
        return ()
    return (
        f"{packed:,} images are compressed, and each class is scattered over row groups: each read "
        "unpacks a whole row group; to read in place, write the files with compression='none'",
    )
