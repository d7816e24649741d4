"""Tars of one class each, and tars of tars."""

from __future__ import annotations

import io
import tarfile
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
    make_nested,
    make_tar,
    make_tars,
)


@pytest.mark.parametrize("prefix", ["./", f"{WNIDS[0]}/", f"./{WNIDS[0]}/"])
def test_members_are_named_as_in_a_folder(prefix: str, tmp_path: Path) -> None:
    make_tars(tmp_path)
    names = ["b.jpg", "a" * 150 + ".jpg"]  # the second needs an extended header
    make_tar(tmp_path / f"{WNIDS[0]}.tar", [(f"{prefix}{name}", name.encode()) for name in names])
    images = everything(tmp_path)
    assert images.paths[:2] == tuple(f"{WNIDS[0]}/{name}" for name in sorted(names))
    assert [read_bytes(images, row) for row in (0, 1)] == [n.encode() for n in sorted(names)]


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "a/../../x.jpg"])
def test_members_that_lead_out_of_the_tar_are_refused(name: str, tmp_path: Path) -> None:
    make_tar(tmp_path / f"{WNIDS[0]}.tar", [("ok.jpg", b"1"), (name, b"2")])
    with pytest.raises(CogError, match="leads out") as caught:
        find_images(tmp_path, WNIDS)
    assert name in caught.value.what


def test_double_and_linked_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{WNIDS[0]}.tar"
    make_tar(path, [("x.jpg", b"1"), ("./x.jpg", b"2")])
    with pytest.raises(CogError, match=r"x\.jpg \(more than once\)"):
        find_images(tmp_path, WNIDS)
    link = tarfile.TarInfo("link.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hosts"
    with tarfile.open(path, "w") as archive:
        archive.addfile(link)
    with pytest.raises(CogError, match=r"link\.jpg \(not a plain file\)"):
        find_images(tmp_path, WNIDS)


@pytest.mark.parametrize("damage", ["cut data", "cut between", "bad header", "packed", "garbage"])
def test_damaged_tars_are_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / f"{WNIDS[0]}.tar"
    make_tar(
        path, [("a.jpg", b"1" * 600), ("b.jpg", b"2" * 600)], "w:gz" if damage == "packed" else "w"
    )
    data = path.read_bytes()
    second = 512 + 1024
    changed = {
        "cut data": data[: second + 700],
        "cut between": data[:second],
        "bad header": data[:second] + b"?" * 512 + data[second + 512 :],
        "garbage": b"garbage" * 200,
    }
    path.write_bytes(changed.get(damage, data))
    with pytest.raises(CogError, match="not a whole, uncompressed tar"):
        find_images(tmp_path, WNIDS)


def test_a_tar_of_tars_is_given_itself_or_its_folder(tmp_path: Path, expected: str) -> None:
    root = make_nested(tmp_path / "images")
    tar = next(root.glob("*.tar"))
    assert everything(root).fingerprint == everything(tar).fingerprint == expected
    assert contents(tar) == dict(sorted(FILES.items()))
    assert everything(tar).source == "nested"
    assert find_images(tar, (*WNIDS, "n00000044")).paths["n00000044"] == ()


@pytest.mark.parametrize("fault", ["cut inside", "hostile", "twice", "garbage", "packed"])
def test_a_tar_of_tars_with_a_fault_is_refused(fault: str, tmp_path: Path) -> None:
    tars = make_tars(tmp_path / "tars")
    if fault == "hostile":
        make_tar(tars / f"{WNIDS[1]}.tar", [("../x.jpg", b"1")])
    inner = {path.name: path.read_bytes() for path in sorted(tars.iterdir())}
    if fault == "cut inside":  # the next header of the outer tar follows at once
        inner[f"{WNIDS[1]}.tar"] = inner[f"{WNIDS[1]}.tar"][:1024]
    if fault == "garbage":
        inner[f"{WNIDS[1]}.tar"] = b"?" * 2048
    members = [*inner.items(), *(list(inner.items())[:1] if fault == "twice" else [])]
    outer = tmp_path / ("whole.tar.gz" if fault == "packed" else "whole.tar")
    make_tar(outer, members, "w:gz" if fault == "packed" else "w")
    words = {"hostile": "leads out", "twice": "more than once", "packed": "uncompressed tar"}
    with pytest.raises(CogError, match=words.get(fault, "not a whole")) as caught:
        find_images(outer, WNIDS)
    assert fault != "packed" or "gunzip" in caught.value.hint
    if fault in ("cut inside", "hostile", "garbage"):  # the fault of one class
        listing = find_images(outer, WNIDS, skip_damaged=True)
        assert list(listing.damaged) == [WNIDS[1]]
        assert listing.paths[WNIDS[1]] == ()
        assert len(listing.paths[WNIDS[2]]) == 3


def test_a_file_of_zeros_and_an_empty_file_hold_no_images(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(bytes(10_240))
    with pytest.raises(CogError, match="none of the 3 classes"):
        find_images(tmp_path, WNIDS)
    with io.BytesIO() as nothing:
        (tmp_path / "a.tar").write_bytes(nothing.getvalue())
    with pytest.raises(CogError, match="not a whole"):
        find_images(tmp_path, WNIDS)
