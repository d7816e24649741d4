"""Forms in which images lie under a root, one file each.

In: a root and wnids. Out: a `Listing`, and the bytes of its images. To add a form: a file like
folder.py (read it first) and its entry in `IMAGE_SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cog.images.archive_index import read_span, size_of_span
from cog.images.class_names import shard_files
from cog.images.listing import Listing, Span
from cog.images.sources.folder import class_folders, find_in_folders, read_file, size_of_file
from cog.images.sources.parquet import find_in_parquet, read_from_parquet, size_in_parquet
from cog.images.sources.tars import class_tars, find_in_nested, find_in_tars, other_tars
from cog.images.sources.text_list import find_listed, list_files
from cog.images.sources.webdataset import find_in_shards


@dataclass(frozen=True)
class ImageSource:
    """One form in which images lie under a root.

    Args:
        claims: the folders or files of this form at a root; cheap, as nothing is listed.
        find: the images of wnids; if it `has_fields`, it takes an image key too.
        read: the bytes of an image, from the file that it lies in and its span there.
        size_of: their number; without reading them where the span tells it.
        by_class: each folder or file that it claims holds one class, and its name is the wnid.
        has_fields: an image is a field of a sample, of which there may be several.
        in_place: a span from 0 up is the offset and the size of the image in its file.
    """

    claims: Callable[[Path], list[Path]]
    find: Callable[..., Listing]
    read: Callable[[Path, Span], bytes]
    size_of: Callable[[Path, Span], int]
    by_class: bool = False
    has_fields: bool = False
    in_place: bool = False


IMAGE_SOURCES: dict[str, ImageSource] = {
    "folder": ImageSource(class_folders, find_in_folders, read_file, size_of_file, by_class=True),
    "tar": ImageSource(
        class_tars, find_in_tars, read_span, size_of_span, by_class=True, in_place=True
    ),
    "list": ImageSource(list_files, find_listed, read_file, size_of_file),
    "parquet": ImageSource(
        partial(shard_files, suffix=".parquet"),
        find_in_parquet,
        read_from_parquet,
        size_in_parquet,
        in_place=True,
    ),
    "nested": ImageSource(
        partial(other_tars, nested=True), find_in_nested, read_span, size_of_span, in_place=True
    ),
    "webdataset": ImageSource(
        other_tars, find_in_shards, read_span, size_of_span, has_fields=True, in_place=True
    ),
}
