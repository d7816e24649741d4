"""Images in Parquet files as Hugging Face exports them: `image` {bytes, path} and `label`.

- The class of a label is a wnid among the names in the file's own `huggingface` metadata; else the
  wnid in the path, which imagenet-1k has; else a place in the class list beside the files.
- Where the column of bytes is not compressed, as newer exports have it, the index holds the place
  of every image, and one is read as from a tar. To find them, the first listing reads it all.
- Where it is compressed, an image costs the unpacking of its row group, and the last few groups
  are kept: cheap where a file is ordered by class, dear where it is shuffled, and that is said.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.images.archive_index import Members, gather, kept_members, read_span
from cog.images.class_names import (
    folder_of,
    image_path,
    no_class,
    read_class_list,
    shard_files,
)
from cog.images.listing import Listing, is_image, refuse_unlistable
from cog.recipe import WNID

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

GROUPS_KEPT = 4  # unpacked row groups: of 100 images each, by default, about 10 MB


def count_parquet(root: Path, wnids: Sequence[str]) -> int:
    """All of the wnids, if there are Parquet files; which of them they hold takes an index."""
    return len(wnids) if shard_files(root, ".parquet") else 0


def find_in_parquet(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid, from all files; rows with a label below 0 have no class.

    Raises:
        CogError: pyarrow is not installed; a file that is no such export or is damaged; an image
            whose class cannot be known, or one that is there twice.
    """
    folder, files = folder_of(root), shard_files(root, ".parquet")
    known = read_class_list(folder)
    kind = f"parquet {hashlib.sha256(' '.join(known).encode()).hexdigest()}"
    parts = [kept_members(f, kind, partial(_find, f, known, folder)) for f in files]
    listing = gather(folder, "parquet", files, parts, wnids)
    note = _scattered(listing)
    if not note:
        return listing
    return Listing(
        listing.root, listing.source, listing.paths, listing.spans, listing.containers,
        (*listing.notes, note),
    )  # fmt: skip


def read_from_parquet(root: str, file: str, span: NDArray[np.int64] | None) -> bytes:
    """The bytes of one image: in place, or (offset below 0) by its row group and row."""
    assert span is not None
    if span[0] >= 0:
        return read_span(root, file, span)
    path = Path(root, file)
    group = _group(str(path), path.stat().st_mtime_ns, -1 - int(span[0]))
    return group.image(int(span[1]))


class _Group:
    """The images of one row group, unpacked when the first is asked for, by one thread."""

    def __init__(self, file: str, number: int) -> None:
        self.file, self.number = file, number
        self.lock = threading.Lock()
        self.images: pa.Array | None = None

    def image(self, row: int) -> bytes:
        """The bytes of one image."""
        with self.lock:
            if self.images is None:
                with _open(Path(self.file)) as opened:
                    self.images = _bytes_column(opened, self.number)
        return bytes(self.images[row].as_py() or b"")  # no bytes: an empty file


@lru_cache(maxsize=GROUPS_KEPT)
def _group(file: str, mtime_ns: int, number: int) -> _Group:
    return _Group(file, number)


def _open(file: Path) -> pq.ParquetFile:
    """An opened Parquet file.

    Raises:
        CogError: pyarrow is not installed, or the file is not whole.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise CogError(
            f"{file} needs pyarrow", "install it: pip install 'imagenet-cog[parquet]'"
        ) from error
    try:
        return pq.ParquetFile(file)
    except pa.ArrowException as error:
        raise CogError(
            f"{file} is not a whole Parquet file ({' '.join(str(error).split())[:200]})",
            "fetch it again",
        ) from error


def _bytes_column(opened: pq.ParquetFile, group: int) -> pa.Array:
    """The encoded images of a row group; OSError if it is damaged."""
    import pyarrow as pa

    try:
        table = opened.read_row_group(group, columns=["image.bytes"])
    except pa.ArrowException as error:
        raise OSError(f"row group {group} is damaged: {error}") from error
    return table.column("image").combine_chunks().field("bytes")


def _find(file: Path, known: Sequence[str], folder: Path) -> Members:
    """The images of one file, as `wnid/file`."""
    with _open(file) as opened:
        wnid_of = _wnids_of_labels(opened, file)
        paths: list[str] = []
        spans: list[tuple[int, int]] = []
        skipped = 0
        for group in range(opened.num_row_groups):
            places = _places(opened, file, group)
            for row, (name, label) in enumerate(_rows(opened, file, group)):
                if label is not None and label < 0:  # a test set without labels
                    skipped += 1
                    continue
                told = [] if label is None else [wnid_of.get(label, label)]
                own = name or f"{file.stem}-{group}-{row}.jpg"
                path = image_path([own], told, known)
                if not path:
                    raise no_class(str(file), own, f"label {label}, no wnid in its path", folder)
                paths.append(path)
                spans.append(places[row] if places else (-1 - group, row))
    refuse_unlistable(paths, str(file))
    return Members(paths, np.array(spans, np.int64).reshape(-1, 2), skipped)


def _wnids_of_labels(opened: pq.ParquetFile, file: Path) -> dict[int, str]:
    """The wnid of every label whose name in the metadata holds one.

    Raises:
        CogError: not the columns of such an export.
    """
    schema = opened.schema_arrow
    fields = {field.name: field for field in schema}
    inner = fields["image"].type if "image" in fields else None
    if inner is None or "label" not in fields or not {"bytes", "path"} <= _inner_names(inner):
        raise CogError(
            f"{file} has the columns {', '.join(fields)}, not image {{bytes, path}} and label",
            "give an export of an image data set, with its labels",
        )
    try:
        story = json.loads((schema.metadata or {})[b"huggingface"])
        names = story["info"]["features"]["label"]["names"]
    except (KeyError, ValueError, TypeError):
        return {}
    found = ((label, WNID.match(str(name))) for label, name in enumerate(names))
    return {label: match[0] for label, match in found if match}


def _inner_names(kind: Any) -> set[str]:
    import pyarrow as pa

    return {field.name for field in kind} if pa.types.is_struct(kind) else set()


def _rows(opened: pq.ParquetFile, file: Path, group: int) -> Iterator[tuple[str, int | None]]:
    """Name and label of every row; a name that is no image's, or leads out, is none."""
    table = opened.read_row_group(group, columns=["image.path", "label"])
    names = table.column("image").combine_chunks().field("path").to_pylist()
    for name, label in zip(names, table.column("label").to_pylist(), strict=True):
        usable = bool(name) and is_image(name.rpartition("/")[2])
        yield (name if usable else ""), label


def _places(opened: pq.ParquetFile, file: Path, group: int) -> list[tuple[int, int]]:
    """Offset and size of every image of a row group in the file; none if it is compressed.

    The bytes are looked for, not computed from the layout of pages: what is found is right.
    """
    metadata = opened.metadata.row_group(group)
    columns = (metadata.column(index) for index in range(metadata.num_columns))
    column = next(column for column in columns if column.path_in_schema == "image.bytes")
    if column.compression != "UNCOMPRESSED":
        return []
    first = column.dictionary_page_offset or column.data_page_offset
    raw = read_span(str(file.parent), file.name, np.array([first, column.total_compressed_size]))
    places, start = [], 0
    for image in _bytes_column(opened, group):
        data = image.as_buffer()
        place = raw.find(data, start) if data is not None else -1
        if place < 0 and data is not None:
            place = raw.find(data)  # equal images are stored once, in a dictionary
        if place < 0:
            return []
        places.append((first + place, data.size))
        start = place + data.size
    return places


def _scattered(listing: Listing) -> str:
    """What to say of images whose row groups must be unpacked once for each of them."""
    packed = visits = 0
    for spans in (listing.spans or {}).values():
        groups = spans[spans[:, 1] < 0][:, :2]
        packed += len(groups)
        visits += len(np.unique(groups, axis=0))
    if packed < 1000 or visits * 4 < packed:
        return ""
    return (
        f"{packed:,} images are compressed and scattered over row groups by class: each read "
        "unpacks a whole row group; write the files again with compression='none' to read in place"
    )
