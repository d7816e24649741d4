"""Forms in which images lie under a root, one file each.

In: a root and wnids. Out: a `Listing`. To add a form: a file like folder.py and its entry in
`IMAGE_SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.images.archive_index import read_span
from cog.images.listing import Listing
from cog.images.sources.folder import count_folders, find_in_folders, read_from_folder
from cog.images.sources.parquet import count_parquet, find_in_parquet, read_from_parquet
from cog.images.sources.tars import count_nested, count_tars, find_in_nested, find_in_tars
from cog.images.sources.text_list import count_listed, find_listed
from cog.images.sources.webdataset import count_shards, find_in_shards


@dataclass(frozen=True)
class ImageSource:
    """How images lie under a root."""

    count: Callable[[Path, Sequence[str]], int]  # wnids that have a place there, cheaply
    find: Callable[[Path, Sequence[str]], Listing]
    read: Callable[[str, str, NDArray[np.int64] | None], bytes]  # root, file, offset and size
    a_place_each: bool = False  # a class has its own file or folder, so that counting is exact


IMAGE_SOURCES: dict[str, ImageSource] = {
    "folder": ImageSource(count_folders, find_in_folders, read_from_folder, a_place_each=True),
    "tar": ImageSource(count_tars, find_in_tars, read_span, a_place_each=True),
    "list": ImageSource(count_listed, find_listed, read_span),
    "parquet": ImageSource(count_parquet, find_in_parquet, read_from_parquet),
    "nested": ImageSource(count_nested, find_in_nested, read_span),
    "webdataset": ImageSource(count_shards, find_in_shards, read_span),
}
