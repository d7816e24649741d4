"""A few files that stand in for images, in every form that `cog` reads them from."""

from __future__ import annotations

import io
import json
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cog.images.find import find_images
from cog.images.image_list import ImageList, choose, read_bytes
from cog.images.listing import Listing

WNIDS = ("n00000011", "n00000022", "n00000033")
FILES = {
    f"{wnid}/{wnid}_{number}.JPEG": f"{wnid} {number}".encode() * (number + 1)
    for wnid in WNIDS
    for number in (10, 2, 7)
}


def make_folder(root: Path, files: dict[str, bytes] = FILES) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def make_tars(root: Path, files: dict[str, bytes] = FILES) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for wnid in {path.partition("/")[0] for path in files}:
        members = [
            (path.partition("/")[2], data) for path, data in files.items() if path.startswith(wnid)
        ]
        make_tar(root / f"{wnid}.tar", members)
    return root


def make_tar(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def make_nested(root: Path, files: dict[str, bytes] = FILES) -> Path:
    """One tar of the tars, as the winter21 release is: in a folder of its name."""
    tars = sorted(make_tars(root.parent / "to-nest", files).iterdir())
    root.mkdir(parents=True, exist_ok=True)
    make_tar(root / "winter21.tar", [(f"winter21/{tar.name}", tar.read_bytes()) for tar in tars])
    shutil.rmtree(root.parent / "to-nest")
    return root


def shuffled(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return random.Random(0).sample(sorted(files.items()), len(files))


def make_shards(root: Path, files: dict[str, bytes] = FILES) -> Path:
    """Two shards in random order, whose keys are the names of the release."""
    root.mkdir(parents=True, exist_ok=True)
    members = [
        (path.partition("/")[2].replace(".JPEG", ".jpg"), data) for path, data in shuffled(files)
    ]
    make_tar(root / "train-0000.tar", members[::2])
    make_tar(root / "train-0001.tar", members[1::2])
    return root


def make_list(root: Path, files: dict[str, bytes] = FILES) -> Path:
    make_folder(root / "images", files)
    lines = [f"images/{path} {path.partition('/')[0]}\n" for path, _ in shuffled(files)]
    (root / "all.txt").write_text("# made by hand\n\n" + "".join(lines))
    return root / "all.txt"


def make_parquet(
    root: Path,
    files: dict[str, bytes] = FILES,
    compression: str = "none",
    names: list[str] | None = None,
    suffix: bool = True,
    rows_a_group: int = 2,
) -> Path:
    """Two files in random order, as Hugging Face exports them: paths end in the synset."""
    pa = pytest.importorskip("pyarrow", reason="pip install 'imagenet-cog[parquet]'")
    import pyarrow.parquet as pq

    (root / "data").mkdir(parents=True)
    wnids = sorted({path[:9] for path in files})
    rows = [
        {
            "image": {
                "bytes": data,
                "path": f"{Path(path).stem}_{path[:9]}.JPEG" if suffix else Path(path).name,
            },
            "label": wnids.index(path[:9]),
        }
        for path, data in shuffled(files)
    ]
    features = {"label": {"names": names or ["a, b", "c", "d"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    for number in (0, 1):
        table = pa.Table.from_pylist(rows[number::2]).replace_schema_metadata(metadata)
        pq.write_table(
            table,
            root / "data" / f"train-{number:05}-of-00002.parquet",
            compression=compression,
            row_group_size=rows_a_group,
        )
    return root


MAKERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "folder": make_folder,
    "tar": make_tars,
    "list": make_list,
    "parquet": make_parquet,
    "nested": make_nested,
    "webdataset": make_shards,
}


def all_of(listing: Listing) -> ImageList:
    """Every image of a listing."""
    return choose(listing, {w: np.arange(len(p)) for w, p in listing.paths.items()}, "train")


def everything(root: Path, wnids: tuple[str, ...] = WNIDS) -> ImageList:
    """Every image under a root."""
    return all_of(find_images(root, wnids))


def contents(root: Path) -> dict[str, bytes]:
    """The bytes of every image, by path."""
    images = everything(root)
    return {path: read_bytes(images, row) for row, path in enumerate(images.paths)}
