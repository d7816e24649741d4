"""What a source of images finds, and what counts as an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError

# Formats that Pillow reads; a file with another suffix, or none, is no image.
IMAGE_SUFFIXES = frozenset(
    ["jpeg", "jpg", "jpe", "jfif", "png", "bmp", "dib", "gif", "tif", "tiff", "webp", "ppm", "jp2"]
)


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of some wnids under one root: for each wnid its sorted paths, `wnid/file`.

    A wnid without images is there, with no paths. Where images are not files of that very path,
    `spans` has int64 [m, 3] for each wnid: index in `containers`, offset and size in bytes.
    """

    root: str
    source: str
    paths: dict[str, tuple[str, ...]]
    spans: dict[str, NDArray[np.int64]] | None = None
    containers: tuple[str, ...] = ()  # relative to the root: tars, shards, listed files
    notes: tuple[str, ...] = ()  # what was passed over, a sentence each


def is_image(name: str) -> bool:
    """Whether a file of this name counts as an image: by suffix, and not if hidden.

    >>> is_image("n01440764_18.JPEG"), is_image("._n01440764_18.JPEG"), is_image("urls.txt")
    (True, False, False)
    """
    suffix = name.rpartition(".")[2].lower()  # by hand: there are millions of names
    return suffix in IMAGE_SUFFIXES and not name.startswith(".") and suffix != name.lower()


def refuse_unlistable(names: list[str], where: str) -> None:
    """Refuse file names that a text list, one name a line, could not hold.

    Raises:
        CogError: a line break in a name, or bytes that are not UTF-8.
    """
    bad = [name for name in names if not _fits_a_line(name)]
    if bad:
        raise CogError(
            f"{len(bad)} file names in {where} have line breaks or are not UTF-8: "
            f"{', '.join(map(ascii, bad[:5]))}",
            "rename or remove those files",
        )


def _fits_a_line(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # a surrogate: the file system's bytes were not UTF-8
        return False
    return "\n" not in name and "\r" not in name
