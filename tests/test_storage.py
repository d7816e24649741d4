"""Folders and URLs: both are read and written alike, and files are whole or absent."""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.object_storage import Url, create_object, remove_objects
from cog.partial_files import partial_file
from cog.storage import StoragePath, files_below, storage_path, write_bytes, write_text


@pytest.fixture(params=["folder", "url"])
def root(request, tmp_path) -> StoragePath:
    if request.param == "folder":
        return tmp_path / "runs"
    pytest.importorskip("fsspec", reason="pip install 'imagenet-cog[cloud]'")
    return storage_path(f"memory://{uuid.uuid4().hex}/runs/")


def test_a_file_is_read_as_it_was_written(root):
    file = root / "dino" / "run.json"
    assert not file.exists()
    write_text(file, "één")
    write_text(file, "twee – two")
    assert file.read_text(encoding="utf-8") == "twee – two"
    assert file.read_bytes() == "twee – two".encode()
    assert file.exists()
    assert file.is_file()
    assert not file.is_dir()
    assert file.parent.is_dir()
    assert not file.parent.is_file()
    assert (file.name, file.stem, file.suffix) == ("run.json", "run", ".json")
    assert file.parent == root / "dino"


def test_folders_are_listed_and_searched(root):
    assert files_below(root) == {}
    assert list(root.glob("*/cells/*.json")) == []
    for name in ("a/cells/1.json", "a/cells/2.json", "b/cells/1.json", "b/run.json", "c.csv"):
        write_bytes(root / name, b"12345")
    assert files_below(root / "a") == {"cells/1.json": 5, "cells/2.json": 5}
    found = sorted(root.glob("*/cells/*.json"), key=str)
    expected = [root / "a/cells/1.json", root / "a/cells/2.json", root / "b/cells/1.json"]
    assert found == expected
    assert files_below(root / "nowhere") == {}


def test_a_file_is_removed(root):
    write_bytes(root / "a", b"")
    (root / "a").unlink()
    assert not (root / "a").exists()
    (root / "a").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (root / "a").unlink()
    with pytest.raises(FileNotFoundError):
        (root / "a").read_text()


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "a"
    write_text(file, "old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_only_the_first_creates_an_object():
    pytest.importorskip("fsspec", reason="pip install 'imagenet-cog[cloud]'")
    url = Url(f"memory://{uuid.uuid4().hex}/a")
    assert create_object(url, b"first")
    assert not create_object(url, b"second")
    assert url.read_bytes() == b"first"
    remove_objects(url.parent)
    remove_objects(url.parent)
    assert not url.exists()


def test_storage_paths_from_text():
    assert storage_path("runs/a") == Path("runs/a") == storage_path(Path("runs/a"))
    assert str(storage_path("s3://bucket/runs/") / "a") == "s3://bucket/runs/a"
    assert storage_path(Url("s3://bucket")) == Url("s3://bucket")


def test_a_partial_folder_is_renamed_when_it_is_whole(tmp_path):
    folder = tmp_path / "new" / "a"
    with partial_file(folder) as partial:
        partial.mkdir()
        (partial / "b").write_text("b")
        assert not folder.exists()
    assert files_below(tmp_path) == {"new/a/b": 1}

    def fail() -> None:
        with partial_file(folder.parent / "c") as partial:
            partial.mkdir()
            (partial / "d").write_text("d")
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full") as error:
        fail()
    assert error.value.filename == str(folder.parent / "c")
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("text", "hint"),
    [("nosuch://bucket/a", "give s3://BUCKET/FOLDER"), ("s3://bucket/a", "imagenet-cog[cloud]")],
)
def test_a_missing_package_or_an_unknown_scheme_is_named(text, hint, monkeypatch):
    pytest.importorskip("fsspec", reason="pip install 'imagenet-cog[cloud]'")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for kind in ("s3", "nosuch"):  # another test may have registered it
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, kind, raising=False)
    with pytest.raises(CogError, match="cannot be reached") as error:
        storage_path(text).exists()
    assert hint in error.value.hint


def test_a_pipe_or_a_device_is_written_to_and_stays(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(fifo, b"content")
    assert os.read(reading, 100) == b"content"
    os.close(reading)
    link = tmp_path / "link"  # as /dev/stdout is one
    link.symlink_to("/dev/null")
    write_bytes(link, b"content")
    assert link.is_symlink()
    assert link.is_char_device()
    assert fifo.is_fifo()
    assert sorted(tmp_path.iterdir()) == [fifo, link]


@pytest.mark.parametrize("text", ["s3://", "s3:///runs"])
def test_a_url_without_a_bucket_is_refused(text):
    with pytest.raises(CogError, match="names no bucket"):
        storage_path(text)


def test_a_file_url_is_a_path(tmp_path):
    assert storage_path(f"file://{tmp_path}/runs") == tmp_path / "runs"
