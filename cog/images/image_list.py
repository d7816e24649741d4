"""Image lists: the images of one split of one dataset, and their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.images.listing import Listing, Span
from cog.images.sources import IMAGE_SOURCES

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ImageList:
    """The images of one split of one dataset, sorted by class, then by path.

    The classes of a level are wnids; those of other labelled images have any names.
    """

    root: str
    source: str  # a key of IMAGE_SOURCES
    paths: tuple[str, ...]  # relative; of a level "wnid/file"
    labels: NDArray[np.int64]  # [m], index in classes
    classes: tuple[str, ...]  # names, sorted
    split: str  # train | test
    spans: NDArray[np.int64] | None = None  # [m, 3], index in containers and Span, as in Listing
    containers: tuple[str, ...] = ()  # relative to the root: tars, shards, listed files

    def __len__(self) -> int:
        """Number of images."""
        return len(self.paths)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of classes, paths, labels and split: the same from any source."""
        digest = hashlib.sha256()
        for part in (self.split, *self.classes, "", *self.paths, ""):  # no name has a NUL in it
            digest.update(part.encode() + b"\0")
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()


def choose(listing: Listing, rows: Mapping[str, NDArray[np.intp]], split: str) -> ImageList:
    """The list of the images at the given rows of each class; every key of `rows` is a class."""
    classes = tuple(sorted(rows))
    parts = [(name, np.sort(rows[name])) for name in classes]
    paths = [listing.paths[name][row] for name, part in parts for row in part]
    spans = None
    if listing.spans is not None:
        own = [listing.spans[name][part] for name, part in parts]
        spans = np.concatenate([np.empty((0, 3), np.int64), *own])
    labels = np.repeat(np.arange(len(classes)), [len(part) for _, part in parts]).astype(np.int64)
    return ImageList(
        listing.root, listing.source, tuple(paths), labels, classes, split, spans,
        listing.containers,
    )  # fmt: skip


def every_image(listing: Listing, split: str, classes: Iterable[str] | None = None) -> ImageList:
    """The list of all images of some classes of a listing, by default of all of them."""
    names = listing.paths if classes is None else classes
    return choose(listing, {name: np.arange(len(listing.paths[name])) for name in names}, split)


def some_images(images: ImageList, rows: Sequence[int] | NDArray[np.int64]) -> ImageList:
    """The images of a list at these rows, in this order; the classes stay."""
    own = np.asarray(rows, np.int64)
    return replace(
        images,
        paths=tuple(images.paths[row] for row in own.tolist()),
        labels=images.labels[own],
        spans=None if images.spans is None else images.spans[own],
    )


def with_own_classes(images: ImageList) -> ImageList:
    """A list with those of its classes alone that it has images of."""
    own, labels = np.unique(images.labels, return_inverse=True)
    names = tuple(images.classes[label] for label in own.tolist())
    return replace(images, labels=labels.astype(np.int64), classes=names)


def read_bytes(images: ImageList, index: int) -> bytes:
    """The bytes of one image, as they are in its file; safe to call from several threads.

    Raises:
        CogError: the file is gone, or the disk has an error. That is no property of the image, as
            damage is, so features must not record the image as unreadable.
    """
    return _at(images, index, IMAGE_SOURCES[images.source].read)


def size_of(images: ImageList, index: int) -> int:
    """The size of one image in bytes, without reading it if possible; raises as `read_bytes`."""
    return _at(images, index, IMAGE_SOURCES[images.source].size_of)


def _at(images: ImageList, index: int, read: Callable[[Path, Span], T]) -> T:
    """What `read` gives for the file that an image lies in, and its span there."""
    file, first, second = images.paths[index], 0, 0
    if images.spans is not None:
        container, first, second = images.spans[index].tolist()
        file = images.containers[container]
    with reading(images.root, images.paths[index]):
        return read(Path(images.root, file), (first, second))


@contextmanager
def reading(root: str, path: str) -> Iterator[None]:
    """A context in which an error of the disk becomes a CogError that names the image."""
    try:
        yield
    except OSError as error:
        raise CogError(
            f"cannot read {path} in {root} ({error.strerror or error})",
            "check the disk and the file, and run the same command again to continue",
        ) from error
