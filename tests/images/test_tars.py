"""Tars of one class each, and tars of tars."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.images.find import find_images
from cog.images.image_list import read_bytes
from tests.support.hostile_tars import FAULTS
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


@pytest.mark.parametrize(
    "damage",
    ["cut data", "cut between", "bad header", "packed", "garbage", "zeros between", "two in one"],
)
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
        "zeros between": data[:second] + bytes(1024) + data[second:],
        "two in one": data * 2,
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


# In a process that may take 2 GB of memory and a minute of processor time: each of these once
# read for ever, took all memory, or ended in an exception that no user understands.
LIST_HOSTILE = """
import json, resource, sys
from pathlib import Path
from cog.errors import CogError
from cog.images.find import find_images
from tests.support.hostile_tars import FAULTS, write_hostile
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
tar = Path(sys.argv[1], "n00000011.tar")
for fault in FAULTS:
    tar.unlink(missing_ok=True)
    write_hostile(tar, fault)
    try:
        found = "listed: " + str(find_images(tar.parent, ["n00000011"]).paths)
    except CogError as error:
        found = str(error)
    except Exception as error:
        found = "raised " + repr(error)
    print(json.dumps([fault, found]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What listing says of each hostile tar."""
    folder = tmp_path_factory.mktemp("hostile")
    environment = os.environ | {"COG_HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", LIST_HOSTILE, folder], capture_output=True, text=True,
        env=environment, timeout=600,
    )  # fmt: skip
    return dict(map(json.loads, done.stdout.splitlines()))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("fault", FAULTS)
def test_headers_that_no_tar_has_are_refused_at_once(fault: str, outcomes: dict[str, str]) -> None:
    what, hint = outcomes[fault].splitlines()
    assert "n00000011.tar is not a whole, uncompressed tar (" in what
    assert "download it again" in hint
    assert len(what) < 500


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
def test_a_fifo_or_a_link_to_nothing_in_the_place_of_a_tar_is_named(tmp_path: Path) -> None:
    make_tars(tmp_path)
    (tmp_path / f"{WNIDS[0]}.tar").unlink()
    os.mkfifo(tmp_path / f"{WNIDS[0]}.tar")
    with pytest.raises(CogError, match=rf"{WNIDS[0]}\.tar is a FIFO: expected a file"):
        find_images(tmp_path, WNIDS)
    (tmp_path / f"{WNIDS[0]}.tar").unlink()
    (tmp_path / f"{WNIDS[0]}.tar").symlink_to("gone.tar")
    listing = find_images(tmp_path, WNIDS, skip_damaged=True)
    assert list(listing.damaged) == [WNIDS[0]]
    assert "leads nowhere" in listing.damaged[WNIDS[0]].what
    for name, what in (("a.tar", "FIFO"), ("b.tar", "cannot list the images")):
        other = tmp_path / name.partition(".")[0]
        other.mkdir()
        os.mkfifo(other / name) if what == "FIFO" else (other / name).symlink_to("gone.tar")
        with pytest.raises(CogError, match=what):
            find_images(other, WNIDS)


def test_images_in_folders_of_a_tar_are_counted_with_what_to_do(tmp_path: Path) -> None:
    make_tar(tmp_path / f"{WNIDS[0]}.tar", [("images/a.jpg", b"1"), ("a.txt", b"2")])
    listing = find_images(tmp_path, WNIDS[:1])
    assert listing.remarks[WNIDS[0]].found == "its tar has 0 images, but 1 more in sub-folders"
    assert listing.notes == (
        "2 entries of the tar files are not images of a class: 1 .txt, 1 in sub-folders",
    )
