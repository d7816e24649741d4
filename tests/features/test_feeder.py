"""The feeder: batches equal to images read one by one, in memory that is bounded and used again."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cog.errors import CogError
from cog.features.feeder import feeding as feeding_module
from cog.features.feeder.batch import cut
from cog.features.feeder.feed import feed
from cog.features.feeder.feeding import LEAST_IMAGES, Feeding
from cog.features.feeder.slots import HELD, Layout, private_memory, slots_for
from cog.images import limits, neighbours
from cog.images.image_list import ImageList, read_bytes
from cog.images.limits import Room
from cog.images.neighbours import locate, read_each
from cog.images.preprocess import Preprocess
from tests.support.image_files import FILES, MAKERS, everything, make_parquet, make_tars
from tests.support.pictures import batches_of, pictures

WANTED = (Preprocess(20, 16), Preprocess((24, 18), None))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> ImageList:
    """Ninety small images in a tar, of which the sixth is none and the twentieth is cut off."""
    return pictures(tmp_path_factory.mktemp("tar"), 90, bad={5: b"no image"}, cut_off=(19,))


@pytest.mark.parametrize("source", MAKERS)
def test_images_in_order_are_those_that_are_read_one_by_one(source, tmp_path):
    images = everything(MAKERS[source](tmp_path / "images", FILES))
    for rows in (slice(0, 9), slice(2, 3), slice(4, 8)):
        wanted = [read_bytes(images, row) for row in range(rows.start, rows.stop)]
        assert list(read_each(locate(images, rows))) == wanted


def test_compressed_parquet_is_read_by_its_source(tmp_path):
    images = everything(make_parquet(tmp_path / "images", compression="snappy"))
    assert list(read_each(locate(images, slice(0, 9)))) == [read_bytes(images, r) for r in range(9)]


def test_neighbours_are_read_in_one_call(images, monkeypatch):
    asked: list[tuple[int, int]] = []
    pread = os.pread

    def counted(number: int, size: int, offset: int) -> bytes:
        asked.append((offset, size))
        return pread(number, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    wanted = [read_bytes(images, row) for row in range(90)]
    asked.clear()
    assert list(read_each(locate(images, slice(0, 90)))) == wanted
    assert len(asked) == 1
    monkeypatch.setattr(neighbours, "RUN_BYTES", max(map(len, wanted)) + 600)
    asked.clear()
    assert list(read_each(locate(images, slice(0, 90)))) == wanted
    assert 40 < len(asked) <= 90
    assert max(size for _, size in asked) <= max(map(len, wanted)) + 600


@given(st.lists(st.tuples(st.integers(0, 3 << 14), st.integers(0, 3 << 14)), max_size=30))
def test_runs_are_all_rows_once_in_order(spans):
    runs = list(neighbours._runs(spans)) if spans else []
    assert [row for run in runs for row in range(run.start, run.stop)] == [*range(len(spans))]
    for run in runs:
        for (before, size), (offset, _) in itertools.pairwise(spans[run]):
            assert 0 <= offset - before - size <= neighbours.GAP_BYTES


@pytest.mark.parametrize("damage", ["cut off", "gone", "a folder"])
def test_a_damaged_tar_gives_the_errors_of_each_image_alone(damage, tmp_path):
    images = everything(make_tars(tmp_path))
    tar = tmp_path / images.containers[1]
    if damage == "cut off":
        tar.write_bytes(tar.read_bytes()[: int(images.spans[4, 1]) + 3])
    else:
        tar.unlink()
    if damage == "a folder":
        tar.mkdir()
    for row in range(6):
        rows = slice(row, 9)
        assert outcome(read_each(locate(images, rows))) == outcome(
            read_bytes(images, index) for index in range(row, 9)
        )


def outcome(each: Iterable[object]) -> tuple[list[object], str]:
    """What comes before an error, and its text."""
    got: list[object] = []
    try:
        for item in each:
            got.append(item)  # what came stays
    except CogError as error:
        return got, str(error)
    pytest.fail("no error came")


@pytest.mark.parametrize(("workers", "part"), [(1, 32), (2, 7), (4, 1), (3, 100)])
def test_threads_and_parts_change_no_byte(images, workers, part):
    slices = [slice(3, 40), *cut(slice(40, 90), 20), slice(90, 90)]
    wanted = batches_of(images, slices, WANTED)
    found = batches_of(images, slices, WANTED, Feeding(workers, "threads"), part)
    assert found == wanted
    assert [rows for rows, *_ in found] == [(each.start, each.stop) for each in slices]


def test_an_unreadable_image_is_black_and_leaves_the_others_alone(images):
    """In memory that held other images before, too."""
    slices = list(cut(slice(0, 90), 10)) * 2
    for batch in feed(images, slices, WANTED, Feeding(2), part=4):
        first = batch.rows.start
        assert set(batch.reasons) == ({5} if first == 0 else set())
        assert set(batch.truncated) == ({19} if first == 10 else set())
        for preprocess, pixels in batch.pixels.items():
            for row in range(10):
                if first + row == 5:
                    assert not batch.readable[row]
                    assert not pixels[row].any()
                else:
                    alone = preprocess.load(read_bytes(images, first + row))
                    assert torch.equal(pixels[row], alone)


def test_the_last_two_batches_stay_and_the_memory_of_others_is_used_again(images):
    slices, kept, places = list(cut(slice(0, 90), 6)), [], []
    for batch in feed(images, slices, WANTED[:1], Feeding(2), part=2):
        pixels = batch.pixels[WANTED[0]]
        kept.append((pixels, pixels.clone()))
        places.append(pixels.data_ptr())
        time.sleep(0.01)  # the workers load what they may, over what is free
        for now, then in kept[-HELD:]:
            assert torch.equal(now, then)
    assert len(set(places)) == slots_for(2, 2, 6) == 4
    assert all(place % 4096 == 0 for place in places)  # pages, which a driver may pin


def test_memory_is_that_of_the_formula():
    assert [slots_for(workers, 32, 256) for workers in (1, 8, 16, 64)] == [4, 4, 5, 11]
    layout = Layout((Preprocess(), Preprocess(384, 384)), rows=256, slots=5)
    assert layout.bytes == 5 * 256 * 3 * (224**2 + 384**2)
    views = Layout((Preprocess(7, 5), Preprocess(9, 3)), 3, 2)
    memory = private_memory(views.bytes)
    for number, (slot, of) in enumerate(itertools.product(range(2), range(2)), start=1):
        views.views(memory, slot)[of][...] = number
    counts = [int((memory == number).sum()) for number in range(1, 5)]
    assert counts == [3 * 75, 3 * 27] * 2  # none lies in another


def test_no_more_is_read_ahead_than_there_are_slots_for(images, monkeypatch):
    started: list[int] = []

    def counted(located: neighbours.Located) -> object:
        started.extend(located.spans[0][1:2])
        return read_each(located)

    monkeypatch.setattr("cog.features.feeder.part.read_each", counted)
    batches = feed(images, list(cut(slice(0, 90), 5)), WANTED[:1], Feeding(4), part=5)
    slots = slots_for(4, 5, 5)
    for given_, _ in enumerate(batches, start=1):
        assert len(started) <= given_ + slots - HELD


def test_the_first_error_comes_in_its_turn(images, monkeypatch):
    """Batches before it are given: their chunks are written."""

    def broken(located: neighbours.Located) -> object:
        row = images.paths.index(located.paths[0])
        if row in (20, 24, 50):
            raise CogError(f"row {row}", "hint")
        return read_each(located)

    monkeypatch.setattr("cog.features.feeder.part.read_each", broken)
    slices = list(cut(slice(0, 90), 10))
    given_, text = outcome(
        batch.rows.start for batch in feed(images, slices, WANTED[:1], Feeding(4), part=2)
    )
    assert given_ == [0, 10]
    assert text == "row 20\nhint"
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_nothing_to_do_is_no_batch(images):
    assert list(feed(images, [], WANTED, Feeding(2))) == []


@pytest.mark.parametrize(
    ("feeding", "cores", "count", "kind"),
    [
        (Feeding(8, device=torch.device("cuda")), 8, LEAST_IMAGES, "processes"),
        (Feeding(8, device=torch.device("cuda")), 8, LEAST_IMAGES - 1, "threads"),
        (Feeding(8, device=torch.device("cuda")), 2, LEAST_IMAGES, "threads"),
        (Feeding(1, device=torch.device("cuda")), 8, LEAST_IMAGES, "threads"),
        (Feeding(8), 8, LEAST_IMAGES, "threads"),
        (Feeding(8, device=torch.device("mps")), 8, LEAST_IMAGES, "threads"),
        (Feeding(1, "processes"), 1, 1, "processes"),
        (Feeding(8, "threads", device=torch.device("cuda")), 8, LEAST_IMAGES, "threads"),
    ],
)
def test_auto_takes_processes_for_many_images_on_a_gpu(feeding, cores, count, kind, monkeypatch):
    monkeypatch.setattr(feeding_module, "usable_cores", lambda: cores)
    monkeypatch.setattr(feeding_module, "ROOM", Room(10**10))
    assert feeding.kind_for(count) == kind
    monkeypatch.setattr(feeding_module, "ROOM", Room(4 * 10**9))  # shares would pass the bound
    assert feeding.kind_for(count) == (kind if feeding.kind != "auto" else "threads")


TRY_LOCK = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(7)
"""


def test_processes_that_cannot_be_started_are_refused(images, monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(CogError, match="cannot start processes") as caught:
        next(iter(feed(images, [slice(0, 2)], WANTED, Feeding(2, "processes"))))
    assert caught.value.hint == "give --feed threads"


def test_a_process_has_a_share_of_memory_and_a_lock_beyond_it(tmp_path):
    pytest.importorskip("fcntl")
    path = tmp_path / "lock"
    with path.open("w+b") as file:
        room = Room(1000)
        room.divide(processes=5, lock=file.fileno())
        assert room.most == 100
        for memory, locked in ((100, 0), (101, 7)):
            with room.take(memory):
                assert subprocess.run([sys.executable, "-c", TRY_LOCK, path]).returncode == locked
        assert subprocess.run([sys.executable, "-c", TRY_LOCK, path]).returncode == 0


def test_the_lock_is_that_of_one_thread_at_a_time(monkeypatch):
    held: list[bool] = []
    monkeypatch.setattr(limits, "_lock_file", lambda file, lock: held.append(lock))
    room = Room(1000)
    room.divide(processes=5, lock=0)

    def take() -> None:
        with room.take(101):
            time.sleep(0.01)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == [True, False] * 3
