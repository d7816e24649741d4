"""What a source of images finds, and which files count as images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError

# Suffixes of images and the formats that Pillow finds in such files; others are no images.
IMAGE_FORMATS = {
    "jpeg": "JPEG", "jpg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "png": "PNG", "bmp": "BMP",
    "dib": "BMP", "gif": "GIF", "tif": "TIFF", "tiff": "TIFF", "webp": "WEBP", "ppm": "PPM",
    "jp2": "JPEG2000",
}  # fmt: skip

# A surrogate says that the file system's bytes were not UTF-8.
_NOT_IN_A_LINE = re.compile(r"[\n\r\ud800-\udfff]")

Span = tuple[int, int]
"""Where an image lies in its file: two numbers that only the source that made them can read."""


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of some wnids under one root: for each wnid its sorted paths, `wnid/file`.

    A wnid without images has an empty tuple. Where images are not files of that very path, `spans`
    has int64 [m, 3] for each wnid: an index in `containers`, and a `Span`.
    """

    root: str
    source: str
    paths: dict[str, tuple[str, ...]]
    spans: dict[str, NDArray[np.int64]] | None = None
    containers: tuple[str, ...] = ()  # relative to the root: tars, shards, listed files
    notes: tuple[str, ...] = ()  # what was left out, one sentence each
    damaged: Mapping[str, CogError] = field(default_factory=dict)  # classes that cannot be listed


def is_image(name: str) -> bool:
    """Whether a file of this name or path counts as an image: by its suffix, unless hidden.

    >>> is_image("n01440764_18.JPEG"), is_image("n01440764/._18.JPEG"), is_image("urls.txt")
    (True, False, False)
    """
    base = name.rpartition("/")[2]  # not by pathlib: there are millions of names
    stem, _, suffix = base.rpartition(".")
    return bool(stem) and not stem.startswith(".") and suffix.lower() in IMAGE_FORMATS


def refuse_unlistable(names: Sequence[str], where: str) -> None:
    """Refuse file names that do not fit into a text file with one name a line.

    Raises:
        CogError: a line break in a name, or bytes that are not UTF-8.
    """
    bad = [name for name in names if _NOT_IN_A_LINE.search(name)]
    if bad:
        raise CogError(
            f"{len(bad)} file names in {where} have line breaks or are not UTF-8: "
            f"{', '.join(map(ascii, bad[:5]))}",
            "rename or remove those files",
        )
