"""The index of a tar, which is built once."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import pytest

import cog.images.archive_index
import cog.images.sources.tars
from cog.images.find import find_images
from cog.images.image_list import read_bytes
from tests.support.image_files import (
    FILES,
    MAKERS,
    WNIDS,
    everything,
    make_tar,
    make_tars,
)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tars that were read through, one for each reading."""
    seen: list[str] = []
    members_of = cog.images.sources.tars.members_of

    def counted(tar: Path, *span: int):
        seen.append(tar.name)
        return members_of(tar, *span)

    for module in (cog.images.sources.tars, cog.images.sources.webdataset):
        monkeypatch.setattr(module, "members_of", counted)
    return seen


@pytest.mark.parametrize("source", ["tar", "nested", "webdataset"])
def test_an_index_is_built_once_and_again_when_the_tar_changes(
    source: str, tmp_path: Path, scans: list[str], expected: str
) -> None:
    root = MAKERS[source](tmp_path / "images", FILES)
    assert everything(root).fingerprint == expected
    built = len(scans)
    scans.clear()
    again = everything(root)
    assert again.fingerprint == expected
    # a look at the first member tells tars of tars from shards
    assert len(scans) <= {"tar": 0, "nested": 2, "webdataset": 3}[source] < built
    tar = next(path for path in sorted(root.iterdir()) if path.suffix == ".tar")
    if source == "tar":
        make_tar(tar, [("new.jpg", b"new")])
        assert everything(root).paths[0] == f"{WNIDS[0]}/new.jpg"
    else:
        stat = tar.stat()
        os.utime(tar, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        scans.clear()
        assert everything(root).fingerprint == expected
        assert scans.count(tar.name) > 1


def test_an_index_lies_beside_the_tar_else_in_the_cache_else_nowhere(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, scans: list[str]
) -> None:
    root = make_tars(tmp_path / "a")
    everything(root)
    assert len(list((root / ".cog-index").iterdir())) == 3
    assert not own_cache.exists()
    write_bytes = cog.images.archive_index.write_bytes
    allowed = [own_cache]

    def read_only(path: Path, data: bytes) -> None:
        if not any(path.is_relative_to(folder) for folder in allowed):
            raise OSError(30, "Read-only file system", str(path))
        write_bytes(path, data)

    monkeypatch.setattr(cog.images.archive_index, "write_bytes", read_only)
    other = make_tars(tmp_path / "b")
    print_ = everything(other).fingerprint
    assert not (other / ".cog-index").exists()
    assert len(list(own_cache.rglob("*.index"))) == 3
    scans.clear()
    assert everything(other).fingerprint == print_
    assert scans == []
    allowed.clear()
    third = make_tars(tmp_path / "c")
    assert everything(third).fingerprint == everything(third).fingerprint == print_
    assert len(scans) == 6


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"x" * 300])
def test_a_damaged_index_is_built_again(damage: bytes, tmp_path: Path, expected: str) -> None:
    root = make_tars(tmp_path)
    everything(root)
    index = root / ".cog-index" / f"{WNIDS[0]}.tar.index"
    whole = index.read_bytes()
    for data in (damage, whole[:-1], whole[:-3] + b"###"):
        index.write_bytes(data)
        assert everything(root).fingerprint == expected
        assert index.read_bytes() == whole


def test_an_index_of_nothing_and_of_odd_names(tmp_path: Path) -> None:
    make_tars(tmp_path)
    make_tar(tmp_path / f"{WNIDS[0]}.tar", [("readme.txt", b"?")])
    names = ["é.jpg", "a b.jpg", "x\x85y.jpg", "z\u2028.jpg"]  # what splitlines would cut
    make_tar(tmp_path / f"{WNIDS[1]}.tar", [(name, name.encode()) for name in names])
    for _ in range(2):
        listing = find_images(tmp_path, WNIDS)
        assert listing.paths[WNIDS[0]] == ()
        assert listing.paths[WNIDS[1]] == tuple(f"{WNIDS[1]}/{name}" for name in sorted(names))
        assert listing.notes == ("1 entries of the tar files are not images of a class: 1 .txt",)


def with_head(data: bytes, **changes: object) -> bytes:
    """An index with another head; a function changes the body, whose checksum then fits."""
    line, _, body = data.partition(b"\n")
    body = changes.pop("body", lambda same: same)(body)  # type: ignore[operator]
    head = json.loads(line) | changes | {"crc32": zlib.crc32(body)}
    return json.dumps(head).encode() + b"\n" + body


LIES: dict[str, dict[str, object]] = {
    "more members than it names": {"count": 4},
    "a count of 10**18": {"count": 10**18},
    "a count below 0": {"count": -1},
    "a count that is text": {"count": "3"},
    "a count that is true": {"count": True},
    "skipped is a number": {"skipped": 0},
    "skipped below 0": {"skipped": {".txt": -1}},
    "a span behind the end": {"body": lambda body: body[:8] + b"\0\0\0\1\0\0\0\0" + body[16:]},
    "a span of 2**62 bytes": {"body": lambda body: body[:8] + b"\0" * 7 + b"\x40" + body[16:]},
    "a span of less than nothing": {"body": lambda body: body[:8] + b"\xff" * 8 + body[16:]},
    "names that are no text": {"body": lambda body: body[:-1] + b"\xff"},
    "a name too few": {"body": lambda body: body.replace(b"\n", b"-", 1)},
}


@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_cannot_be_true_of_its_tar_is_built_again(
    lie: str, tmp_path: Path, expected: str
) -> None:
    root = make_tars(tmp_path)
    everything(root)
    index = root / ".cog-index" / f"{WNIDS[0]}.tar.index"
    whole = index.read_bytes()
    index.write_bytes(with_head(whole, **LIES[lie]))
    images = everything(root)
    assert images.fingerprint == expected
    assert read_bytes(images, 0) == FILES[images.paths[0]]
    assert index.read_bytes() == whole


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
@pytest.mark.parametrize("place", ["index", "folder", "file for a folder", "FIFO", "link to own"])
def test_a_link_or_fifo_in_the_place_of_an_index_is_neither_read_nor_written(
    place: str, tmp_path: Path, own_cache: Path, expected: str
) -> None:
    root = make_tars(tmp_path / "a")
    everything(root)
    folder, other = root / ".cog-index", tmp_path / "other"
    index = folder / f"{WNIDS[0]}.tar.index"
    whole = index.read_bytes()
    other.mkdir()
    if place in ("index", "FIFO", "link to own"):
        index.unlink()
        if place == "FIFO":
            os.mkfifo(index)
        else:
            (other / "index").write_bytes(whole if place == "link to own" else b"precious")
            index.symlink_to(other / "index")
    else:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        folder.symlink_to(other) if place == "folder" else folder.write_bytes(b"precious")
    before = {path: path.read_bytes() for path in other.iterdir()}
    for _ in range(2):
        assert everything(root).fingerprint == expected
    assert {path: path.read_bytes() for path in other.iterdir()} == before
    assert list(own_cache.rglob(index.name))  # it lies there instead
    assert place != "file for a folder" or folder.read_bytes() == b"precious"
