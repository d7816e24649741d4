"""Images in WebDataset shards: tars of `KEY.jpg` with `KEY.cls` or `KEY.json`, in any order.

A sample has one image; which one, and where its key ends, says cog/images/samples.py. The class is,
in this order: a wnid in the .cls or the .json; the wnid in a file name that the .json gives, or in
the key; an index in the class list beside the shards (class_names.py). A shard with an image whose
class cannot be known is refused.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from cog.images.archive_index import Members, read_span
from cog.images.class_names import image_path, named_path, no_class, no_name
from cog.images.listing import Listing, is_image, refuse_unlistable, why_no_image
from cog.images.samples import ANY, Image, choose_images, divide
from cog.images.shards import list_named, list_shards
from cog.images.sources.tars import in_place, members_of, other_tars
from cog.small_files import NotReadable, parse_json

LABELS = "cls", "json"
_LABEL_BYTES = 1 << 20  # a larger .cls or .json is no label
_NAMES = ("filename", "file_name", "path", "__key__")  # of a .json, for the file
_CLASSES = ("wnid", "synset", "synset_id", "cls", "label", "class", "class_id", "class_name")

Labels = dict[str, dict[str, Any]]
"""key → the values of its labels, by their suffix: cls, json"""


def find_in_shards(root: Path, wnids: Sequence[str], image_key: str = "") -> Listing:
    """The images of every wnid, from all shards; `image_key`: the field that holds them.

    Raises:
        CogError: a damaged shard, members that cannot be read in place, a sample with several
            images, an image whose class cannot be known, or one that is there twice.
    """
    find = partial(_find, image_key=image_key)
    kind = f" {image_key}" if image_key else ""
    return list_shards("webdataset", root, other_tars(root), find, wnids, read_span, kind)


def find_named(root: Path, files: Sequence[Path], image_key: str = "") -> Listing:
    """The images of some shards by class, whatever the names of the classes are.

    Raises:
        CogError: as `find_in_shards` does.
    """
    find = partial(_find, image_key=image_key, any_name=True)
    kind = f" {image_key}" if image_key else ""
    return list_named("webdataset", root, files, find, read_span, kind)


def _find(
    tar: Path, known: Sequence[str], folder: Path, image_key: str, any_name: bool = False
) -> Members:
    """The images of one shard, as `wnid/file`, or as `class/file` where names are free."""
    skipped: Counter[str] = Counter()
    found, labels = _read_through(tar, skipped)
    classed, described = ({k for k, own in labels.items() if s in own} for s in LABELS)
    images = choose_images(divide(found, classed, described), image_key, str(tar), skipped)
    members = in_place(tar, [(image.name, image.member) for image in images], skipped)
    paths = []
    for image in images:
        names, classes = _named(labels.get(image.key, {}).values())
        if any_name:
            path = named_path(f"{image.key}.{image.name.rpartition('.')[2]}", classes, known)
        else:
            path = _path(image, names, classes, known)
        if path and image_key not in ("", ANY):  # no two fields give one name
            path = f"{path.rpartition('.')[0]}.{image.field}"
        if not path:
            no = no_name if any_name else no_class
            raise no(str(tar), image.name, classes, known, folder)
        paths.append(path)
    keys = {image.key for image in images}
    if unused := sum(len(values) for key, values in labels.items() if key not in keys):
        skipped["labels of no image"] += unused
    refuse_unlistable(paths, str(tar))
    return replace(members, names=paths)


def _read_through(
    tar: Path, skipped: Counter[str]
) -> tuple[list[tuple[str, tarfile.TarInfo]], Labels]:
    """The images and the labels of a shard; what else is there is counted in `skipped`."""
    images: list[tuple[str, tarfile.TarInfo]] = []
    labels: Labels = {}
    for member, file in members_of(tar):
        name = member.name.removeprefix("./")
        key, _, suffix = name.rpartition(".")
        is_label = suffix.lower() in LABELS and member.isreg()
        if member.isdir():
            continue
        if is_image(name):
            images.append((name, member))
        elif is_label and member.size <= _LABEL_BYTES:
            file.seek(member.offset_data)
            value = _label(file.read(member.size))
            labels.setdefault(key, {}).setdefault(suffix.lower(), value)
        else:
            skipped["too large for a label" if is_label else why_no_image(name)] += 1
    return images, labels


def _label(content: bytes) -> Any:
    """The value of a .json or a .cls, of fields the known ones; its text if that is not JSON."""
    text = content.decode("utf-8", "replace").strip()
    try:
        value = parse_json(text, _LABEL_BYTES, lenient=True)
    except NotReadable:
        return text
    if isinstance(value, dict):  # may be large, and there is one a sample
        return {name: value[name] for name in (*_NAMES, *_CLASSES) if name in value}
    return value


def _named(labels: Iterable[Any]) -> tuple[list[str], list[Any]]:
    """The file names and the classes that the labels of a sample give."""
    names, classes = [], []
    for label in labels:
        fields = label if isinstance(label, dict) else {"cls": label}
        names += [str(fields[name]) for name in _NAMES if fields.get(name)]
        classes += [fields[name] for name in _CLASSES if fields.get(name) is not None]
    return names, classes


def _path(image: Image, names: Sequence[str], classes: Sequence[Any], known: Sequence[str]) -> str:
    """`wnid/file` of an image from its own name and its labels; empty if they name no class."""
    own = f"{image.key}.{image.name.rpartition('.')[2]}"
    return image_path([*filter(is_image, names), own, *names], classes, known)
