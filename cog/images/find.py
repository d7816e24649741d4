"""Where images are: lists of them from folders, tars, shards and lists, and their bytes.

To add a source: three functions like those of folder.py, and an entry in `IMAGE_SOURCES`. Whatever
the source, an image's path is `wnid/file` as in a folder tree, so that all give equal fingerprints
for equal images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cog.errors import CogError
from cog.images.listing import Listing as Listing
from cog.images.sources import IMAGE_SOURCES


def find_images(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of `wnids` under `root`, from the source that has most of them.

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
        raise CogError(f"cannot list the images ({error})", "make that readable") from error
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
