"""The store: reads what was written, refuses what differs, never calls half a store done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cog.errors import CogError
from cog.store import FeatureStore

FINGERPRINT = {"format": 1, "model": "abc", "images": "def"}


def make(path: Path, rows: int, dim: int = 3, chunk_rows: int = 4, dtype: str = "float32"):
    return FeatureStore.create(
        path,
        np.arange(rows, dtype=np.int64),
        dim=dim,
        dtype=dtype,
        chunk_rows=chunk_rows,
        fingerprint=FINGERPRINT,
    )


def fill(store: FeatureStore, x: np.ndarray, readable: np.ndarray | None = None) -> None:
    readable = np.ones(len(x), bool) if readable is None else readable
    for chunk in store.missing_chunks():
        rows = store.chunk_slice(chunk)
        reasons = {
            int(row): "why" for row in np.flatnonzero(~readable) if rows.start <= row < rows.stop
        }
        store.write_chunk(chunk, x[rows], readable[rows], reasons)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 13),
    dim=st.integers(1, 5),
    chunk_rows=st.integers(1, 14),
    dtype=st.sampled_from(["float16", "float32"]),
    seed=st.integers(0, 99),
)
def test_reads_what_was_written(tmp_path_factory, rows, dim, chunk_rows, dtype, seed):
    path = tmp_path_factory.mktemp("store") / "a.zarr"
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, dim)).astype(np.float32)
    readable = rng.random(rows) > 0.2
    store = make(path, rows, dim, chunk_rows, dtype)
    fill(store, x, readable)
    found, labels = FeatureStore.open(path, FINGERPRINT).read()
    np.testing.assert_array_equal(found, x[readable].astype(dtype))
    np.testing.assert_array_equal(labels, np.flatnonzero(readable))
    assert set(store.unreadable()) == set(np.flatnonzero(~readable))


def test_missing_chunks_are_counted_from_the_disk(tmp_path):
    store = make(tmp_path / "a.zarr", 10)
    assert store.missing_chunks() == [0, 1, 2]
    store.write_chunk(1, np.ones((4, 3), np.float32), np.ones(4, bool), {})
    assert FeatureStore.open(store.path).missing_chunks() == [0, 2]
    with pytest.raises(CogError, match="lacks 2 of 3 chunks"):
        store.read()


def test_a_chunk_equal_to_the_fill_value_is_done_too(tmp_path):
    store = make(tmp_path / "a.zarr", 4)
    store.write_chunk(
        0, np.zeros((4, 3), np.float32), np.zeros(4, bool), dict.fromkeys(range(4), "x")
    )
    assert store.missing_chunks() == []
    assert len(store.read()[1]) == 0


def test_another_fingerprint_is_refused_and_the_field_named(tmp_path):
    store = make(tmp_path / "a.zarr", 4)
    with pytest.raises(CogError, match="model: asked xyz, found abc"):
        FeatureStore.open(store.path, FINGERPRINT | {"model": "xyz"})


def test_what_is_no_store_is_refused(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(CogError, match="not a feature store"):
        FeatureStore.open(tmp_path / "a.zarr")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(tmp_path, bad):
    store = make(tmp_path / "a.zarr", 4)
    x = np.ones((4, 3), np.float32)
    x[2, 1] = bad
    with pytest.raises(CogError, match="not finite"):
        store.write_chunk(0, x, np.ones(4, bool), {})
    assert store.missing_chunks() == [0]


def test_float16_overflow_names_the_remedy(tmp_path):
    store = make(tmp_path / "a.zarr", 4, dtype="float16")
    with pytest.raises(CogError, match="70000 does not fit in float16") as error:
        store.write_chunk(0, np.full((4, 3), 70_000, np.float32), np.ones(4, bool), {})
    assert "--dtype float32" in error.value.hint


def test_a_flipped_bit_is_found(tmp_path):
    store = make(tmp_path / "a.zarr", 4)
    fill(store, np.ones((4, 3), np.float32))
    chunk = store.path / "features" / "c" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[5] ^= 1
    chunk.write_bytes(bytes(data))
    with pytest.raises(CogError, match="damaged"):
        store.read()


def test_a_killed_write_leaves_the_chunk_missing(tmp_path, monkeypatch):
    """Zarr renames a chunk into place: an error before that leaves no chunk, and no half of one."""
    store = make(tmp_path / "a.zarr", 4)
    renames = []

    def fail(self, target):
        renames.append(target)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        store.write_chunk(0, np.ones((4, 3), np.float32), np.ones(4, bool), {})
    monkeypatch.undo()
    assert renames
    assert store.missing_chunks() == [0]
    fill(store, np.ones((4, 3), np.float32))
    assert len(store.read()[1]) == 4


def test_a_failed_create_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="non-negative"):
        make(tmp_path / "a.zarr", 4, chunk_rows=-1)
    assert list(tmp_path.iterdir()) == []


def test_remove_drops_it_whole(tmp_path):
    store = make(tmp_path / "a.zarr", 4)
    FeatureStore.remove(store.path)
    FeatureStore.remove(store.path)
    assert list(tmp_path.iterdir()) == []
