"""Images in a folder tree: `ROOT/<wnid>/*`, or all in one folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cog.errors import CogError
from cog.images.listing import Listing, Span, is_image, refuse_unlistable
from cog.recipe import WNID


def class_folders(root: Path) -> list[Path]:
    """The folders right under `root` that are named by a wnid."""
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        return [Path(each) for each in entries if WNID.fullmatch(each.name) and each.is_dir()]


def find_in_folders(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid; sub-folders, hidden files and other suffixes are left out."""
    paths: dict[str, tuple[str, ...]] = dict.fromkeys(wnids, ())
    damaged: dict[str, CogError] = {}
    for wnid in paths:
        try:
            paths[wnid] = tuple(f"{wnid}/{name}" for name in image_names(root / wnid))
        except CogError as error:
            damaged[wnid] = error
    return Listing(str(root), "folder", paths, damaged=damaged)


def image_names(folder: Path) -> list[str]:
    """The sorted names of the images right in a folder; none if there is no such folder.

    Raises:
        CogError: names that do not fit into a text list.
    """
    try:
        with os.scandir(folder) as entries:  # knows files from folders without asking for each
            names = sorted(
                entry.name for entry in entries if is_image(entry.name) and entry.is_file()
            )
    except (FileNotFoundError, NotADirectoryError):
        return []
    refuse_unlistable(names, str(folder))
    return names


def read_file(file: Path, _: Span) -> bytes:
    """The bytes of an image that is a whole file."""
    return file.read_bytes()


def size_of_file(file: Path, _: Span) -> int:
    """The size in bytes of an image that is a whole file."""
    return file.stat().st_size
