"""Images in a folder tree: `ROOT/<wnid>/*`, or all in one folder.

What is no image is counted by its reason. A link that leads nowhere, or a FIFO, under the name of
an image is broken. Images in sub-folders are counted too, and a remark says where they belong.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cog.errors import CogError
from cog.images.listing import (
    Listing,
    Remark,
    Span,
    is_image,
    refuse_unlistable,
    skipped_note,
    why_no_image,
)
from cog.images.plain_files import kind_of_file, open_plain
from cog.plain_text import printable
from cog.recipe import WNID

_NOWHERE = {
    errno.ENOENT: "a link that leads nowhere",
    errno.ENOTDIR: "a link that leads nowhere",
    errno.ELOOP: "a link that leads to itself",
}


@dataclass(frozen=True)
class Content:
    """What lies right in a folder."""

    images: list[str] = field(default_factory=list)  # names, sorted
    broken: dict[str, str] = field(default_factory=dict)  # name → why
    below: dict[str, int] = field(default_factory=dict)  # sub-folder → images in it
    skipped: Counter[str] = field(default_factory=Counter)  # reason → entries


def class_folders(root: Path) -> list[Path]:
    """The folders right under `root` that are named by a wnid, links to nothing among them."""
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        named = [entry for entry in entries if WNID.fullmatch(entry.name)]
        return [Path(entry) for entry in named if is_folder_or_lost(entry)]


def find_in_folders(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid; what else lies in their folders is counted in the notes."""
    paths: dict[str, tuple[str, ...]] = dict.fromkeys(wnids, ())
    damaged: dict[str, CogError] = {}
    found: dict[str, Content] = {}
    for wnid in paths:
        try:
            content = list_folder(root / wnid)
        except CogError as error:
            damaged[wnid] = error
            continue
        paths[wnid] = tuple(f"{wnid}/{name}" for name in content.images)
        if content.broken or content.below or content.skipped:
            found[wnid] = content
    broken = {
        wnid: {f"{wnid}/{name}": why for name, why in content.broken.items()}
        for wnid, content in found.items()
        if content.broken
    }
    remarks = {wnid: remark for wnid, each in found.items() if (remark := _remark(each))}
    notes = notes_of(found)
    return Listing(
        str(root), "folder", paths, notes=notes, damaged=damaged, broken=broken, remarks=remarks
    )


def list_folder(folder: Path) -> Content:
    """What lies right in a folder; nothing if there is no such folder.

    Raises:
        CogError: it cannot be listed, is a link that leads nowhere, or holds names of images that
            do not fit into a text list.
    """
    content = Content()
    try:
        with os.scandir(folder) as entries:  # knows files from folders without asking for each
            for entry in entries:
                try:
                    if is_image(entry.name) and entry.is_file():
                        content.images.append(entry.name)
                        continue
                except OSError:  # a link in a circle
                    pass
                _add_other(content, entry)
    except FileNotFoundError:
        if folder.is_symlink():
            what = f"{folder} is {_NOWHERE[errno.ENOENT]}"
            raise CogError(what, "bring back what it leads to, or remove the link") from None
    except NotADirectoryError as error:
        what = f"{folder} is no folder: expected one with the images of the class"
        raise CogError(what, "put the folder there, or remove what is there") from error
    except OSError as error:
        what = f"the folder {folder} cannot be listed ({error.strerror or error})"
        raise CogError(what, "make it readable, or remove it and give --allow-missing") from error
    content.images.sort()
    refuse_unlistable(content.images, str(folder))
    return content


def _add_other(content: Content, entry: os.DirEntry[str]) -> None:
    """Count an entry that is no plain file with the name of an image; only links are followed."""
    name = printable(entry.name)
    try:
        status = entry.stat() if entry.is_symlink() else None
    except OSError as error:
        content.broken[name] = _NOWHERE.get(error.errno or 0, error.strerror or str(error))
        return
    if entry.is_dir():
        images = 0 if name.startswith(".") else _count_images(entry.path)
        if images:
            content.below[name] = images
        else:
            content.skipped["sub-folders"] += 1
    elif is_image(entry.name) or not entry.is_file():
        kind = kind_of_file((status or entry.stat()).st_mode)
        content.broken[name] = f"{kind}, and no plain file"
    else:
        content.skipped[why_no_image(entry.name)] += 1


def _count_images(folder: str) -> int:
    """How many names of images a sub-folder holds; none if it cannot be listed."""
    with suppress(OSError), os.scandir(folder) as entries:
        return sum(is_image(entry.name) for entry in entries)
    return 0


def is_folder_or_lost(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, a link to one, or a link that leads nowhere."""
    with suppress(OSError):
        if entry.is_dir():
            return True
    return entry.is_symlink() and not Path(entry).exists()


def _remark(content: Content) -> Remark | None:
    """Why a folder may have fewer images than its user expects; None if nothing tells it."""
    found, advice = [], []
    if content.below:
        name, count = max(content.below.items(), key=lambda pair: pair[1])
        others = len(content.below) - 1
        rest = sum(content.below.values()) - count
        found.append(f"{count:,} in {name}/" + (f" and {rest:,} in {others} others" * bool(others)))
        advice.append("give them one level up")
    elif not content.images and (empty := content.skipped["sub-folders"]):
        found.append(f"{empty:,} sub-folders without images right in them")
        advice.append("give the images right in the folder of the class")
    if content.broken:
        found.append(f"{len(content.broken):,} broken entries")
        advice.append("mend what is broken")
    unread = [(count, why) for why, count in content.skipped.items() if why.startswith(".")]
    if unread and not content.images:
        found.append("{:,} {}".format(*max(unread)))
        advice.append("convert other formats to JPEG or PNG")
    if not found:
        return None
    own = f"{len(content.images):,}" if content.images else "no"
    what = f"its folder has {own} images, but {', '.join(found)}"
    return Remark(what, "; ".join(advice), misplaced=bool(content.below))


def notes_of(contents: Mapping[str, Content]) -> tuple[str, ...]:
    """What was left out of some folders, each under its name."""
    notes = list(skipped_note((content.skipped for content in contents.values()), "folders"))
    below = {f"{name}/{sub}/": n for name, c in contents.items() for sub, n in c.below.items()}
    if below:
        notes.append(
            f"{sum(below.values()):,} images in {len(below):,} sub-folders, such as "
            f"{next(iter(below))}, are not taken: give them one level up"
        )
    broken = [f"{name}/{own} ({c.broken[own]})" for name, c in contents.items() for own in c.broken]
    if broken:
        more = ", …" if len(broken) > 3 else ""
        notes.append(f"{len(broken):,} entries are broken: {', '.join(broken[:3])}{more}")
    return tuple(notes)


def read_file(file: Path, _: Span) -> bytes:
    """The bytes of an image that is a whole file."""
    with open_plain(file) as opened:
        return opened.read()


def size_of_file(file: Path, _: Span) -> int:
    """The size in bytes of an image that is a whole file, which must be readable."""
    with open_plain(file) as opened:
        return os.fstat(opened.fileno()).st_size
