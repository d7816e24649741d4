"""Images in one tar a synset, `ROOT/<wnid>.tar`, or in one tar of such tars.

They are read where they lie and never unpacked; an index (archive_index.py) is built once. Entries
that are no images, and those in sub-folders, are left out. A tar is refused if the name of an image
leads out of it or is there twice, or if an image is a link or a device.
"""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from cog.errors import CogError
from cog.images.archive_index import Members, kept_members, skipped_note
from cog.images.class_names import folder_of, shard_files
from cog.images.listing import Listing, is_image, refuse_unlistable
from cog.recipe import WNID


def class_tars(root: Path) -> list[Path]:
    """The tars right under `root` that are named by a wnid."""
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        paths = [Path(entry) for entry in entries if entry.name.endswith(".tar")]
    return [path for path in paths if WNID.fullmatch(path.stem)]


def find_in_tars(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid, from the headers of its tar.

    A tar that is compressed, damaged or cut off, or that has members which cannot be read in
    place, is among the damaged.
    """
    tars = {
        wnid: (f"{wnid}.tar", partial(kept_members, tar, "tar", partial(_find, tar, wnid)))
        for wnid, tar in ((wnid, root / f"{wnid}.tar") for wnid in wnids)
    }
    return _by_wnid(root, "tar", wnids, tars)


def outer_tars(root: Path) -> list[Path]:
    """The tars of a root, if the first of them holds tars: shards can be thousands."""
    tars = other_tars(root)
    return tars if tars and first_name(tars[0]).endswith(".tar") else []


def find_in_nested(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid, from the tars within the tars at `root`.

    The damaged are as in `find_in_tars`.

    Raises:
        CogError: a fault of an outer tar, or a wnid twice.
    """
    folder = folder_of(root)
    wanted = set(wnids)
    outer_of: dict[str, Path] = {}
    tars = {}
    for outer in outer_tars(root):
        inner = kept_members(outer, "tar of tars", partial(_find_inner, outer))
        for wnid, span in zip(inner.names, inner.spans.tolist(), strict=True):
            if wnid in outer_of:
                raise CogError(f"{wnid}.tar is in {outer_of[wnid]} and in {outer}", "remove one")
            outer_of[wnid] = outer
            if wnid in wanted:
                find = partial(_find, outer, wnid, *span)
                name = outer.relative_to(folder).as_posix()
                tars[wnid] = name, partial(kept_members, outer, "tar", find, part=wnid)
    return _by_wnid(folder, "nested", wnids, tars)


def _by_wnid(
    root: Path,
    source: str,
    wnids: Sequence[str],
    tars: Mapping[str, tuple[str, Callable[[], Members]]],
) -> Listing:
    """The listing of `tars` of one wnid each: the file that it lies in, and what lists it."""
    paths: dict[str, tuple[str, ...]] = dict.fromkeys(wnids, ())
    spans = dict.fromkeys(wnids, np.empty((0, 3), np.int64))
    numbers: dict[str, int] = {}
    damaged: dict[str, CogError] = {}
    found = []
    for wnid, (file, find) in sorted(tars.items()):
        try:
            members = find()
        except FileNotFoundError:
            continue
        except CogError as error:
            damaged[wnid] = error
            continue
        found.append(members)
        paths[wnid] = tuple(f"{wnid}/{name}" for name in members.names)
        spans[wnid] = np.insert(members.spans, 0, numbers.setdefault(file, len(numbers)), axis=1)
    return Listing(
        str(root), source, paths, spans, tuple(numbers), skipped_note(found, "tar"), damaged
    )


def other_tars(root: Path) -> list[Path]:
    """The tars of a root that are not named by a wnid."""
    return [tar for tar in shard_files(root, ".tar") if not WNID.fullmatch(tar.stem)]


def first_name(tar: Path) -> str:
    """The name of the first plain file of a tar; empty if there is none."""
    try:
        return next((member.name for member, _ in members_of(tar) if member.isreg()), "")
    except CogError:  # damaged: listing it will say so
        return ""


def members_of(
    tar: Path, offset: int = 0, size: int | None = None
) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """The members of an uncompressed tar, each with the opened file.

    The tar is the whole file, or lies in it at `offset` with `size` bytes.

    Raises:
        CogError: compressed, damaged or cut off.
    """
    with tar.open("rb") as file:
        end = file.seek(0, os.SEEK_END) if size is None else offset + size
        file.seek(offset)
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    if member.offset_data > end:
                        break  # it belongs to what follows this tar in the outer one
                    yield member, file
                # tarfile takes a damaged header for the end, but a block of zeros ends a whole tar
                file.seek(archive.offset)
                zeros = bytes(tarfile.BLOCKSIZE)
                if archive.offset >= end or file.read(tarfile.BLOCKSIZE) != zeros:
                    raise tarfile.ReadError(f"damaged or cut off at byte {archive.offset:,}")
        except tarfile.TarError as error:
            raise CogError(
                f"{tar} is not a whole, uncompressed tar ({error})",
                "unpack it if it is compressed (gunzip), else download it again; or remove it and "
                "give --allow-missing",
            ) from error


def _find(tar: Path, wnid: str, offset: int = 0, size: int | None = None) -> Members:
    """The images in a tar, sorted by name, without ./ or <wnid>/ before their names.

    Those in sub-folders are left out, as in a folder.
    """
    found, skipped = [], 0
    for member, _ in members_of(tar, offset, size):
        name = member.name.removeprefix("./").removeprefix(f"{wnid}/")
        nested = "/" in name and not leads_out(name)
        if is_image(name.rpartition("/")[2]) and not nested and not member.isdir():
            found.append((name, member))
        else:
            skipped += not member.isdir()
    refuse_members(tar, found)
    found.sort(key=lambda pair: pair[0])
    names = [name for name, _ in found]
    refuse_unlistable(names, str(tar))
    spans = [(member.offset_data, member.size) for _, member in found]
    return Members(names, np.array(spans, np.int64).reshape(-1, 2), skipped)


def _find_inner(outer: Path) -> Members:
    """The tars in a tar, named by their wnids."""
    found, skipped = [], 0
    for member, _ in members_of(outer):
        wnid = PurePosixPath(member.name).name.removesuffix(".tar")
        if WNID.fullmatch(wnid) and member.name.endswith(".tar"):
            found.append((member.name if leads_out(member.name) else wnid, member))
        else:
            skipped += not member.isdir()
    refuse_members(outer, found)
    spans = [(member.offset_data, member.size) for _, member in found]
    return Members([n for n, _ in found], np.array(spans, np.int64).reshape(-1, 2), skipped)


def leads_out(name: str) -> bool:
    """Whether a path leads out of the folder that it is relative to."""
    return name.startswith("/") or ".." in PurePosixPath(name).parts


def refuse_members(tar: Path, members: Sequence[tuple[str, tarfile.TarInfo]]) -> None:
    """Refuse members that are not plain files inside the tar, each under its own name."""
    times = Counter(name for name, _ in members)
    bad = {
        name: reason
        for name, member in members
        if (reason := _fault(name, member) or ("more than once" if times[name] > 1 else ""))
    }
    if bad:
        shown = ", ".join(f"{name} ({reason})" for name, reason in list(bad.items())[:5])
        raise CogError(
            f"{len(bad)} members of {tar} cannot be read in place: {shown}",
            "make the tar again from plain files, or unpack it into a folder of the same name",
        )


def _fault(name: str, member: tarfile.TarInfo) -> str:
    """Why a member cannot be read in place; empty if it can."""
    if leads_out(name):
        return "a path that leads out of the folder"
    if not member.isreg() or member.issparse():
        return "not a plain file"
    return ""
