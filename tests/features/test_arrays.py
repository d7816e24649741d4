"""What a feature store relies on in Zarr: a new version that differs fails here first."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cog.features.store.arrays import arrays_of, open_group
from cog.storage import files_below
from tests.support.stores import fill, make


def test_every_file_is_renamed_from_a_partial_one_that_names_its_process(tmp_path, monkeypatch):
    renamed: dict[Path, Path] = {}
    replace = Path.replace

    def noted(self: Path, target: Path) -> Path:
        renamed[target] = self
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    store = make(tmp_path / "a.zarr", 8)
    readable = np.array([True] * 7 + [False])
    fill(store, np.ones((8, 3), np.float32), readable)
    created = renamed[store.path]  # the folder in which the store was made
    by_us = {store.path / p.relative_to(created) for p in renamed if p.is_relative_to(created)}
    by_us |= {path for path in renamed if path.is_relative_to(store.path)}
    assert by_us == {store.path} | {store.path / name for name in files_below(store.path)}
    for path, partial in renamed.items():
        assert re.fullmatch(rf"\.{path.name}\.[\w-]+\.\d+\.[0-9a-f]{{8}}\.partial", partial.name)


def test_a_chunk_is_the_bytes_of_its_rows_and_four_of_a_checksum(tmp_path):
    store = make(tmp_path / "a.zarr", 8, dtype="float16")
    x = np.arange(24, dtype=np.float32).reshape(8, 3)
    fill(store, x)
    chunk = (store.path / "features" / "c" / "1" / "0").read_bytes()
    assert chunk[:-4] == x[4:].astype("<f2").tobytes()
    assert len(chunk) == 4 * 3 * 2 + 4
    assert (store.path / "readable" / "c" / "1").read_bytes()[:-4] == b"\1" * 4


def test_an_array_that_was_opened_to_be_read_cannot_be_written_to(tmp_path):
    store = make(tmp_path / "a.zarr", 8)
    (features,) = arrays_of(open_group(store.path), "features")
    with pytest.raises(ValueError, match="read"):
        features[:4] = 1.0
    assert store.done_chunks() == []


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_store_that_is_gone_is_not_made_again_by_opening_it(tmp_path, mode):
    """As when another process removes it just before a chunk is written."""
    (tmp_path / "file.zarr").touch()
    for name in ("gone.zarr", "file.zarr"):
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            open_group(tmp_path / name, mode)
    assert [path.name for path in tmp_path.iterdir()] == ["file.zarr"]
