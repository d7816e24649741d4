"""Images named by a plain list: a text file of lines `path wnid` or `path label`.

Paths are relative to the folder of the list, without spaces at either end. A label is an index in
the class list beside the list (class_names.py); it is not needed if the path names the class, as in
`n01322508/n01322508_2514.JPEG 0`. An image is a whole file, so its span says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cog.errors import CogError
from cog.images.archive_index import Members
from cog.images.class_names import image_path, no_class, read_class_list
from cog.images.listing import Listing, is_image
from cog.images.shards import gather
from cog.images.sources.tars import leads_out
from cog.small_files import NotReadable, read_lines, shown


def list_files(root: Path) -> list[Path]:
    """The root itself, if it is a list."""
    return [root] if root.is_file() and root.suffix in (".txt", ".lst", ".list") else []


def find_listed(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid that the list `root` names, whether their files exist or not.

    Raises:
        CogError: a line without an image or its class, a path that leads out of the list's folder,
            or an image that is there twice.
    """
    folder, known = root.parent, read_class_list(root.parent)
    files, parts = [], []
    try:
        lines = read_lines(root)
    except NotReadable as error:
        raise CogError(f"{root} is no list of images: {error}", "give lines of text") from error
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        path, *label = line.rsplit(maxsplit=1)
        path = path.removeprefix("./")
        if not label or not is_image(path):
            raise CogError(
                f"{root} line {number}: expected an image and its class, found {shown(line, 200)}",
                "give lines like `images/a.jpg n02084071`",
            )
        if leads_out(path):
            raise CogError(
                f"{root} line {number}: {path} leads out of {folder}",
                "give paths below the list's own folder",
            )
        name = image_path([path], label, known)
        if not name:
            raise no_class(f"line {number} of {root}", path, label, known, folder)
        files.append(folder / path)
        parts.append(Members([name], np.zeros((1, 2), np.int64)))
    return gather(folder, "list", files, parts, wnids)
