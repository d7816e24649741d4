"""Lists of images: fingerprints, bytes, sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.images.image_list import read_bytes, size_of
from cog.images.sources import IMAGE_SOURCES
from tests.support.image_files import (
    FILES,
    MAKERS,
    WNIDS,
    everything,
    make_folder,
    make_parquet,
    make_tars,
)


def test_fingerprint_depends_on_the_images_and_not_on_their_root(tmp_path: Path) -> None:
    images = everything(make_folder(tmp_path))
    assert replace(images, root="elsewhere").fingerprint == images.fingerprint
    others = [
        replace(images, split="test"),
        replace(images, labels=images.labels[::-1].copy()),
        replace(images, paths=images.paths[::-1]),
        replace(images, classes=(*WNIDS, "n00000044")),
        replace(images, classes=WNIDS[:2], paths=(WNIDS[2], *images.paths)),
    ]
    prints = {images.fingerprint, *(other.fingerprint for other in others)}
    assert len(prints) == 1 + len(others)


def test_a_vanished_image_is_an_error_and_not_an_unreadable_image(tmp_path: Path) -> None:
    images = everything(make_folder(tmp_path))
    (tmp_path / images.paths[4]).unlink()
    with pytest.raises(CogError, match=images.paths[4]):
        read_bytes(images, 4)


def test_a_tar_that_shrank_since_it_was_listed_is_an_error(tmp_path: Path) -> None:
    images = everything(make_tars(tmp_path))
    tar = tmp_path / f"{WNIDS[2]}.tar"
    tar.write_bytes(tar.read_bytes()[:600])
    with pytest.raises(CogError, match="ends before byte"):
        read_bytes(images, len(images) - 1)


@pytest.mark.parametrize("source", [*IMAGE_SOURCES, "compressed parquet"])
def test_every_source_knows_the_size_of_an_image(source: str, tmp_path: Path) -> None:
    if source == "compressed parquet":
        root = make_parquet(tmp_path / "images", compression="snappy")
    else:
        root = MAKERS[source](tmp_path / "images", FILES)
    images = everything(root)
    sizes = [size_of(images, index) for index in range(len(images))]
    assert sizes == [len(FILES[path]) for path in images.paths]
