"""Images in WebDataset shards: tars of `KEY.jpg` with `KEY.cls` or `KEY.json`, in any order.

The class is, in this order: a wnid in the .cls or the .json; the wnid in a file name that the .json
gives, or in the key; an index in the class list beside the shards (class_names.py). A shard with an
image whose class cannot be known is refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cog.images.archive_index import Members, read_span
from cog.images.class_names import image_path, no_class
from cog.images.listing import Listing, is_image, refuse_unlistable, why_no_image
from cog.images.shards import list_shards
from cog.images.sources.tars import in_place, members_of, other_tars

_LABEL_BYTES = 1 << 20  # a larger .cls or .json is no label
_NAMES = ("filename", "file_name", "path", "__key__")  # of a .json, for the file
_CLASSES = ("wnid", "synset", "synset_id", "cls", "label", "class", "class_id", "class_name")


def find_in_shards(root: Path, wnids: Sequence[str]) -> Listing:
    """The images of every wnid, from all shards.

    Raises:
        CogError: a damaged shard, members that cannot be read in place, an image whose class
            cannot be known, or one that is there twice.
    """
    return list_shards("webdataset", root, other_tars(root), _find, wnids, read_span)


def _find(tar: Path, known: Sequence[str], folder: Path) -> Members:
    """The images of one shard, as `wnid/file`."""
    images, labels, skipped = [], dict[str, list[Any]](), Counter[str]()
    for member, file in members_of(tar):
        name = member.name.removeprefix("./")
        key, suffix = _key(name)
        if is_image(name) and not member.isdir():
            images.append((name, member))
        elif suffix in ("cls", "json") and member.isreg() and member.size <= _LABEL_BYTES:
            file.seek(member.offset_data)
            labels.setdefault(key, []).append(_label(file.read(member.size)))
        elif not member.isdir():
            skipped[why_no_image(name)] += 1
    members = in_place(tar, images, skipped)
    paths = [_path(name, labels.get(_key(name)[0], []), known) for name, _ in images]
    if "" in paths:
        name = members.names[paths.index("")]
        label = labels.get(_key(name)[0], "a .cls or .json, as it has none")
        found = f"neither its name nor {str(label)[:200]} gives a class"
        raise no_class(str(tar), name, found, folder)
    refuse_unlistable(paths, str(tar))
    return replace(members, names=paths)


def _key(name: str) -> tuple[str, str]:
    """A member's key and suffix: the base name is cut at its first dot.

    >>> _key("train.0/n01440764_18.cls")
    ('train.0/n01440764_18', 'cls')
    """
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix.lower()


def _label(content: bytes) -> Any:
    """The value of a .json or a .cls; its text if that is not JSON."""
    text = content.decode("utf-8", "replace").strip()
    try:
        return json.loads(text)
    except ValueError:
        return text


def _path(name: str, labels: Sequence[Any], known: Sequence[str]) -> str:
    """`wnid/file` of an image from its own name and its labels; empty if they name no class."""
    names, classes = [], []
    for label in labels:
        fields = label if isinstance(label, dict) else {"cls": label}
        names += [str(fields[name]) for name in _NAMES if fields.get(name)]
        classes += [fields[name] for name in _CLASSES if fields.get(name) is not None]
    return image_path([*(each for each in names if is_image(each)), name, *names], classes, known)
