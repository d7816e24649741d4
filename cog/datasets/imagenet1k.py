"""ImageNet-1K as released: train/ by class, val/ by class or flat with labels beside it; shards."""

from __future__ import annotations

import csv
import gzip
import io
import re
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from cog.datasets.splits import Split, all_broken, keep_classes
from cog.errors import CogError
from cog.images.find import find_images, source_of
from cog.images.image_list import every_image
from cog.images.listing import Listing, reason_in_a_line
from cog.images.plain_files import open_plain
from cog.images.sources.folder import list_folder, notes_of
from cog.small_files import NotReadable, read_lines, read_small

DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
KAGGLE = "LOC_val_solution.csv"
DEVKIT_BYTES = 1 << 26  # of the official one, unpacked, 4 million


def in1k_lists(
    root: Path, wnids: Sequence[str], *, allow_missing: bool = False, image_key: str | None = None
) -> Split:
    """Training and test images of ImageNet-1K: all of `root`/train and all of `root`/val.

    Instead of these folders there may be shards (tar or Parquet), in `root` or `root`/data, with
    train and val in their names.

    Raises:
        CogError: a folder or the labels are not there; an image of a flat val/ has no label; or
            classes are missing (with `allow_missing` they are left out).
    """
    wnids = tuple(sorted(set(wnids)))
    train = find_images(_part(root, "train"), wnids, image_key=image_key)
    val = _find_val(root, wnids, image_key)
    parts, short = {"train": train, "val": val}, {}
    for wnid in wnids:
        empty = {name: part for name, part in parts.items() if not part.paths[wnid]}
        if empty:
            why = [each.remarks[wnid].found for each in empty.values() if wnid in each.remarks]
            short[wnid] = f"none in {' and '.join(empty)}" + "".join(f" ({text})" for text in why)
    kept = keep_classes(wnids, short, {**val.remarks, **train.remarks}, allow_missing=allow_missing)
    lists = [every_image(part, split, kept) for part, split in ((train, "train"), (val, "test"))]
    notes = tuple(f"{name}: {note}" for name, part in parts.items() for note in part.notes)
    broken = {
        images.split: all_broken(part) for images, part in zip(lists, parts.values(), strict=True)
    }
    return Split(lists[0], lists[1], tuple(sorted(short)), "official", notes, broken)


def _part(root: Path, name: str) -> Path:
    """The folder of a part, or the pattern of its shards: `*train*.tar`, `data/*val*.parquet`."""
    patterns = (f / f"*{name}*{s}" for f in (root, root / "data") for s in (".tar", ".parquet"))
    shards = (pattern for pattern in patterns if any(pattern.parent.glob(pattern.name)))
    with suppress(OSError, ValueError):  # a root that cannot be: to list it will say so
        return root / name if (root / name).is_dir() else next(shards, root / name)
    return root / name


def _find_val(root: Path, wnids: Sequence[str], image_key: str | None) -> Listing:
    """The validation images of each wnid; paths of a flat val/ are file names alone."""
    folder = _part(root, "val")
    if folder.name != "val" or source_of(folder, wnids):
        return find_images(folder, wnids, image_key=image_key)
    content = list_folder(folder)
    names = content.images
    if not names:
        return find_images(folder, wnids)
    wnid_of = _val_labels(root)
    unlabelled = [name for name in names if _key(name) not in wnid_of]
    if unlabelled:
        raise CogError(
            f"{len(unlabelled):,} of {len(names):,} images in {folder} have no label: "
            f"{', '.join(unlabelled[:5])}",
            "remove images that are not ImageNet's, or sort the images into folders by wnid",
        )
    paths: dict[str, list[str]] = {wnid: [] for wnid in wnids}
    for name in names:  # sorted
        if (wnid := wnid_of[_key(name)]) in paths:
            paths[wnid].append(name)
    listed = {wnid: tuple(found) for wnid, found in paths.items()}
    notes, broken = notes_of({"val": content}), {"": content.broken}
    return Listing(str(folder), "folder", listed, notes=notes, broken=broken)


def _key(name: str) -> int:
    """The number of a validation image, 0 if its name has none.

    >>> _key("ILSVRC2012_val_00000293.JPEG")
    293
    """
    match = re.match(r"ILSVRC2012_val_(\d{8})(\.|$)", name)
    return int(match[1]) if match else 0


def _val_labels(root: Path) -> dict[int, str]:
    """The wnid of each validation image by its number, from the labels that are there."""
    for kaggle in (root / KAGGLE, root / "val" / KAGGLE):
        if kaggle.is_file():
            return _kaggle_labels(kaggle)
    packed = root / f"{DEVKIT}.tar.gz"
    if not (root / DEVKIT / "data").is_dir() and not packed.is_file():
        raise CogError(
            f"{root / 'val'} has no folders by class, and the labels of its images are not there",
            f"put {packed.name} or {KAGGLE} into {root}, or sort the images into folders by wnid",
        )
    try:
        return _devkit_labels(*(_devkit_file(root, name) for name in ("meta.mat", GROUND_TRUTH)))
    except Exception as error:  # the readers raise nearly anything for damaged files
        raise CogError(
            f"cannot read the labels of {DEVKIT} in {root} ({reason_in_a_line(error)})",
            "download the development kit again",
        ) from error


def _devkit_file(root: Path, name: str) -> bytes:
    """The bytes of one file of the development kit, unpacked or packed."""
    path = f"{DEVKIT}/data/{name}"
    if (root / path).parent.is_dir():
        return read_small(root / path, DEVKIT_BYTES)
    with open_plain(root / f"{DEVKIT}.tar.gz") as packed, gzip.open(packed) as unpacked:
        data = unpacked.read(DEVKIT_BYTES + 1)
    if len(data) > DEVKIT_BYTES:
        raise NotReadable(f"unpacked, it has more than {DEVKIT_BYTES:,} bytes")
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        file = archive.extractfile(path)
        assert file is not None, f"{name} is not a file"
        return file.read()


def _devkit_labels(meta: bytes, truth: bytes) -> dict[int, str]:
    """The labels of the development kit: line n holds the ILSVRC2012_ID of image n."""
    from scipy.io import loadmat

    synsets = np.atleast_1d(loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"])
    wnid_of_id = {
        int(synset["ILSVRC2012_ID"]): str(synset["WNID"])
        for synset in synsets
        if int(synset["num_children"]) == 0  # inner synsets have ids above 1,000
    }
    ids = [int(line) for line in truth.split()]
    return {number: wnid_of_id[id_] for number, id_ in enumerate(ids, start=1)}


def _kaggle_labels(file: Path) -> dict[int, str]:
    """Labels of Kaggle's table: `ILSVRC2012_val_00000001,n01751748 111 108 441 193 …`."""
    try:
        rows = list(csv.DictReader(read_lines(file), restval=""))
    except (NotReadable, csv.Error) as error:
        raise CogError(f"{file} is no table: {error}", "download it again") from error
    if not rows or not {"ImageId", "PredictionString"} <= set(rows[0]):
        what = f"expected the columns ImageId and PredictionString in {file}"
        raise CogError(what, "download it again")
    first = ((_key(row["ImageId"]), row["PredictionString"].partition(" ")[0]) for row in rows)
    return {number: wnid for number, wnid in first if number and wnid}
