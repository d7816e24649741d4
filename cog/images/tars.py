"""Pictures in one tar a synset, `ROOT/<wnid>.tar`, read where they lie and never unpacked."""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.images.listing import Listing, is_picture, refuse_unlistable


def count_tars(root: Path, wnids: Sequence[str]) -> int:
    """How many of the wnids have a tar under `root`."""
    with os.scandir(root) as entries:
        return len({entry.name for entry in entries} & {f"{wnid}.tar" for wnid in wnids})


def find_in_tars(root: Path, wnids: Sequence[str]) -> Listing:
    """The pictures of every wnid, from the headers of its tar.

    Raises:
        CogError: a tar that is compressed, damaged or truncated, or has members that cannot be
            read in place.
    """
    paths: dict[str, tuple[str, ...]] = {}
    spans: dict[str, NDArray[np.int64]] = {}
    for wnid in wnids:
        members = _index(root / f"{wnid}.tar", wnid)
        paths[wnid] = tuple(f"{wnid}/{name}" for name in members)
        spans[wnid] = np.array(list(members.values()), np.int64).reshape(-1, 2)
    return Listing(str(root), "tar", paths, spans)


def read_from_tar(root: str, path: str, span: NDArray[np.int64] | None) -> bytes:
    """The bytes of one picture: `span` is its offset and size in the tar of its wnid."""
    assert span is not None  # every list made from tars has spans
    wnid = path.partition("/")[0]
    with Path(root, f"{wnid}.tar").open("rb", buffering=0) as file:
        file.seek(int(span[0]))
        return file.read(int(span[1]))


def _index(tar: Path, wnid: str) -> dict[str, tuple[int, int]]:
    """Offset and size of each picture in a tar, by name in sorted order; none without a tar."""
    try:
        with tarfile.open(tar, "r:") as archive:
            members = list(_pictures(archive, wnid))
    except FileNotFoundError:
        return {}
    except tarfile.TarError as error:
        raise CogError(
            f"{tar} is not a whole, uncompressed tar ({error})",
            "fetch it again, or remove it and give --allow-missing",
        ) from error
    _refuse(tar, members)
    names = {name: (member.offset_data, member.size) for name, member in members}
    refuse_unlistable(list(names), str(tar))
    return dict(sorted(names.items()))


def _pictures(archive: tarfile.TarFile, wnid: str) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Members that look like pictures, named as in a folder tree: without ./ or <wnid>/ before.

    Those in sub-folders are left out, as they are in a folder tree.
    """
    for member in archive:
        name = member.name.removeprefix("./").removeprefix(f"{wnid}/")
        nested = "/" in name and not _leads_out(name)
        if is_picture(name.rpartition("/")[2]) and not nested and not member.isdir():
            yield name, member
    if not _has_end_mark(archive):  # tarfile takes a damaged header for the end
        raise tarfile.ReadError(f"damaged or cut off at byte {archive.offset:,}")


def _has_end_mark(archive: tarfile.TarFile) -> bool:
    """Whether the reader stopped at a block of zeros, which ends every whole tar."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    return bool(archive.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE))


def _leads_out(name: str) -> bool:
    return name.startswith("/") or ".." in PurePosixPath(name).parts


def _refuse(tar: Path, members: Sequence[tuple[str, tarfile.TarInfo]]) -> None:
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
