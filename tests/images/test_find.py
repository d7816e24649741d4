"""Which images are found under a root, and in which form."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cog.datasets.imagenet1k import in1k_lists
from cog.errors import CogError
from cog.images.find import count_images, find_images
from cog.images.image_list import read_bytes
from cog.images.listing import is_image
from cog.images.sources import IMAGE_SOURCES
from tests.support.image_files import (
    FILES,
    MAKERS,
    WNIDS,
    all_of,
    everything,
    make_folder,
    make_tar,
    make_tars,
)


@pytest.mark.parametrize("source", IMAGE_SOURCES)
def test_every_source_lists_and_reads_the_same(source: str, tmp_path: Path) -> None:
    images = everything(MAKERS[source](tmp_path / "images", FILES))
    assert images.source == source
    assert images.paths == tuple(sorted(FILES))
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert images.labels.dtype == np.int64
    assert len(images) == 9
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: read_bytes(images, row), [*range(9)] * 5))
    assert found == [FILES[path] for path in images.paths] * 5
    folder = everything(make_folder(tmp_path / "other"))
    assert images.fingerprint == folder.fingerprint


@pytest.mark.parametrize("source", ["folder", "tar", "nested"])
def test_what_is_no_image_is_left_out(source: str, tmp_path: Path) -> None:
    extra = {
        f"{WNIDS[0]}/{name}": b"?"
        for name in (
            "urls.txt",
            "a.xml",
            "Thumbs.db",
            ".hidden.jpg",
            "._x.JPEG",
            "noext",
            "deep/x.jpg",
        )
    }
    kept = {
        f"{WNIDS[0]}/{name}": b"!" for name in ("a.JPG", "b b.jpeg", "c.png", "d.TIF", "é.webp")
    }
    empty = {f"{WNIDS[2]}/readme.txt": b"?"}
    only = {path: data for path, data in FILES.items() if WNIDS[2] not in path}
    root = MAKERS[source](tmp_path / "images", only | extra | kept | empty)
    assert set(everything(root).paths) == set(only) | set(kept)
    listing = find_images(root, WNIDS)
    assert listing.paths[WNIDS[2]] == ()
    assert listing.notes


@pytest.mark.parametrize("name", ["jpeg", ".jpeg", "x.jpg.txt", "x.", "x.mp4"])
def test_other_names_are_no_images(name: str) -> None:
    assert not is_image(name)


def test_the_source_with_more_of_the_classes_is_taken(tmp_path: Path) -> None:
    make_tars(tmp_path)
    make_folder(tmp_path, {f"{WNIDS[0]}/a.JPEG": b"a"})
    assert find_images(tmp_path, WNIDS).source == "tar"
    assert find_images(tmp_path, WNIDS[:1]).source == "folder"  # of equals, the first


def test_a_root_of_folders_and_tars_is_refused_unless_one_form_has_all(tmp_path: Path) -> None:
    make_folder(tmp_path)
    make_tars(tmp_path)
    assert find_images(tmp_path, WNIDS).source == "folder"
    for path in (tmp_path / WNIDS[2]).iterdir():
        path.unlink()
    (tmp_path / WNIDS[2]).rmdir()
    (tmp_path / f"{WNIDS[0]}.tar").unlink()
    (tmp_path / f"{WNIDS[1]}.tar").unlink()
    with pytest.raises(CogError, match="holds 2 of the classes as folders and 1 others as tars"):
        find_images(tmp_path, WNIDS)


def test_no_root_and_nothing_in_it_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CogError, match="there is no"):
        find_images(tmp_path / "nowhere", WNIDS)
    with pytest.raises(CogError, match="none of the 3 classes"):
        find_images(tmp_path, WNIDS)


@pytest.mark.parametrize(
    "root", ["a" * 300, "x/" * 3000, "**.tar", "[a", "a\0b", "\udcff", "a/**b"]
)
@pytest.mark.parametrize("look", [find_images, count_images, in1k_lists])
def test_a_root_that_cannot_be_is_refused_in_two_lines(
    look: Callable[..., object], root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CogError) as caught:
        look(Path(root), WNIDS)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.skipif(os.name != "posix", reason="such names are only possible on POSIX")
def test_names_that_a_list_cannot_hold_are_refused(tmp_path: Path) -> None:
    (tmp_path / WNIDS[0]).mkdir()
    (tmp_path / WNIDS[0] / "a\nb.jpg").write_bytes(b"")
    with pytest.raises(CogError, match="line breaks"):
        find_images(tmp_path, WNIDS)


def test_a_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(root: Path, wnids: object) -> int:
        raise PermissionError(13, "Permission denied", str(root))

    source = replace(IMAGE_SOURCES["folder"], find=forbid)
    monkeypatch.setitem(IMAGE_SOURCES, "folder", source)
    with pytest.raises(CogError, match=r"cannot list the images.*Permission denied"):
        find_images(make_folder(tmp_path), WNIDS)


@pytest.mark.parametrize("source", ["tar", "nested"])
def test_whole_tars_are_listed_beside_damaged_ones(source: str, tmp_path: Path) -> None:
    tars = make_tars(tmp_path / "tars")
    bad = tars / f"{WNIDS[0]}.tar"
    bad.write_bytes(bad.read_bytes()[:700])
    if source == "nested":
        root = tmp_path / "whole.tar"
        make_tar(root, [(path.name, path.read_bytes()) for path in sorted(tars.iterdir())])
    else:
        root = tars
    listing = find_images(root, WNIDS, skip_damaged=True)
    assert list(listing.damaged) == [WNIDS[0]]
    images = all_of(listing)
    assert {path: read_bytes(images, row) for row, path in enumerate(images.paths)} == {
        path: data for path, data in FILES.items() if WNIDS[0] not in path
    }


def test_images_import_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "scipy", "PIL", "pyarrow"}
    code = f"import sys, cog.datasets.imagenet1k; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("source", IMAGE_SOURCES)
def test_every_source_claims_its_own_form_only(source: str, tmp_path: Path) -> None:
    root = MAKERS[source](tmp_path / "images", FILES)
    assert [name for name, each in IMAGE_SOURCES.items() if each.claims(root)] == [source]
    assert not IMAGE_SOURCES[source].claims(tmp_path / "nowhere")


@pytest.mark.parametrize("source", IMAGE_SOURCES)
def test_every_source_counts_the_images_that_it_lists(source: str, tmp_path: Path) -> None:
    few = {path: data for path, data in FILES.items() if not path.endswith("2_2.JPEG")}
    root = MAKERS[source](tmp_path / "images", few)
    wnids = ("n00000001", *WNIDS, "n00000044")
    assert count_images(root, wnids)[0] == {WNIDS[0]: 3, WNIDS[1]: 2, WNIDS[2]: 3}
    assert count_images(root, WNIDS[1:2])[0] == {WNIDS[1]: 2}


def test_folders_and_tars_are_counted_together_and_empty_ones_as_0(tmp_path: Path) -> None:
    make_folder(tmp_path, {f"{WNIDS[0]}/{name}": b"" for name in ("a.jpg", "b.JPEG", ".hidden")})
    (tmp_path / WNIDS[0] / "deeper").mkdir()
    make_tar(tmp_path / f"{WNIDS[0]}.tar", [("c.jpg", b"")])  # the folder goes before it
    make_tar(tmp_path / f"{WNIDS[1]}.tar", [("1.jpg", b""), ("notes.txt", b"")])
    (tmp_path / WNIDS[2]).mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "n00000001.txt").touch()
    wnids = ("n00000001", *WNIDS)
    assert count_images(tmp_path, wnids)[0] == {WNIDS[0]: 2, WNIDS[1]: 1, WNIDS[2]: 0}


def test_counting_a_damaged_tar_or_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CogError, match="none of the 3 classes"):
        count_images(tmp_path, WNIDS)
    with pytest.raises(CogError, match="there is no"):
        count_images(tmp_path / "none", WNIDS)
    (tmp_path / f"{WNIDS[0]}.tar").write_bytes(b"not a tar" * 200)
    with pytest.raises(CogError, match="not a whole, uncompressed tar") as caught:
        count_images(tmp_path, WNIDS)
    assert len(str(caught.value).splitlines()) == 2  # tarfile's own message has six lines


def test_damaged_tars_are_counted_in_the_error(tmp_path: Path) -> None:
    make_tars(tmp_path)
    for wnid in WNIDS[:2]:
        (tmp_path / f"{wnid}.tar").write_bytes(b"?" * 2048)
    with pytest.raises(CogError, match=rf"{WNIDS[0]}\.tar is not a whole.*, and 1 more"):
        find_images(tmp_path, WNIDS)
    (tmp_path / f"{WNIDS[2]}.tar").write_bytes(b"?" * 2048)
    with pytest.raises(CogError, match="and 2 more"):  # nothing is left to be checked
        find_images(tmp_path, WNIDS, skip_damaged=True)
