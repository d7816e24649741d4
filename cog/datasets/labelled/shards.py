"""Labelled images in WebDataset or Parquet shards, with train and test in their names or folders.

The shards lie in the root, in its `data/`, or in `train/` and `test/` (or val/, …). Labels are
names, or numbers; the metadata of a Parquet file say what a number is called, or `classes.txt` in
the root.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cog.datasets.labelled.labelled import Labelled
from cog.datasets.labelled.parts import TESTS, TRAIN, choose_parts, unused_note
from cog.images.listing import Listing
from cog.images.sources import IMAGE_SOURCES, parquet, webdataset

FORMS = ("parquet", "webdataset")


def find_in_shards(root: Path, image_key: str | None = None) -> Labelled | None:
    """The labelled images in the shards at `root`; None where there are no shards.

    Raises:
        CogError: a damaged shard, or an image without a label or there twice.
    """
    for form in FORMS:
        if parts := _parts(root, form):
            break
    else:
        return None
    if chosen := choose_parts(parts):
        train, test = (_listing(form, root, parts[part], image_key) for part in chosen[:2])
        notes = unused_note(chosen)
        if other := parts.get(""):
            notes += (f"{len(other):,} shards of no part are not used, such as {other[0].name}",)
        return Labelled(train, test, f"{chosen.train}/{chosen.test}", notes=notes)
    every = sorted(file for files in parts.values() for file in files)
    return Labelled(_listing(form, root, every, image_key), None)


def _parts(root: Path, form: str) -> dict[str, list[Path]]:
    """The shards of each part of a split; "" has those of none."""
    claims = IMAGE_SOURCES[form].claims
    names = (*TRAIN, *TESTS)
    folders = [path for path in sorted(root.glob("*")) if path.name.lower() in names]
    parts = {path.name: files for path in folders if path.is_dir() and (files := claims(path))}
    for file in claims(root) if not parts else ():
        words = re.split(r"[^a-z]+", file.name.lower())
        part = next((name for name in names if name in words), "")
        parts.setdefault(part, []).append(file)
    return parts


def _listing(form: str, root: Path, files: Sequence[Path], image_key: str | None) -> Listing:
    if form == "parquet":
        return parquet.find_named(root, files)
    return webdataset.find_named(root, files, image_key or "")
