"""Where pictures are: lists of them from folders, tars, shards and lists, and their bytes.

To add a source: three functions like those of folder.py, and an entry in `IMAGE_SOURCES`. Whatever
the source, a picture's path is `wnid/file` as in a folder tree, so that all give equal fingerprints
for equal pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.images.folder import count_folders, find_in_folders, read_from_folder
from cog.images.listing import Listing as Listing
from cog.images.lists import count_listed, find_listed
from cog.images.members import read_span
from cog.images.parquet import count_parquet, find_in_parquet, read_from_parquet
from cog.images.tars import count_nested, count_tars, find_in_nested, find_in_tars
from cog.images.webdataset import count_shards, find_in_shards


@dataclass(frozen=True)
class ImageSource:
    """How pictures lie under a root."""

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


@dataclass(frozen=True, eq=False)
class ImageList:
    """The pictures of one split of one dataset, sorted by wnid, then by path."""

    root: str
    source: str  # a key of IMAGE_SOURCES
    paths: tuple[str, ...]  # relative, "wnid/file"
    labels: NDArray[np.int64]  # [m], index in wnids
    wnids: tuple[str, ...]  # sorted
    split: str  # train | test
    spans: NDArray[np.int64] | None = None  # [m, 3], index in containers, offset, size
    containers: tuple[str, ...] = ()  # relative to the root: tars, shards, listed files

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.paths)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of wnids, paths, labels and split: the same from any source."""
        digest = hashlib.sha256()
        for part in (self.split, *self.wnids, "", *self.paths, ""):  # no name has a NUL in it
            digest.update(part.encode() + b"\0")
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()


def find_pictures(root: Path, wnids: Sequence[str]) -> Listing:
    """The pictures of `wnids` under `root`, from the source that has most of them.

    Folders and tars of single classes go before files that hold many.

    Raises:
        CogError: no such folder, nothing of these wnids in it, or some in one form and some in
            another.
    """
    if not root.exists() and not any(root.parent.glob(root.name)):
        raise CogError(
            f"no folder {root}",
            "give the folder that holds <wnid>/ or <wnid>.tar, a tar, a list, or the folder of "
            "WebDataset or Parquet shards",
        )
    try:
        name = _best_source(root, wnids)
        listing = IMAGE_SOURCES[name].find(root, wnids) if name else None
        if listing is not None and any(listing.paths.values()):
            _refuse_two_forms(root, listing)
            return listing
        if listing is not None and IMAGE_SOURCES[name].a_place_each:
            return listing  # of empty folders: whoever asked says what is short
    except OSError as error:
        raise CogError(f"cannot list the pictures ({error})", "make that readable") from error
    example = wnids[0] if wnids else "<wnid>"
    raise CogError(
        f"none of the {len(wnids):,} classes is in {root}: "
        f"expected folders like {example}/, tars like {example}.tar, or shards that name them",
        "give the folder that holds them",
    )


def _best_source(root: Path, wnids: Sequence[str]) -> str:
    """The source with a place for most of the wnids, else the first that has shared files."""
    counts = {
        name: source.count(root, wnids)
        for name, source in IMAGE_SOURCES.items()
        if source.a_place_each
    }
    best = max(counts, key=counts.__getitem__)  # the first of equals
    if counts[best]:
        return best
    shared = (name for name, source in IMAGE_SOURCES.items() if not source.a_place_each)
    return next((name for name in shared if IMAGE_SOURCES[name].count(root, wnids)), "")


def _refuse_two_forms(root: Path, listing: Listing) -> None:
    """Refuse a root where classes that this source lacks are there in another form."""
    absent = [wnid for wnid, paths in listing.paths.items() if not paths]
    for name, source in IMAGE_SOURCES.items():
        if not source.a_place_each or name == listing.source or not absent:
            continue
        if others := source.count(root, absent):
            raise CogError(
                f"{root} holds {len(listing.paths) - len(absent):,} of the classes as "
                f"{listing.source}s and {others:,} others as {name}s",
                f"give all of them in one form: make {listing.source}s of those {name}s",
            )


def choose(listing: Listing, rows: Mapping[str, NDArray[np.intp]], split: str) -> ImageList:
    """The list of the pictures at the given rows of each wnid; every wnid of `rows` is a class."""
    wnids = tuple(sorted(rows))
    ordered = [np.sort(rows[wnid]) for wnid in wnids]
    paths = [
        listing.paths[wnid][row] for wnid, part in zip(wnids, ordered, strict=True) for row in part
    ]
    spans = None
    if listing.spans is not None:
        parts = [listing.spans[wnid][part] for wnid, part in zip(wnids, ordered, strict=True)]
        spans = np.concatenate([np.empty((0, 3), np.int64), *parts])
    labels = np.repeat(np.arange(len(wnids)), [len(part) for part in ordered]).astype(np.int64)
    return ImageList(
        listing.root, listing.source, tuple(paths), labels, wnids, split, spans, listing.containers
    )


def read_bytes(images: ImageList, row: int) -> bytes:
    """The bytes of one picture, as they are in its file; safe to call from several threads.

    Raises:
        CogError: the file cannot be read now (gone, or an error of the disk): unlike a damaged
            picture, this is not the picture's own property, so it must not be recorded as one.
    """
    file, span = images.paths[row], None
    if images.spans is not None:
        file, span = images.containers[images.spans[row, 0]], images.spans[row, 1:]
    try:
        return IMAGE_SOURCES[images.source].read(images.root, file, span)
    except OSError as error:
        raise CogError(
            f"cannot read {images.paths[row]} in {images.root} ({error.strerror or error})",
            "check the disk and the file, and run the same command to go on",
        ) from error
