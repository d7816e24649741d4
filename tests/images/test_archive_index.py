"""The index of a tar, which is built once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import cog.images.archive_index
import cog.images.sources.tars
from cog.images.find import find_images
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
        assert listing.notes == ("1 entries of the tar files are not images of a class",)
