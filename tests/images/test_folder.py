"""Folders of images: what else lies in them is counted and named by its reason."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

import cog.images.sources.folder
from cog.errors import CogError
from cog.images.find import find_images
from cog.images.image_list import read_bytes, size_of
from cog.images.plain_files import open_plain
from tests.support.image_files import FILES, WNIDS, everything, make_folder, make_list

FIRST = WNIDS[0]
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")


def test_other_files_are_counted_by_reason(tmp_path: Path) -> None:
    others = ("a.avif", "b.AVIF", "c.heic", "noext", "a.png.1", ".a.jpg", "._b.JPEG", "t.txt")
    root = make_folder(tmp_path, FILES | {f"{FIRST}/{name}": b"?" for name in others})
    (root / FIRST / "empty").mkdir()
    (root / FIRST / "x.jpg").mkdir()
    assert find_images(root, WNIDS).notes == (
        "10 entries of the folders are not images of a class: 2 .avif, 2 hidden, 2 sub-folders, "
        "1 .heic, 1 .txt, 1 with an odd suffix, 1 others",
    )
    assert everything(root).paths == tuple(sorted(FILES))


def test_a_class_whose_files_are_all_of_another_format_or_broken_says_so(tmp_path: Path) -> None:
    root = make_folder(tmp_path, {f"{FIRST}/{name}": b"" for name in ("a.avif", "b.avif", "c.txt")})
    (root / FIRST / "gone.jpg").symlink_to("nowhere")
    assert find_images(root, WNIDS[:1]).remarks[FIRST] == (
        "its folder has no images, but 1 broken entries, 2 .avif",
        "mend what is broken; convert other formats to JPEG or PNG",
        False,
    )


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(file: Path) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    images = everything(make_folder(tmp_path))
    monkeypatch.setattr(cog.images.sources.folder, "open_plain", forbid)
    for look in (read_bytes, size_of):  # check-data asks for the size alone
        with pytest.raises(CogError, match="Permission denied"):
            look(images, 0)


def test_images_one_level_down_are_said_with_what_to_do(tmp_path: Path) -> None:
    inside = {path.replace("/", "/images/"): data for path, data in FILES.items()}
    root = make_folder(tmp_path, inside | {f"{FIRST}/thumbs/a.jpg": b"", f"{FIRST}/b.jpg": b""})
    listing = find_images(root, WNIDS)
    assert listing.remarks[FIRST].found == (
        "its folder has 1 images, but 3 in images/ and 1 in 1 others"
    )
    assert listing.remarks[WNIDS[1]].found == "its folder has no images, but 3 in images/"
    assert {remark.advice for remark in listing.remarks.values()} == {"give them one level up"}
    assert listing.notes[0].startswith("10 images in 4 sub-folders, such as n00000011/")


def make_broken(folder: Path) -> dict[str, str]:
    """Entries that stand where an image should, each with what is wrong."""
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "gone").symlink_to("nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "under.jpg").symlink_to(f"{FIRST}_2.JPEG/x.jpg")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "pipe-link.jpg").symlink_to("pipe.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)  # names of sockets are short
        try:
            server.bind("sock.jpg")
        finally:
            os.chdir(here)
    return {
        "gone": "leads nowhere",
        "gone.jpg": "leads nowhere",
        "loop.png": "leads to itself",
        "pipe-link.jpg": "a FIFO",
        "pipe.jpg": "a FIFO",
        "sock.jpg": "a socket",
        "under.jpg": "leads nowhere",
        "zero.jpg": "a device",
    }


def test_links_to_nothing_and_what_is_no_file_are_broken(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    wanted = make_broken(root / FIRST)
    (root / FIRST / "ok.jpg").symlink_to(f"{FIRST}_2.JPEG")
    listing = find_images(root, WNIDS)
    assert f"{FIRST}/ok.jpg" in listing.paths[FIRST]
    assert len(listing.paths[FIRST]) == 4
    broken = listing.broken[FIRST]
    assert sorted(broken) == [f"{FIRST}/{name}" for name in wanted]
    for name, why in wanted.items():
        assert why in broken[f"{FIRST}/{name}"]
    assert listing.notes[-1].startswith("8 entries are broken: ")


def test_names_of_broken_entries_can_be_printed_and_written(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    (root / FIRST / os.fsdecode(b"\x1b[2J\n\xff.jpg")).symlink_to("nowhere")
    listing = find_images(root, WNIDS)
    text = "".join([*listing.broken[FIRST], *listing.notes])
    assert text.isprintable()
    assert text.encode()


def test_a_class_folder_that_is_a_broken_link_is_damaged(tmp_path: Path) -> None:
    root = make_folder(tmp_path, {path: d for path, d in FILES.items() if FIRST not in path})
    (root / FIRST).symlink_to("nowhere")
    with pytest.raises(CogError, match=rf"{FIRST} is a link that leads nowhere"):
        find_images(root, WNIDS)
    listing = find_images(root, WNIDS, skip_damaged=True)
    assert list(listing.damaged) == [FIRST]
    (root / FIRST).unlink()
    (root / FIRST).symlink_to(FIRST)
    with pytest.raises(CogError, match=rf"{FIRST} cannot be listed"):
        find_images(root, WNIDS)


@pytest.mark.parametrize("place", ["folder", "list"])
def test_an_image_that_becomes_a_fifo_is_not_waited_for(place: str, tmp_path: Path) -> None:
    root = (make_folder if place == "folder" else make_list)(tmp_path)
    images = everything(root)
    file = tmp_path / ("" if place == "folder" else "images") / images.paths[0]
    file.unlink()
    os.mkfifo(file)
    for look in (read_bytes, size_of):
        with pytest.raises(CogError, match="it is a FIFO, and no plain file"):
            look(images, 0)


def test_a_name_with_a_nul_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="NUL"):
        open_plain(tmp_path / "a\0.jpg")


def test_a_file_in_the_place_of_a_class_folder_is_damaged(tmp_path: Path) -> None:
    """Also behind a link, which leads somewhere."""
    root = make_folder(tmp_path)
    (root / "other").write_bytes(b"")
    for make in (Path.touch, lambda path: path.symlink_to(root / "other")):
        shutil.rmtree(root / FIRST, ignore_errors=True)
        (root / FIRST).unlink(missing_ok=True)
        make(root / FIRST)
        listing = find_images(root, WNIDS, skip_damaged=True)
        assert "is no folder" in listing.damaged[FIRST].what


def test_images_two_levels_down_are_looked_for_in_their_folders(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    shutil.move(root / FIRST, root / "moved")
    (root / FIRST / "a").mkdir(parents=True)
    shutil.move(root / "moved", root / FIRST / "a" / "b")
    remark = find_images(root, WNIDS).remarks[FIRST]
    assert remark.found.endswith("no images, but 1 sub-folders without images right in them")
    assert remark.advice == "give the images right in the folder of the class"
