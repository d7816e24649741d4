"""The images that can be listed, where some of the files that hold them are damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cog.errors import CogError
from cog.images.find import find_images
from cog.images.listing import Listing
from cog.images.sources import IMAGE_SOURCES

ALONE = ("folder", "tar", "nested")  # sources that list one class without reading the others


def find_sound_images(root: Path, wnids: Sequence[str]) -> tuple[Listing, dict[str, str]]:
    """What `find_images` gives, and why a class has none where its own file is damaged.

    Raises:
        CogError: as `find_images`, where that is not the fault of single classes.
    """
    try:
        return find_images(root, wnids), {}
    except CogError as error:
        for name in ALONE:
            if IMAGE_SOURCES[name].count(root, wnids):
                listings, damaged = _one_by_one(root, wnids, name)
                if damaged and any(listing.paths for listing in listings):
                    return _joined(listings, wnids), damaged
                break
        raise error


def _one_by_one(
    root: Path, wnids: Sequence[str], source: str
) -> tuple[list[Listing], dict[str, str]]:
    """A listing for each class that can be listed, and what is wrong with each other."""
    listings, damaged = [], {}
    for wnid in wnids:
        try:
            listings.append(IMAGE_SOURCES[source].find(root, [wnid]))
        except CogError as error:
            damaged[wnid] = error.what
    return listings, damaged


def _joined(listings: Sequence[Listing], wnids: Sequence[str]) -> Listing:
    """One listing of listings of other classes each, with the same root and source."""
    paths = {wnid: own for listing in listings for wnid, own in listing.paths.items()}
    containers = tuple(dict.fromkeys(name for part in listings for name in part.containers))
    number = {name: index for index, name in enumerate(containers)}
    spans = {}
    for listing in listings:
        renumbered = np.array([number[name] for name in listing.containers], np.int64)
        for wnid, own in (listing.spans or {}).items():
            spans[wnid] = np.column_stack([renumbered[own[:, 0]], own[:, 1:]])
    for wnid in wnids:
        paths.setdefault(wnid, ())
        spans.setdefault(wnid, np.empty((0, 3), np.int64))
    notes = tuple(note for listing in listings for note in listing.notes)
    first = listings[0]
    has_spans = first.spans is not None
    return Listing(first.root, first.source, paths, spans if has_spans else None, containers, notes)
