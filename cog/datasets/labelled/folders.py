"""Folders of labelled images: train/ and test/ with a folder a class; or folders of classes alone.

The test part may also be called val, valid or validation; capitals do not count. Where there are
several, the first of these is taken. Names of classes are in Unicode's composed form (NFC): "é" is
one name, however a file system writes it.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from cog.datasets.labelled.labelled import Labelled
from cog.datasets.labelled.parts import TESTS, TRAIN, choose_parts, unused_note
from cog.errors import CogError
from cog.images.listing import Listing, is_image, refuse_unlistable
from cog.images.sources.folder import find_in_folders, is_folder_or_lost
from cog.plain_text import printable

T = TypeVar("T")


def find_folders(root: Path) -> Labelled | None:
    """The labelled images in folders below `root`; None where it has none.

    Raises:
        CogError: a part without classes, or a folder that cannot be listed.
    """
    folders = [folder.name for folder in sub_folders(root)]
    if chosen := choose_parts(folders):
        train, test = (list_classes(root / part) for part in chosen[:2])
        if not (train.paths or test.paths):
            return None  # perhaps of shards
        return Labelled(train, test, f"{chosen.train}/{chosen.test}", notes=unused_note(chosen))
    listing = list_classes(root)
    if any(listing.paths.values()):
        return Labelled(listing, None)
    alone = next((name for name in folders if name.lower() in (*TRAIN, *TESTS)), "")
    if alone and any(list_classes(root / alone).paths.values()):
        raise CogError(
            f"{root} has {alone}/, but not both train/ and one of {', '.join(TESTS)}",
            f"add the other part, or give {root / alone} to draw a split from it",
        )
    return None


def what_is_there(root: Path) -> str:
    """Of a folder without labelled images: what it has instead, as the end of a sentence."""
    chosen = choose_parts(folder.name for folder in sub_folders(root))
    for folder in (root, *(root / part for part in (chosen or ())[:2])):
        if images := _loose_images(folder):
            where = "it" if folder == root else f"{folder.name}/"
            return f": {images:,} images lie right in {where}, without a folder for their class"
    for folder in sub_folders(root):
        if folder.is_dir() and find_folders(folder) is not None:
            return f", but in {folder}: give that"
    return ""


def sub_folders(root: Path) -> list[Path]:
    """The folders right under `root`, sorted by name, without hidden ones; links to nothing too.

    Raises:
        CogError: it cannot be listed.
    """
    names = [entry.name for entry in _entries(root) if is_folder_or_lost(entry)]
    return [root / name for name in sorted(names) if not name.startswith((".", "__"))]


def _loose_images(root: Path) -> int:
    """How many images lie right in a folder, without a folder for their class."""
    return sum(is_image(entry.name) and not is_folder_or_lost(entry) for entry in _entries(root))


def _entries(root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root) as entries:
            return list(entries)
    except OSError as error:
        what = f"the folder {root} cannot be listed ({error.strerror or error})"
        raise CogError(what, "give a folder that can be read") from error


def list_classes(root: Path) -> Listing:
    """The images below `root`, of which each folder is a class.

    Raises:
        CogError: a class that cannot be listed, or two whose names are one in Unicode.
    """
    folders = [folder.name for folder in sub_folders(root)]
    refuse_unlistable(folders, str(root))
    listing = find_in_folders(root, folders)
    for error in listing.damaged.values():
        raise error
    names = {folder: unicodedata.normalize("NFC", folder) for folder in folders}
    if len(set(names.values())) < len(names):
        twice = next(name for name, count in Counter(names.values()).items() if count > 1)
        raise CogError(
            f"two folders in {root} are called {printable(twice)}: they differ only in how Unicode "
            "writes one letter",
            "merge them, or rename one",
        )
    notes = listing.notes
    if loose := _loose_images(root):
        notes += (f"{loose:,} images right in {root} are not taken: they have no class",)
    return replace(
        listing,
        notes=notes,
        paths=_renamed(listing.paths, names),
        broken=_renamed(listing.broken, names),
        remarks=_renamed(listing.remarks, names),
    )


def _renamed(of_folders: Mapping[str, T], names: Mapping[str, str]) -> dict[str, T]:
    """What folders have, by the names of their classes."""
    return {names[folder]: value for folder, value in of_folders.items()}
