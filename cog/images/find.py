"""Find the images of wnids under a root, in whichever form they lie there.

To add a form: sources/__init__.py. In every form an image's path is `wnid/file`, as in a folder
tree, so that equal images give equal fingerprints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cog.errors import CogError
from cog.images.listing import Listing as Listing
from cog.images.sources import IMAGE_SOURCES


def find_images(root: Path, wnids: Sequence[str], *, skip_damaged: bool = False) -> Listing:
    """The images of `wnids` under `root`, from the source that has most of these classes.

    Folders and tars of single classes go before files that hold many. With `skip_damaged`, classes
    whose own file is damaged have no images, and `Listing.damaged` says why, if others are whole.

    Raises:
        CogError: no such root, nothing of these wnids in it, a damaged file, or some classes in
            one form and some in another.
    """
    _refuse_absent(root)
    try:
        name = source_of(root, wnids)
        if name:
            listing = IMAGE_SOURCES[name].find(root, wnids)
            _refuse_damaged(listing, skip_damaged)
            if listing.damaged:
                return listing
            if any(listing.paths.values()):
                _refuse_two_forms(root, listing)
                return listing
            if IMAGE_SOURCES[name].by_class:
                return listing  # of empty folders: the caller says what is short
    except OSError as error:
        raise _unlistable(error) from error
    example = wnids[0] if wnids else "<wnid>"
    raise CogError(
        f"none of the {len(wnids):,} classes is in {root}: "
        f"expected folders like {example}/, tars like {example}.tar, or shards that name them",
        "give the folder that holds them",
    )


def source_of(root: Path, wnids: Sequence[str]) -> str:
    """The source with folders or files of most of the wnids, else the first with shared files.

    Empty if no source has anything at `root`.
    """
    counts = {
        name: len(_classes(name, root, wnids))
        for name, source in IMAGE_SOURCES.items()
        if source.by_class
    }
    best = max(counts, key=counts.__getitem__)  # the first of equals
    if counts[best]:
        return best
    shared = (name for name, source in IMAGE_SOURCES.items() if not source.by_class)
    return next((name for name in shared if IMAGE_SOURCES[name].claims(root)), "")


def count_images(root: Path, wnids: Sequence[str]) -> dict[str, int]:
    """Images of every wnid that is under `root`, as `find_images` would list them.

    A class may have a folder while another has a tar. An empty folder or tar counts 0.

    Raises:
        CogError: as `find_images` does.
    """
    _refuse_absent(root)
    counts: dict[str, int] = {}
    try:
        for name, source in IMAGE_SOURCES.items():
            if source.by_class:
                listing = source.find(root, sorted(_classes(name, root, wnids) - counts.keys()))
                _refuse_damaged(listing)
                counts |= {wnid: len(paths) for wnid, paths in listing.paths.items()}
    except OSError as error:
        raise _unlistable(error) from error
    if counts:
        return counts
    listed = find_images(root, wnids).paths
    return {wnid: len(paths) for wnid, paths in listed.items() if paths}


def _classes(name: str, root: Path, wnids: Iterable[str]) -> set[str]:
    """Which of the wnids have a folder or file of their own, in a source of such."""
    return {path.stem for path in IMAGE_SOURCES[name].claims(root)} & set(wnids)


def _refuse_absent(root: Path) -> None:
    if not root.exists() and not any(root.parent.glob(root.name)):
        raise CogError(
            f"there is no {root}",
            "give the folder that holds <wnid>/ or <wnid>.tar, a tar, a list, or the folder of "
            "WebDataset or Parquet shards",
        )


def _refuse_damaged(listing: Listing, skip: bool = False) -> None:
    """Raise the first error of a class, unless such classes are skipped and another is whole."""
    if listing.damaged and not (skip and len(listing.damaged) < len(listing.paths)):
        first = next(iter(listing.damaged.values()))
        others = f", and {len(listing.damaged) - 1:,} more" if len(listing.damaged) > 1 else ""
        raise CogError(first.what + others, first.hint)


def _refuse_two_forms(root: Path, listing: Listing) -> None:
    """Refuse a root where classes that this source lacks are there in another form."""
    absent = [wnid for wnid, paths in listing.paths.items() if not paths]
    for name, source in IMAGE_SOURCES.items():
        if not source.by_class or name == listing.source or not absent:
            continue
        if others := len(_classes(name, root, absent)):
            raise CogError(
                f"{root} holds {len(listing.paths) - len(absent):,} of the classes as "
                f"{listing.source}s and {others:,} others as {name}s",
                f"give all of them in one form: make {listing.source}s of those {name}s",
            )


def _unlistable(error: OSError) -> CogError:
    return CogError(f"cannot list the images ({error})", "make that folder or file readable")
