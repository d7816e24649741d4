"""Images in a folder tree: `ROOT/<wnid>/*`, or all in one folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.images.listing import Listing, is_image, refuse_unlistable


def count_folders(root: Path, wnids: Sequence[str]) -> int:
    """How many of the wnids have a folder under `root`."""
    if not root.is_dir():
        return 0
    with os.scandir(root) as entries:
        return len({entry.name for entry in entries if entry.is_dir()} & set(wnids))


def find_in_folders(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid; sub-folders, hidden files and other suffixes are left out."""
    paths = {wnid: tuple(f"{wnid}/{name}" for name in image_names(root / wnid)) for wnid in wnids}
    return Listing(str(root), "folder", paths)


def image_names(folder: Path) -> list[str]:
    """The sorted names of the images right in a folder; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:  # tells files from folders without asking for each
            names = sorted(entry.name for entry in entries if _is_image_file(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    refuse_unlistable(names, str(folder))
    return names


def _is_image_file(entry: os.DirEntry[str]) -> bool:
    return is_image(entry.name) and entry.is_file()


def read_from_folder(root: str, file: str, span: NDArray[np.int64] | None) -> bytes:
    """The bytes of one image; `span` is not needed here."""
    return Path(root, file).read_bytes()
