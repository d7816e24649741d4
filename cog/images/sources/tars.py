"""Images in one tar a synset, `ROOT/<wnid>.tar`, or in one tar of such tars.

They are read where they lie and never unpacked; an index (archive_index.py) is built once. Entries
that are no images, and those in sub-folders, are left out and counted. A tar is refused if the name
of an image leads out of it or is there twice, or if an image is a link or a device.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import numpy as np

from cog.errors import CogError
from cog.images.archive_index import Members, kept_members
from cog.images.class_names import folder_of, shard_files
from cog.images.listing import (
    Listing,
    Remark,
    is_image,
    reason_in_a_line,
    refuse_unlistable,
    skipped_note,
    why_no_image,
)
from cog.images.plain_files import open_plain
from cog.plain_text import printable
from cog.recipe import WNID

IN_FOLDERS = "in sub-folders"
_BLOCK = tarfile.BLOCKSIZE
_READ_BYTES = 1 << 20
_HEADER_BYTES = 1 << 18  # of one member: long names and attributes take less


def class_tars(root: Path) -> list[Path]:
    """The tars right under `root` that are named by a wnid."""
    return [tar for tar in root.glob("n*.tar") if WNID.fullmatch(tar.stem)]


def find_in_tars(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid, from the headers of its tar.

    A tar that is compressed, damaged or cut off, or that has members which cannot be read in
    place, is among the damaged.
    """
    return _by_wnid(root, "tar", wnids, {wnid: (root / f"{wnid}.tar", ()) for wnid in wnids})


def other_tars(root: Path, *, nested: bool = False) -> list[Path]:
    """The tars of a root not named by a wnid, if they hold tars (`nested`), or if they do not.

    The first one decides, as there can be thousands.
    """
    tars = [tar for tar in shard_files(root, ".tar") if not WNID.fullmatch(tar.stem)]
    first = ""
    with suppress(CogError, OSError):  # damaged: listing it will say so
        first = next((m.name for tar in tars[:1] for m, _ in members_of(tar) if m.isreg()), "")
    return tars if first.endswith(".tar") == nested else []


def find_in_nested(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid, from the tars within the tars at `root`, as `find_in_tars` does.

    Raises:
        CogError: a fault of an outer tar, or a wnid twice.
    """
    tars: dict[str, tuple[Path, Sequence[int]]] = {}
    skipped: list[Mapping[str, int]] = []
    for outer in other_tars(root, nested=True):
        inner = kept_members(outer, "tar of tars", partial(_find_inner, outer))
        for wnid, span in zip(inner.names, inner.spans.tolist(), strict=True):
            if wnid in tars:
                raise CogError(f"{wnid}.tar is in {tars[wnid][0]} and in {outer}", "remove one")
            tars[wnid] = outer, span
        skipped.append(inner.skipped)
    listing = _by_wnid(folder_of(root), "nested", wnids, tars)
    return replace(listing, notes=(*skipped_note(skipped, "tars of tars"), *listing.notes))


def _by_wnid(
    root: Path, source: str, wnids: Sequence[str], tars: Mapping[str, tuple[Path, Sequence[int]]]
) -> Listing:
    """The listing of tars of one wnid each: the file, and the tar's offset and size if within."""
    paths: dict[str, tuple[str, ...]] = dict.fromkeys(wnids, ())
    spans = dict.fromkeys(wnids, np.empty((0, 3), np.int64))
    numbers: dict[str, int] = {}
    damaged: dict[str, CogError] = {}
    remarks: dict[str, Remark] = {}
    found = []
    for wnid in sorted(paths.keys() & tars.keys()):
        file, span = tars[wnid]
        find = partial(_find, file, wnid, *span)
        try:
            members = kept_members(file, "tar", find, wnid if span else "")
        except FileNotFoundError:
            if file.is_symlink():
                what = f"{file} is a link that leads nowhere"
                damaged[wnid] = CogError(what, "bring back what it leads to, or remove the link")
            continue
        except CogError as error:
            damaged[wnid] = error
            continue
        found.append(members)
        paths[wnid] = tuple(f"{wnid}/{name}" for name in members.names)
        name = file.relative_to(root).as_posix()
        spans[wnid] = np.insert(members.spans, 0, numbers.setdefault(name, len(numbers)), axis=1)
        if below := members.skipped.get(IN_FOLDERS):
            what = f"its tar has {len(members.names):,} images, but {below:,} more in sub-folders"
            remarks[wnid] = Remark(what, "make the tar again without folders", True)
    notes = skipped_note([members.skipped for members in found], "tar files")
    return Listing(str(root), source, paths, spans, tuple(numbers), notes, damaged, remarks=remarks)


def members_of(
    tar: Path, offset: int = 0, size: int | None = None
) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """The members of an uncompressed tar, each with the opened file.

    The tar is the whole file, or lies in it at `offset` with `size` bytes.

    Raises:
        CogError: no plain file, compressed, damaged or cut off, or with headers that no tar has.
    """
    with open_plain(tar) as file:
        end = tar.stat().st_size if size is None else offset + size
        file.seek(offset)
        headers = _Headers(file)
        try:
            with tarfile.open(fileobj=cast(BinaryIO, headers), mode="r:") as archive:
                last = -1
                while (member := archive.next()) is not None:
                    if member.size < 0 or not last < archive.offset:
                        raise tarfile.ReadError(f"a size of {member.size:,} bytes")
                    last = archive.offset
                    if member.offset_data > end:
                        break  # it belongs to what follows this tar in the outer one
                    yield member, file
                    headers.left = _HEADER_BYTES
                    archive.members = []  # type: ignore[attr-defined] # else it keeps every member
                headers.refuse_another_end(archive.offset, end)
        except (OSError, CogError):
            raise
        except Exception as error:  # tarfile raises nearly anything for damaged headers
            raise CogError(
                f"{tar} is not a whole, uncompressed tar ({reason_in_a_line(error)})",
                "unpack it if it is compressed (gunzip), else download it again; or remove it and "
                "give --allow-missing",
            ) from error


class _Headers:
    """A file as tarfile reads it: headers alone, and no more of them than a member can need.

    A header may say that gigabytes of names follow it, and that the next one lies anywhere.
    """

    def __init__(self, file: BinaryIO) -> None:
        """`file`: where the tar begins."""
        self._file = file
        self.left = _HEADER_BYTES

    def read(self, size: int) -> bytes:
        """At most `size` bytes; raises tarfile.ReadError once a member has taken too many."""
        self.left -= size
        if not 0 <= self.left <= _HEADER_BYTES:
            raise tarfile.ReadError(f"headers of more than {_HEADER_BYTES:,} bytes for one member")
        return self._file.read(size)

    def seek(self, offset: int) -> int:
        """Go to a byte; raises tarfile.ReadError if no file can have it."""
        if not 0 <= offset < 1 << 62:
            raise tarfile.ReadError(f"a header at byte {offset:,}")
        return self._file.seek(offset)

    def tell(self) -> int:
        """The byte that is read next."""
        return self._file.tell()

    def refuse_another_end(self, offset: int, end: int) -> None:
        """Raise tarfile.ReadError unless the tar ends where tarfile says, before byte `end`.

        tarfile takes a damaged header for the end, but a block of zeros ends a whole tar. It takes
        zeros for the end too, but where data were lost, or tars joined, members come after them.
        """
        self.seek(offset)
        if offset >= end or self._file.read(_BLOCK) != bytes(_BLOCK):
            raise tarfile.ReadError(f"damaged or cut off at byte {offset:,}")
        while rest := self._file.read(min(_READ_BYTES, end - self._file.tell())):
            for at in range(0, len(rest), _BLOCK):
                if rest[at + 257 : at + 262] == b"ustar":  # of every header of our days
                    raise tarfile.ReadError(f"more members after its end at byte {offset:,}")


def _find(tar: Path, wnid: str, offset: int = 0, size: int | None = None) -> Members:
    """The images in a tar, sorted by name, without ./ or <wnid>/ before their names."""
    found, skipped = [], Counter[str]()
    for member, _ in members_of(tar, offset, size):
        name = member.name.removeprefix("./").removeprefix(f"{wnid}/")
        nested = "/" in name and not leads_out(name)
        if member.isdir():
            continue
        if not is_image(name):
            skipped[why_no_image(name)] += 1
        elif nested:
            skipped[IN_FOLDERS] += 1
        else:
            found.append((name, member))
    members = in_place(tar, sorted(found, key=lambda pair: pair[0]), skipped)
    refuse_unlistable(members.names, str(tar))
    return members


def _find_inner(outer: Path) -> Members:
    """The tars in a tar, named by their wnids."""
    found, skipped = [], Counter[str]()
    for member, _ in members_of(outer):
        wnid = PurePosixPath(member.name).name.removesuffix(".tar")
        if WNID.fullmatch(wnid) and member.name.endswith(".tar"):
            found.append((member.name if leads_out(member.name) else wnid, member))
        elif not member.isdir():
            skipped["no tars of a class"] += 1
    return in_place(outer, found, skipped)


def leads_out(name: str) -> bool:
    """Whether a path leads out of the folder that it is relative to."""
    return name.startswith("/") or ".." in PurePosixPath(name).parts


def in_place(
    tar: Path, found: Sequence[tuple[str, tarfile.TarInfo]], skipped: Mapping[str, int]
) -> Members:
    """The members to be read in place: plain files inside the tar, each under its own name.

    Raises:
        CogError: some are not.
    """
    names = [name for name, _ in found]
    times, bad = Counter(names), {}
    for name, member in found:
        if leads_out(name):
            bad[name] = "a path that leads out of the folder"
        elif not member.isreg() or member.issparse():
            bad[name] = "not a plain file"
        elif times[name] > 1:
            bad[name] = "more than once"
    if bad:
        shown = ", ".join(
            f"{printable(name)[:200]} ({reason})" for name, reason in list(bad.items())[:5]
        )
        raise CogError(
            f"{len(bad)} members of {tar} cannot be read in place: {shown}",
            "make the tar again from plain files, or unpack it into a folder of the same name",
        )
    spans = [(member.offset_data, member.size) for _, member in found]
    return Members(names, np.array(spans, np.int64).reshape(-1, 2), skipped)
