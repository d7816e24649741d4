"""What a source of images finds, and which files count as images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.plain_text import printable

# Suffixes of images and the formats that Pillow finds in such files; others are no images.
IMAGE_FORMATS = {
    "jpeg": "JPEG", "jpg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "png": "PNG", "bmp": "BMP",
    "dib": "BMP", "gif": "GIF", "tif": "TIFF", "tiff": "TIFF", "webp": "WEBP", "ppm": "PPM",
    "jp2": "JPEG2000",
}  # fmt: skip

# A surrogate says that the file system's bytes were not UTF-8.
_NOT_IN_A_LINE = re.compile(r"[\0\n\r\ud800-\udfff]")

_REASONS_SHOWN = 6

Span = tuple[int, int]
"""Where an image lies in its file: two numbers that only the source that made them can read."""


class Remark(NamedTuple):
    """Why a class has fewer images than its user may expect, and what to do about it."""

    found: str
    advice: str
    misplaced: bool = False  # its images are there, but not where they are looked for


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of some classes under one root: for each class its sorted paths.

    The classes of levels are wnids, and a path is `wnid/file`; else they may be any names, and
    paths anything. A class without images has an empty tuple. Where images are not files of that
    very path, `spans` has int64 [m, 3] for each class: an index in `containers`, and a `Span`.
    """

    root: str
    source: str
    paths: dict[str, tuple[str, ...]]
    spans: dict[str, NDArray[np.int64]] | None = None
    containers: tuple[str, ...] = ()  # relative to the root: tars, shards, listed files
    notes: tuple[str, ...] = ()  # what was left out, one sentence each
    damaged: Mapping[str, CogError] = field(default_factory=dict)  # classes that cannot be listed
    broken: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # wnid → path → why
    remarks: Mapping[str, Remark] = field(default_factory=dict)  # of some wnids


def is_image(name: str) -> bool:
    """Whether a file of this name or path counts as an image: by its suffix, unless hidden.

    >>> is_image("n01440764_18.JPEG"), is_image("n01440764/._18.JPEG"), is_image("urls.txt")
    (True, False, False)
    """
    base = name.rpartition("/")[2]  # not by pathlib: there are millions of names
    stem, _, suffix = base.rpartition(".")
    return bool(stem) and not stem.startswith(".") and suffix.lower() in IMAGE_FORMATS


def why_no_image(name: str) -> str:
    """Why a file of this name or path does not count as an image, to be counted with its like.

    >>> why_no_image("a.avif"), why_no_image(".a.jpg"), why_no_image("README")
    ('.avif', 'hidden', 'without a suffix')
    >>> why_no_image("a.png.1")
    'with an odd suffix'
    """
    base = name.rpartition("/")[2]
    stem, _, suffix = base.rpartition(".")
    if base.startswith("."):
        return "hidden"
    if not stem or not suffix:
        return "without a suffix"
    known = suffix.isascii() and suffix.isalnum() and not suffix.isdecimal() and len(suffix) <= 8
    return f".{suffix.lower()}" if known else "with an odd suffix"


def skipped_note(skipped: Iterable[Mapping[str, int]], what: str) -> tuple[str, ...]:
    """How many entries were left out, and why; none if none were.

    Args:
        skipped: for files or folders, how many of their entries were left out, by reason.
        what: what these files or folders are.

    >>> skipped_note([{".txt": 2}, {".txt": 1, "hidden": 1}], "tars")
    ('4 entries of the tars are not images of a class: 3 .txt, 1 hidden',)
    """
    total: Counter[str] = Counter()
    for reasons in skipped:
        total.update(reasons)
    if not total:
        return ()
    ordered = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{count:,} {reason}" for reason, count in ordered[:_REASONS_SHOWN]]
    if rest := sum(count for _, count in ordered[_REASONS_SHOWN:]):
        shown.append(f"{rest:,} others")
    return (
        f"{total.total():,} entries of the {what} are not images of a class: {', '.join(shown)}",
    )


def reason_in_a_line(error: Exception) -> str:
    """The text of another library's error as a part of one line, with its kind.

    >>> reason_in_a_line(ValueError("bad:\\n- worse"))
    'ValueError: bad: - worse'
    """
    text = printable(" ".join(str(error).split()))[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def refuse_unlistable(names: Sequence[str], where: str) -> None:
    """Refuse file names that do not fit into a text file with one name a line.

    Raises:
        CogError: a line break or a NUL in a name, or bytes that are not UTF-8.
    """
    bad = [name for name in names if _NOT_IN_A_LINE.search(name)]
    if bad:
        raise CogError(
            f"{len(bad)} file names in {where} have line breaks or NULs, or are not UTF-8: "
            f"{', '.join(map(ascii, bad[:5]))}",
            "rename or remove those files",
        )
