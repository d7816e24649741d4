"""Files of which each may hold any class: all of their images, gathered by class.

An image is `wnid/file`. Two of one name in two files are one image that is there twice if they have
the same bytes, as after a second download; that is refused. Else the names start again in each
file, as keys of shards may, and the images of that class are named by their file too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.images.archive_index import Members, kept_members
from cog.images.class_names import class_in, folder_of, read_class_list, read_names
from cog.images.listing import Listing, Span, skipped_note

WNID_LENGTH = 9
_COMPARED = 20  # pairs of one name whose bytes are compared, a class

Read = Callable[[Path, Span], bytes]
Row = tuple[str, int]
"""the path of an image, and its row in all files together"""


def list_named(
    source: str,
    root: Path,
    files: Sequence[Path],
    find: Callable[[Path, Sequence[str], Path], Members],
    read: Read,
    kind: str = "",
) -> Listing:
    """The listing of shards whose classes have any names; the arguments are `list_shards`'s."""
    folder = folder_of(root)
    known = read_names(folder)
    kind = f"{source}{kind} named {hashlib.sha256(chr(10).join(known).encode()).hexdigest()}"
    parts = [kept_members(file, kind, partial(find, file, known, folder)) for file in files]
    paths = chain.from_iterable(members.names for members in parts)
    classes = sorted({path.partition("/")[0] for path in paths})
    found = gather(folder, source, files, parts, classes, read)
    spans = found.spans or {}
    return replace(
        found,
        paths={class_in(name): paths for name, paths in found.paths.items()},
        spans={class_in(name): own for name, own in spans.items()},
    )


def list_shards(
    source: str,
    root: Path,
    files: Sequence[Path],
    find: Callable[[Path, Sequence[str], Path], Members],
    wnids: Sequence[str],
    read: Read,
    kind: str = "",
) -> Listing:
    """The listing of shards.

    Args:
        source: the name of their form.
        root: what the user gave.
        files: the shards.
        find: the images of a file, from the class list beside it, and their folder.
        wnids: the classes that are listed.
        read: the bytes of an image.
        kind: what else `find` depends on.
    """
    folder = folder_of(root)
    known = read_class_list(folder)
    kind = f"{source}{kind} {hashlib.sha256(' '.join(known).encode()).hexdigest()}"
    parts = [kept_members(file, kind, partial(find, file, known, folder)) for file in files]
    return gather(folder, source, files, parts, wnids, read)


def gather(
    root: Path,
    source: str,
    files: Sequence[Path],
    parts: Sequence[Members],
    wnids: Sequence[str],
    read: Read | None = None,
) -> Listing:
    """The listing of files that may hold any class, and whose members are named `wnid/file`.

    With `read`, names that start again in each file are told apart by it.

    Raises:
        CogError: an image that is there twice.
    """
    found: dict[str, list[Row]] = {wnid: [] for wnid in wnids}
    for row, path in enumerate(chain.from_iterable(members.names for members in parts)):
        if (rows := found.get(path.partition("/")[0])) is not None:
            rows.append((path, row))
    numbers = np.repeat(np.arange(len(parts)), [len(members.names) for members in parts])
    spans = np.concatenate([np.empty((0, 2), np.int64), *(members.spans for members in parts)])
    every = np.column_stack([numbers, spans])
    names = tuple(file.relative_to(root).as_posix() for file in files)
    images = _Images(root, names, every)
    restarted = []
    for rows in found.values():
        rows.sort()
        if read and images.start_again(rows, read):
            rows[:] = sorted((images.with_file(path, row), row) for path, row in rows)
            restarted.append(rows[0][0])
    images.refuse_twins(found)
    notes = skipped_note([members.skipped for members in parts], f"{source} files")
    if restarted:
        notes += (
            f"names start again in each file: images of {len(restarted):,} classes are named by "
            f"their file too, as in {restarted[0]}",
        )
    paths = {wnid: tuple(path for path, _ in rows) for wnid, rows in found.items()}
    own = {wnid: every[[row for _, row in rows]] for wnid, rows in found.items()}
    return Listing(str(root), source, paths, own, names, notes)


def _twins(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Neighbours of one name, in sorted rows."""
    return [(each, after) for each, after in pairwise(rows) if each[0] == after[0]]


@dataclass(frozen=True, eq=False)
class _Images:
    """The images of all files: int64 [m, 3], the index of the file and the `Span`."""

    root: Path
    files: tuple[str, ...]
    every: NDArray[np.int64]

    def start_again(self, rows: Sequence[Row], read: Read) -> bool:
        """Whether images of one name lie in different files, and have different bytes."""
        twins = [(one[1], other[1]) for one, other in _twins(rows)]
        if any(self.every[one, 0] == self.every[other, 0] for one, other in twins):
            return False
        compared = twins[:_COMPARED]
        return any(self._bytes(one, read) != self._bytes(other, read) for one, other in compared)

    def _bytes(self, row: int, read: Read) -> bytes:
        file, first, second = self.every[row].tolist()
        return read(self.root / self.files[file], (first, second))

    def with_file(self, path: str, row: int) -> str:
        """`wnid/file` of an image, with the name of the file that it lies in."""
        wnid, _, name = path.partition("/")
        shard = self.files[self.every[row, 0]].rpartition(".")[0].replace("/", "-")
        return f"{wnid}/{shard}-{name}"

    def refuse_twins(self, found: dict[str, list[Row]]) -> None:
        """Raise a CogError if two images have one name."""
        twins = [pair for rows in found.values() for pair in _twins(rows)]
        if not twins:
            return
        shown = []
        for (path, one), (_, other) in twins[:5]:
            first, second = (self.files[self.every[row, 0]] for row in (one, other))
            where = f"twice in {first}" if first == second else f"in {first} and in {second}"
            shown.append(f"{path} ({where})")
        raise CogError(
            f"{len(twins):,} images are there more than once in {self.root}: {', '.join(shown)}",
            "remove the files that repeat others, for example shards of a second download, or give "
            "each image of a class a name of its own",
        )
