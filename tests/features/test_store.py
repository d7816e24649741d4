"""The store: it reads what was written, refuses other features, and counts only whole chunks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cog.features.store.store
from cog.errors import CogError
from cog.features.store.files import is_there, remove_store
from cog.features.store.store import FeatureStore
from cog.features.store.verify import verify
from cog.object_storage import Url
from cog.partial_files import ABANDONED_SECONDS, partial_name
from cog.storage import StoragePath, write_bytes
from tests.support.stores import FINGERPRINT, change_attributes, content, fill, make

OTHER = FINGERPRINT | {"model": "xyz"}


@pytest.fixture(params=["folder", "url"])
def path(request, tmp_path) -> StoragePath:
    """Where a store may be: a folder on disk, or a URL (of memory)."""
    if request.param == "folder":
        return tmp_path / "a.zarr"
    pytest.importorskip("fsspec", reason="pip install 'imagenet-cog[cloud]'")
    return Url(f"memory://{uuid.uuid4().hex}/a.zarr")


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 13),
    dim=st.integers(1, 5),
    chunk_rows=st.integers(1, 14),
    dtype=st.sampled_from(["float16", "float32"]),
    seed=st.integers(0, 99),
)
def test_features_come_back_as_written(tmp_path_factory, rows, dim, chunk_rows, dtype, seed):
    path = tmp_path_factory.mktemp("store") / "a.zarr"
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, dim)).astype(np.float32)
    readable = rng.random(rows) > 0.2
    store = make(path, rows, dim, chunk_rows, dtype)
    fill(store, x, readable)
    found, labels = FeatureStore.open(path).read()
    np.testing.assert_array_equal(found, x[readable].astype(dtype))
    np.testing.assert_array_equal(labels, np.flatnonzero(readable))
    assert set(store.unreadable()) == set(np.flatnonzero(~readable))


def test_missing_chunks_are_counted_from_the_disk(path):
    store = make(path, 10)
    assert store.missing_chunks() == [0, 1, 2]
    store.write_chunk(1, np.ones((4, 3), np.float32), np.ones(4, bool), {})
    assert FeatureStore.open(store.path).missing_chunks() == [0, 2]
    with pytest.raises(CogError, match="lacks 2 of 3 chunks"):
        store.read()


def test_a_chunk_equal_to_the_fill_value_is_done_too(path):
    store = make(path, 4)
    store.write_chunk(
        0, np.zeros((4, 3), np.float32), np.zeros(4, bool), dict.fromkeys(range(4), "x")
    )
    assert store.missing_chunks() == []
    assert len(store.read()[1]) == 0


def test_another_fingerprint_is_refused_and_the_field_named(path):
    store = make(path, 4)
    store.require(FINGERPRINT)
    with pytest.raises(CogError, match="model: asked xyz, found abc"):
        store.require(OTHER)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(CogError, match="not a feature store"):
        FeatureStore.open(tmp_path / "a.zarr")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(path, bad):
    store = make(path, 4)
    x = np.ones((4, 3), np.float32)
    x[2, 1] = bad
    with pytest.raises(CogError, match="not finite"):
        store.write_chunk(0, x, np.ones(4, bool), {})
    assert store.missing_chunks() == [0]


def test_float16_overflow_names_the_remedy(path):
    store = make(path, 4, dtype="float16")
    with pytest.raises(CogError, match="70000 does not fit in float16") as error:
        store.write_chunk(0, np.full((4, 3), 70_000, np.float32), np.ones(4, bool), {})
    assert "--dtype float32" in error.value.hint


@pytest.mark.parametrize("factor", [1e-6, 1e-7, 1e-9, 1e-30])
def test_features_that_vanish_in_float16_name_the_remedy(path, factor):
    x = (factor * np.random.default_rng(0).normal(size=(4, 30))).astype(np.float32)
    store = make(path, 4, 30, dtype="float16")
    with pytest.raises(CogError, match="4 of 4 images are too small for float16") as error:
        store.write_chunk(0, x, np.ones(4, bool), {})
    assert "--dtype float32" in error.value.hint
    assert store.missing_chunks() == [0]


def test_zeros_and_what_is_small_beside_large_numbers_are_written_as_ever(path):
    x = np.random.default_rng(0).normal(size=(4, 30)).astype(np.float32)
    x[0] = 0
    x[1, 1:] *= 1e-9
    x[2] *= 1e-4
    x[3] *= 1e-30  # is not readable
    store = make(path, 4, 30, dtype="float16")
    store.write_chunk(0, x, np.arange(4) < 3, {3: "empty"})
    np.testing.assert_array_equal(store.read()[0], x[:3].astype(np.float16))


@settings(max_examples=200, deadline=None)
@given(value=st.floats(65_000, 66_000, width=32), sign=st.sampled_from([-1, 1]))
def test_what_fits_in_float16_is_what_numpy_can_cast(value, sign):
    store = FeatureStore(Path("nowhere"), {}, 1, 1, 1, "float16")
    x = np.array([[sign * value]], np.float32)
    with np.errstate(over="ignore"):
        cast = x.astype(np.float16)
    if np.isfinite(cast).all():
        assert store._checked(x, np.ones(1, bool)) == cast
    else:
        with pytest.raises(CogError, match="does not fit in float16"):
            store._checked(x, np.ones(1, bool))


def test_a_row_that_is_not_readable_may_hold_anything(path):
    x = np.array([[np.nan, 1, 2], [1e9, np.inf, 0], [1, 2, 3], [4, 5, 6]], np.float32)
    before = x.copy()
    store = make(path, 4, dtype="float16")
    fill(store, x, np.array([False, False, True, True]))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(store.read()[0], x[2:])
    assert np.isnan(store.arrays("features")[0][0:2]).all()


def test_a_flipped_bit_is_found(path):
    store = make(path, 4)
    fill(store, np.ones((4, 3), np.float32))
    chunk = store.path / "features" / "c" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[5] ^= 1
    write_bytes(chunk, bytes(data))
    with pytest.raises(CogError, match="damaged"):
        store.read()


def test_a_killed_write_leaves_the_chunk_missing(tmp_path, monkeypatch):
    """An error before the partial file is renamed leaves no chunk, nor a part of one."""
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
    with pytest.raises(TypeError, match="float17"):
        make(tmp_path / "a.zarr", 4, dtype="float17")
    assert list(tmp_path.iterdir()) == []


def test_a_removed_store_leaves_no_file(path):
    store = make(path, 4)
    fill(store, np.ones((4, 3), np.float32))
    remove_store(store.path)
    remove_store(store.path)
    assert not is_there(path)
    assert content(path.parent) == {}


# --- several workers ---------------------------------------------------------------------------


def hide_once(monkeypatch) -> None:
    """The next `create` finds no store: another worker is about to make the same."""
    answers = iter([False])
    original = cog.features.store.store.is_there
    monkeypatch.setattr(
        cog.features.store.store, "is_there", lambda path: next(answers, original(path))
    )


def test_a_racing_worker_uses_the_store_that_another_created(path, monkeypatch):
    first = make(path, 10, chunk_rows=4)
    fill(first, np.ones((10, 3), np.float32), worker="0/2")
    before = content(path)
    hide_once(monkeypatch)
    second = make(path, 10, chunk_rows=5)
    assert second.chunk_rows == 4
    assert second.missing_chunks() == [1]
    assert content(path) == before
    assert content(path.parent) == {f"a.zarr/{name}": data for name, data in before.items()}


def test_a_racing_worker_with_another_model_is_refused(path, monkeypatch):
    make(path, 10)
    before = content(path)
    hide_once(monkeypatch)
    with pytest.raises(CogError, match="model: asked xyz, found abc"):
        make(path, 10, fingerprint=OTHER)
    assert content(path) == before


def test_threads_that_create_at_once_agree(path):
    sizes: list[int] = []

    def create(chunk_rows: int) -> None:
        sizes.append(make(path, 12, chunk_rows=chunk_rows).chunk_rows)

    threads = [threading.Thread(target=create, args=(size,)) for size in (2, 3, 4, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sizes) == 4
    assert len(set(sizes)) == 1
    assert FeatureStore.open(path).missing_chunks() == list(range(12 // sizes[0]))


def test_a_creation_that_was_killed_can_be_finished(path, monkeypatch):
    """On disk nothing is in the way; at a URL, metadata without the root's, which comes last."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cog.features.store.files.write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        make(path, 10)
    monkeypatch.undo()
    assert not is_there(path)
    store = make(path, 10)
    fill(store, np.ones((10, 3), np.float32))
    assert len(store.read()[1]) == 10


def test_workers_keep_all_reasons_and_leave_the_bytes_of_one(path):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    readable = rng.random(40) > 0.5
    alone = make(path, 40)
    fill(alone, x, readable)
    together = path.with_name("b.zarr") if isinstance(path, Path) else path.parent / "b.zarr"
    make(together, 40)
    workers = [
        threading.Thread(target=fill, args=(FeatureStore.open(together), x, readable, f"{r}/3"))
        for r in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expected = {int(row): f"why {row}" for row in np.flatnonzero(~readable)}
    assert FeatureStore.open(together).unreadable() == alone.unreadable() == expected
    assert content(together) == content(path)


def test_a_store_replaced_while_it_is_filled_is_not_written_to(path):
    store = make(path, 10, chunk_rows=4)
    arguments = (0, np.ones((4, 3), np.float32), np.ones(4, bool), {})
    for fingerprint, chunk_rows in ((OTHER, 4), (FINGERPRINT, 5)):
        remove_store(path)
        with pytest.raises(CogError, match="removed or replaced"):
            store.write_chunk(*arguments)
        new = make(path, 10, chunk_rows=chunk_rows, fingerprint=fingerprint)
        with pytest.raises(CogError, match="removed or replaced"):
            store.write_chunk(*arguments)
        assert new.done_chunks() == []


def test_only_an_empty_store_of_another_model_is_removed(path):
    FeatureStore.remove_empty(path, OTHER)
    store = make(path, 10)
    FeatureStore.remove_empty(path, FINGERPRINT)
    assert is_there(path)
    FeatureStore.remove_empty(path, OTHER)
    assert not is_there(path)
    store = make(path, 10)
    fill(store, np.ones((10, 3), np.float32), worker="0/2")
    with pytest.raises(CogError, match="model: asked xyz, found abc"):
        FeatureStore.remove_empty(path, OTHER)
    assert FeatureStore.open(path).done_chunks() == [0, 2]


def test_a_mended_image_loses_its_reason(path):
    store = make(path, 10)
    x, readable = np.ones((10, 3), np.float32), np.ones(10, bool)
    readable[5] = False
    fill(store, x, readable)
    assert store.unreadable() == {5: "why 5"}
    store.forget_chunk(1)
    assert store.unreadable() == {}
    assert store.missing_chunks() == [1]
    fill(store, x)
    assert store.unreadable() == {}
    assert len(store.read()[1]) == 10


def test_truncated_images_are_readable_and_named(path):
    store = make(path, 10)
    x, readable = np.ones((4, 3), np.float32), np.array([True, False, True, True])
    store.write_chunk(1, x, readable, {5: "no image"}, {4: "cut", 7: "broken"})
    store.write_chunk(0, x, np.ones(4, bool))
    assert store.truncated() == {4: "cut", 7: "broken"}
    assert store.unreadable() == {5: "no image"}
    assert verify(path).right
    store.write_chunk(1, x, np.ones(4, bool))
    assert store.truncated() == store.unreadable() == {}
    store.write_chunk(1, x, readable, {5: "no image"}, {4: "cut"})
    store.forget_chunk(1)
    assert store.truncated() == {}


@pytest.mark.parametrize("rows", [{5: "cut"}, {0: "cut"}, {99: "cut"}])
def test_marks_of_truncated_images_must_be_of_readable_rows(path, rows):
    store = make(path, 10)
    readable = np.array([True, False, True, True])
    store.write_chunk(1, np.ones((4, 3), np.float32), readable, {5: "no image"}, rows)
    assert verify(path).bad == {1: f"truncated images in rows that are not readable: {min(rows)}"}


# --- partial files -----------------------------------------------------------------------------


def ended_process(path: Path) -> Path:
    """The name that a process which has ended gave to a partial file for `path`."""
    code = (
        "import sys; from pathlib import Path; from cog.partial_files import partial_name; "
        "print(partial_name(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


def test_partial_files_of_ended_processes_are_removed_and_those_of_running_ones_stay(tmp_path):
    store = make(tmp_path / "a.zarr", 10)
    chunk = store.path / "features" / "c" / "0" / "0"
    chunk.parent.mkdir(parents=True)
    long_ago = time.time() - ABANDONED_SECONDS - 60
    old, other_machine, of_zarr, of_zarr_now, now = (
        ended_process(chunk),
        chunk.with_name(".0.elsewhere-1.1.0123abcd.partial"),
        chunk.with_name(f"0.{uuid.uuid4().hex}.partial"),
        chunk.with_name(f"0.{uuid.uuid4().hex}.partial"),
        partial_name(chunk),
    )
    for path in (old, other_machine, of_zarr, of_zarr_now, now):
        path.write_bytes(b"half")
    for path in (other_machine, of_zarr):
        os.utime(path, (long_ago, long_ago))
    half_made = ended_process(store.path)
    half_made.mkdir()
    (half_made / "zarr.json").write_text("")
    assert store.clear_partial() == 4
    assert set(chunk.parent.iterdir()) == {of_zarr_now, now}
    assert list(tmp_path.iterdir()) == [store.path]
    assert store.missing_chunks() == [0, 1, 2]


# --- stores of other versions ------------------------------------------------------------------


def test_another_layout_is_refused(path):
    make(path, 4)
    change_attributes(path, layout=99)
    with pytest.raises(CogError, match="layout 99") as error:
        FeatureStore.open(path)
    assert "update" in error.value.hint
    change_attributes(path, layout=None)
    with pytest.raises(CogError, match="not a feature store"):
        FeatureStore.open(path)


def test_a_store_that_is_removed_while_a_chunk_is_written_leaves_nothing(tmp_path, monkeypatch):
    store = make(tmp_path / "a.zarr", 10)
    writing = store._arrays_to_write

    def removed_then() -> object:
        arrays = writing()
        remove_store(store.path)
        return arrays

    monkeypatch.setattr(FeatureStore, "_arrays_to_write", lambda _: removed_then())
    with pytest.raises(CogError, match="was removed or replaced"):
        store.write_chunk(0, np.ones((4, 3), np.float32), np.ones(4, bool))
    assert list(tmp_path.iterdir()) == []
