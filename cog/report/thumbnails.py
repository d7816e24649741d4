"""Sample images of concepts, so small that thousands of them can lie beside a page."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from cog.cores import usable_cores
from cog.images.find import find_images
from cog.images.image_list import ImageList, choose, read_bytes
from cog.images.limits import Unreadable
from cog.images.preprocess import Preprocess
from cog.images.samples import ANY
from cog.partial_files import sweep
from cog.progress import Progress
from cog.storage import write_bytes

SIDE = 96  # pixels
SAMPLES = 3  # a concept
TRIES = 9  # images of a concept that are tried, as some may be unreadable
SQUARE = Preprocess(resize=SIDE, crop=SIDE)


def make_thumbnails(
    root: Path, wnids: Sequence[str], folder: Path, progress: Progress
) -> dict[str, tuple[str, ...]]:
    """Write JPEG squares of the first readable images of each wnid into `folder`.

    Gives for each wnid with images their URLs, relative to the parent of `folder`. Thumbnails that
    are there already stay, so that the same command goes on after an interruption.

    Raises:
        CogError: no images of these wnids under `root`, or a disk error while reading them.
        OSError: `folder` cannot be written.
    """
    listing = find_images(root, wnids, image_key=ANY)
    rows = {
        wnid: np.arange(min(len(paths), TRIES)) for wnid, paths in listing.paths.items() if paths
    }
    images = choose(listing, rows, "train")
    ends = np.cumsum([len(rows[wnid]) for wnid in images.classes])
    groups = np.split(np.arange(len(images)), ends[:-1])
    sweep(folder)
    pool = ThreadPoolExecutor(usable_cores())
    try:
        made = pool.map(lambda few: _thumbnails(images, few.tolist(), folder), groups)
        found = {}
        with progress.bar("thumbnails", len(groups), "concepts") as advance:
            for wnid, names in zip(images.classes, made, strict=True):
                found[wnid] = tuple(f"{folder.name}/{name}" for name in names)
                advance(1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    missing = sum(not found.get(wnid) for wnid in wnids)
    if missing:
        progress.notify(f"{missing:,} of {len(wnids):,} concepts have no image in {root}")
    return {wnid: names for wnid, names in found.items() if names}


def _thumbnails(images: ImageList, rows: Sequence[int], folder: Path) -> list[str]:
    """The file names of the first thumbnails of one concept; missing ones are made."""
    names: list[str] = []
    for row in rows:
        if len(names) == SAMPLES:
            break
        wnid = images.classes[images.labels[row]]
        # an image's own name may hold anything; a digest is safe in any URL and file system
        name = f"{wnid}-{hashlib.sha256(images.paths[row].encode()).hexdigest()[:10]}.jpg"
        if not (folder / name).exists():
            try:
                pixels = SQUARE.load(read_bytes(images, row)).permute(1, 2, 0).numpy()
            except Unreadable:
                continue
            encoded = io.BytesIO()
            Image.fromarray(pixels).save(encoded, "JPEG", quality=80)
            write_bytes(folder / name, encoded.getvalue())
        names.append(name)
    return names
