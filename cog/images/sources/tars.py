"""Images in one tar a synset, `ROOT/<wnid>.tar`, or in one tar of such tars.

They are read where they lie and never unpacked; an index (members.py) is built once. By rule:
entries that are no images, and those in sub-folders, are passed over; an image whose name leads
out of the tar, that is a link or a device, or that is there twice, makes the tar refused.
"""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.images.archive_index import Members, kept_members, skipped_note
from cog.images.class_names import folder_of, shard_files
from cog.images.listing import Listing, is_image, refuse_unlistable
from cog.recipe import WNID


def count_tars(root: Path, wnids: Sequence[str]) -> int:
    """How many of the wnids have a tar under `root`."""
    if not root.is_dir():
        return 0
    with os.scandir(root) as entries:
        return len({entry.name for entry in entries} & {f"{wnid}.tar" for wnid in wnids})


def find_in_tars(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid, from the headers of its tar.

    Raises:
        CogError: a tar that is compressed, damaged or truncated, or has members that cannot be
            read in place.
    """
    parts = []
    for wnid in wnids:
        tar = root / f"{wnid}.tar"
        try:
            parts.append(kept_members(tar, "tar", partial(_find, tar, wnid)))
        except FileNotFoundError:
            parts.append(_NONE)
    return _by_wnid(root, "tar", [f"{wnid}.tar" for wnid in wnids], wnids, parts)


def count_nested(root: Path, wnids: Sequence[str]) -> int:
    """All of the wnids, if there is a tar of tars; which of them it holds takes an index."""
    return len(wnids) if _outer_tars(root) else 0


def find_in_nested(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid, from the tars within the tars at `root`.

    Raises:
        CogError: as `find_in_tars`, for the outer tar and for those within; a wnid twice.
    """
    folder = folder_of(root)
    outer_of: dict[str, tuple[Path, list[int]]] = {}
    for outer in _outer_tars(root):
        inner = kept_members(outer, "tar of tars", partial(_find_inner, outer))
        for wnid, span in zip(inner.names, inner.spans.tolist(), strict=True):
            if wnid in outer_of:
                raise CogError(f"{wnid}.tar is in {outer_of[wnid][0]} and in {outer}", "remove one")
            outer_of[wnid] = outer, span
    files, parts = [], []
    for wnid in wnids:
        outer, span = outer_of.get(wnid, (folder, []))
        files.append(outer.relative_to(folder).as_posix())
        find = partial(_find, outer, wnid, *span)
        parts.append(kept_members(outer, "tar", find, part=wnid) if span else _NONE)
    return _by_wnid(folder, "nested", files, wnids, parts)


_NONE = Members([], np.empty((0, 2), np.int64))


def _by_wnid(
    root: Path, source: str, files: Sequence[str], wnids: Sequence[str], parts: Sequence[Members]
) -> Listing:
    """The listing of files that hold one wnid each: the places of `files`, `wnids` and `parts`."""
    containers = tuple(dict.fromkeys(files))
    number = {file: index for index, file in enumerate(containers)}
    paths: dict[str, tuple[str, ...]] = {}
    spans: dict[str, NDArray[np.int64]] = {}
    for file, wnid, members in zip(files, wnids, parts, strict=True):
        paths[wnid] = tuple(f"{wnid}/{name}" for name in members.names)
        spans[wnid] = np.insert(members.spans, 0, number[file], axis=1)
    return Listing(str(root), source, paths, spans, containers, skipped_note(parts, "tar"))


def _outer_tars(root: Path) -> list[Path]:
    """The tars of a root, if the first of them holds tars; there are thousands of shards."""
    tars = other_tars(root)
    return tars if tars and first_name(tars[0]).endswith(".tar") else []


def other_tars(root: Path) -> list[Path]:
    """The tars of a root that are not named for a wnid."""
    return [tar for tar in shard_files(root, ".tar") if not WNID.fullmatch(tar.stem)]


def first_name(tar: Path) -> str:
    """The name of the first plain file of a tar; empty where there is none."""
    try:
        return next((member.name for member, _ in members_of(tar) if member.isreg()), "")
    except CogError:  # damaged: whoever lists it will say so
        return ""


def members_of(
    tar: Path, offset: int = 0, size: int | None = None
) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """The members of a whole, uncompressed tar, or of one that lies in a file, with that file.

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
                        break  # in what follows this tar in the outer one
                    yield member, file
                # tarfile takes a damaged header for the end, but a block of zeros ends a whole tar
                file.seek(archive.offset)
                zeros = bytes(tarfile.BLOCKSIZE)
                if archive.offset >= end or file.read(tarfile.BLOCKSIZE) != zeros:
                    raise tarfile.ReadError(f"damaged or cut off at byte {archive.offset:,}")
        except tarfile.TarError as error:
            raise CogError(
                f"{tar} is not a whole, uncompressed tar ({error})",
                "unpack it if it is compressed (gunzip), else fetch it again; or remove it and "
                "give --allow-missing",
            ) from error


def _find(tar: Path, wnid: str, offset: int = 0, size: int | None = None) -> Members:
    """The images in a tar, by name in sorted order, named as in a folder tree.

    That is without ./ or <wnid>/ before them; those in sub-folders are left out, as in a folder.
    """
    found, skipped = [], 0
    for member, _ in members_of(tar, offset, size):
        name = member.name.removeprefix("./").removeprefix(f"{wnid}/")
        nested = "/" in name and not _leads_out(name)
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
            found.append((member.name if _leads_out(member.name) else wnid, member))
        else:
            skipped += not member.isdir()
    refuse_members(outer, found)
    spans = [(member.offset_data, member.size) for _, member in found]
    return Members([n for n, _ in found], np.array(spans, np.int64).reshape(-1, 2), skipped)


def _leads_out(name: str) -> bool:
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
            "make the tar again from plain files, or unpack it to a folder of that name",
        )


def _fault(name: str, member: tarfile.TarInfo) -> str:
    """Why a member cannot be read in place; empty if it can."""
    if _leads_out(name):
        return "a path that leads out of the folder"
    if not member.isreg() or member.issparse():
        return "not a plain file"
    return ""
