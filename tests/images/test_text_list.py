"""Text lists of images and their classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cog.errors import CogError
from cog.images.find import find_images
from cog.images.image_list import read_bytes
from tests.support.image_files import (
    FILES,
    WNIDS,
    contents,
    everything,
    make_folder,
    make_list,
)


def test_labels_of_a_list_are_wnids_or_indices(tmp_path: Path, expected: str) -> None:
    make_folder(tmp_path, {f"train/{path}": data for path, data in FILES.items()})
    own = "".join(f"train/{path} 0\n" for path in FILES)  # the folder tells the class
    (tmp_path / "own.txt").write_text(own)
    assert everything(tmp_path / "own.txt").fingerprint == expected
    make_folder(tmp_path, {"x/1 2.jpg": b"12"})
    (tmp_path / "other.txt").write_text("x/1 2.jpg\t2\n")
    with pytest.raises(CogError, match="cannot be known"):
        find_images(tmp_path / "other.txt", WNIDS)
    (tmp_path / "synsets.txt").write_text("\n".join(WNIDS))
    assert contents(tmp_path / "other.txt") == {f"{WNIDS[2]}/1 2.jpg": b"12"}


@pytest.mark.parametrize("line", ["../a.jpg n00000011", "/a.jpg n00000011", "a.jpg", "a.txt 1"])
def test_lines_that_do_not_belong_in_a_list_are_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text(f"\n{line}\n")
    with pytest.raises(CogError, match="line 2"):
        find_images(tmp_path / "all.txt", WNIDS)


def test_listed_images_that_are_gone_or_there_twice_are_errors(tmp_path: Path) -> None:
    file = make_list(tmp_path / "a")
    images = everything(file)
    (file.parent / "images" / images.paths[0]).unlink()
    with pytest.raises(CogError, match="cannot read"):
        read_bytes(images, 0)
    file.write_text(file.read_text() + file.read_text())
    with pytest.raises(CogError, match="9 images are there more than once"):
        find_images(file, WNIDS)
