"""Find the images of wnids under a root, in whichever form they lie there.

To add a form: sources/__init__.py. In every form an image's path is `wnid/file`, as in a folder
tree, so that equal images give equal fingerprints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cog.errors import ClassesError, CogError
from cog.images.class_names import packed_tars
from cog.images.listing import Listing, Remark
from cog.images.samples import ANY
from cog.images.sources import IMAGE_SOURCES
from cog.plain_text import printable

_UNPACK = "unpack them (gunzip, unzstd, …), and keep the .tar"


def find_images(
    root: Path,
    wnids: Sequence[str],
    *,
    skip_damaged: bool = False,
    image_key: str | None = None,
) -> Listing:
    """The images of `wnids` under `root`, from the source that has most of these classes.

    Folders and tars of single classes go before files that hold many. With `skip_damaged`, classes
    whose own file is damaged have no images, and `Listing.damaged` says why, if others are whole.
    `image_key` is the field of WebDataset samples that is their image (cog/images/samples.py).

    Raises:
        CogError: no such root, nothing of these wnids in it, a damaged file, or some classes in
            one form and some in another.
    """
    name = source_of(root, wnids)
    notes: tuple[str, ...] = ()
    packed = packed_tars(root)
    if name:
        listing = _list(name, root, wnids, skip_damaged, image_key)
        listing = _with_packed(listing, packed)
        if any(listing.paths.values()) and not listing.damaged:
            _refuse_two_forms(root, listing)
            return listing
        if listing.damaged or IMAGE_SOURCES[name].by_class:
            return listing  # perhaps of empty folders: the caller says what is short
        notes = listing.notes
    if packed:
        what = f"{root} holds {len(packed):,} packed tars, such as {packed[0].name}"
        raise CogError(f"{what}: images are read in place, from plain tars", _UNPACK)
    raise _none_there(root, wnids, "".join(f"; {note}" for note in notes))


def _none_there(root: Path, wnids: Sequence[str], found: str) -> CogError:
    """The error of a root with none of the wnids; `found`: what lies there in their place."""

    def say(classes: Mapping[str, str], wanted: int, datasets: int) -> tuple[str, str]:
        example = next(iter(classes), "<wnid>")
        return (
            f"none of the {wanted:,} classes is in {root}: expected folders like {example}/, "
            f"tars like {example}.tar, or shards that name them{found}",
            "give the folder that holds them; images of any other classes are a "
            "--dataset NAME=SOURCE",
        )

    return ClassesError(say, dict.fromkeys(wnids, ""), len(wnids), ("none", root, found))


def _with_packed(listing: Listing, packed: Sequence[Path]) -> Listing:
    """The listing with a note of the packed tars beside it, and which classes they hold."""
    if not packed:
        return listing
    note = f"{len(packed):,} packed tars, such as {packed[0].name}, are not read: {_UNPACK}"
    remarks = {
        wnid: Remark(f"it is there as {tar.name}", _UNPACK, misplaced=True)
        for tar in packed
        if (wnid := tar.name.partition(".")[0]) in listing.paths and not listing.paths[wnid]
    }
    return replace(listing, notes=(*listing.notes, note), remarks={**listing.remarks, **remarks})


def source_of(root: Path, wnids: Sequence[str]) -> str:
    """The source with folders or files of most of the wnids, else the first with shared files.

    Empty if no source has anything at `root`.

    Raises:
        CogError: no such root, or one that cannot be looked into.
    """
    if not _is_there(root):
        if packed := packed_tars(root.parent):
            raise CogError(f"there is no {root}, but {packed[0].name} beside it", _UNPACK)
        raise CogError(
            f"there is no {root}",
            "give the folder that holds <wnid>/ or <wnid>.tar, a tar, a list, or the folder of "
            "WebDataset or Parquet shards",
        )
    try:
        counts = {name: len(classes) for name, classes in _classes(root, wnids).items()}
    except OSError as error:
        raise _cannot_list(error) from error
    best = max(counts, key=counts.__getitem__)  # the first of equals
    if counts[best]:
        return best
    shared = (name for name, source in IMAGE_SOURCES.items() if not source.by_class)
    return next((name for name in shared if IMAGE_SOURCES[name].claims(root)), "")


def _is_there(root: Path) -> bool:
    """Whether a root is there, or files that it is a pattern of."""
    try:
        return root.exists() or any(root.parent.glob(root.name))
    except OSError as error:  # a name that is too long, say
        raise _cannot_list(error) from error
    except ValueError as error:
        what = f"{printable(str(root))} is neither a path nor a pattern ({error})"
        raise CogError(what, "give a folder, a file, or a pattern like 'train-*.tar'") from error


def count_images(root: Path, wnids: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Images of every wnid that is under `root`, as `find_images` would list them; and its notes.

    A class may have a folder while another has a tar. An empty folder or tar counts 0.

    Raises:
        CogError: as `find_images` does.
    """
    counts: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    source_of(root, wnids)  # or an error
    for name, classes in _classes(root, wnids).items():
        listed = _list(name, root, sorted(classes - counts.keys()))
        counts |= {wnid: len(paths) for wnid, paths in listed.paths.items()}
        notes += listed.notes
    if counts:
        return counts, notes
    listed = find_images(root, wnids, image_key=ANY)
    return {wnid: len(paths) for wnid, paths in listed.paths.items() if paths}, listed.notes


def _classes(root: Path, wnids: Iterable[str]) -> dict[str, set[str]]:
    """The wnids that have a folder or file of their own, by source."""
    wanted = set(wnids)
    return {
        name: {path.stem for path in source.claims(root)} & wanted
        for name, source in IMAGE_SOURCES.items()
        if source.by_class
    }


def _list(
    name: str,
    root: Path,
    wnids: Sequence[str],
    skip_damaged: bool = False,
    image_key: str | None = None,
) -> Listing:
    """The images that one source lists.

    Raises:
        CogError: the first damaged class, unless such are skipped and another class is whole.
    """
    source = IMAGE_SOURCES[name]
    keys = (image_key,) if image_key and source.has_fields else ()
    try:
        listing = source.find(root, wnids, *keys)
    except OSError as error:
        raise _cannot_list(error) from error
    damaged = list(listing.damaged.values())
    if damaged and not (skip_damaged and len(damaged) < len(listing.paths)):
        others = f", and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""
        raise CogError(damaged[0].what + others, damaged[0].hint)
    if image_key in (None, ANY) or source.has_fields:
        return listing
    note = f"the image key {image_key} is of WebDataset samples: {root} holds none"
    return replace(listing, notes=(*listing.notes, note))


def _cannot_list(error: OSError) -> CogError:
    return CogError(f"cannot list the images ({error})", "make that folder or file readable")


def _refuse_two_forms(root: Path, listing: Listing) -> None:
    """Refuse a root where classes that this source lacks are there in another form."""
    absent = [wnid for wnid, paths in listing.paths.items() if not paths]
    for name, others in _classes(root, absent).items() if absent else ():
        if name != listing.source and others:
            raise CogError(
                f"{root} holds {len(listing.paths) - len(absent):,} of the classes as "
                f"{listing.source}s and {len(others):,} others as {name}s",
                f"give all of them in one form: make {listing.source}s of those {name}s",
            )
