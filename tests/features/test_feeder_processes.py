"""Processes that feed: the same bytes as threads, an error where one dies, none that is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.features.feeder import pool as pool_module
from cog.features.feeder import processes
from cog.features.feeder.batch import cut
from cog.features.feeder.feed import feed
from cog.features.feeder.feeding import Feeding
from cog.features.feeder.pool import Pool
from cog.features.feeder.processes import pools_kept
from cog.images.image_list import ImageList
from cog.images.preprocess import Preprocess
from tests.support.pictures import batches_of, pictures
from tests.support.running import await_end, heeding, is_there
from tests.support.runs import HANGS_SECONDS
from tests.support.stores import alone

WANTED = (Preprocess(20, 16), Preprocess((24, 18), None))
SLICES = [slice(3, 40), *cut(slice(40, 90), 20), slice(0, 90)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> ImageList:
    return pictures(tmp_path_factory.mktemp("tar"), 90, bad={5: b"no image"}, cut_off=(19,))


@pytest.fixture(scope="module")
def _kept() -> Iterator[None]:
    """The tests below use the same workers, as long as these live."""
    with pools_kept():
        yield


def idle() -> Pool:
    """The pool that the last feed left."""
    assert processes._idle
    return processes._idle[-1]


@pytest.mark.usefixtures("_kept")
def test_processes_give_the_bytes_of_threads_and_are_used_again(drawn):
    wanted = batches_of(drawn, SLICES, WANTED)
    assert batches_of(drawn, SLICES, WANTED, Feeding(2, "processes")) == wanted
    first = idle()
    assert batches_of(drawn, SLICES, WANTED, Feeding(2, "processes"), part=7) == wanted
    assert idle() is first
    assert len(first.pids) == 2


@pytest.mark.usefixtures("_kept")
def test_an_error_in_a_worker_is_the_error_of_the_file(drawn, tmp_path):
    lost = pictures(tmp_path, 20)
    (tmp_path / lost.containers[0]).unlink()
    with pytest.raises(CogError, match="No such file") as caught:
        batches_of(lost, [slice(0, 20)], WANTED, Feeding(2, "processes"))
    with pytest.raises(CogError) as alone:
        batches_of(lost, [slice(0, 20)], WANTED)
    assert str(caught.value) == str(alone.value)


@pytest.mark.usefixtures("_kept")
def test_a_worker_that_is_killed_is_an_error_and_the_next_feed_has_others(drawn):
    batches = feed(drawn, SLICES * 20, WANTED, Feeding(2, "processes"), part=4)
    next(batches)
    workers = batches.gi_frame.f_locals["workers"]  # type: ignore[attr-defined]
    pids = list(workers._pool.pids.values())
    os.kill(pids[-1], signal.SIGKILL)
    begun = time.monotonic()
    with pytest.raises(CogError, match="was killed by SIGKILL") as caught:
        for _ in batches:
            pass
    assert "--feed threads" in caught.value.hint
    assert time.monotonic() - begun < HANGS_SECONDS
    await_end(*pids)
    assert batches_of(drawn, SLICES, WANTED, Feeding(2, "processes")) == batches_of(
        drawn, SLICES, WANTED
    )
    kept = idle()
    killed = next(iter(kept.pids.values()))
    os.kill(killed, signal.SIGKILL)  # while it has nothing to do
    await_end(killed)
    assert not kept.is_whole()


@pytest.mark.usefixtures("_kept")
def test_a_feed_that_is_closed_leaves_no_process(drawn):
    batches = feed(drawn, SLICES * 20, WANTED, Feeding(2, "processes"), part=4)
    next(batches)
    next(batches)
    workers = batches.gi_frame.f_locals["workers"]  # type: ignore[attr-defined]
    pids = [*workers._pool.pids.values(), *(each.pid for each in workers._pool._processes)]
    assert len(pids) == 3
    assert all(map(is_there, pids))
    batches.close()  # type: ignore[attr-defined]
    assert not any(map(is_there, pids))


@pytest.mark.long
def test_workers_that_are_spawned_give_the_same_bytes(drawn, monkeypatch):
    """As on macOS, where nothing is forked; without files in memory, too."""
    monkeypatch.setattr(pool_module.sys, "platform", "darwin")
    monkeypatch.delattr(os, "memfd_create", raising=False)
    found = batches_of(drawn, SLICES, WANTED, Feeding(2, "processes"), part=7)
    assert found == batches_of(drawn, SLICES, WANTED)


def test_the_store_is_that_of_threads_though_workers_were_killed_and_one_pool_serves_a_run(
    images, levels_folder, plug_in, tmp_path, monkeypatch
):
    started = []

    class Counted(Pool):
        def __init__(self, *how):
            started.append(self)
            super().__init__(*how)

    monkeypatch.setattr(processes, "Pool", Counted)
    monkeypatch.setattr(processes, "_idle", None)  # what the tests above have kept
    options = {
        "images": images, "levels": levels_folder, "test_per_class": 4, "min_train": 4,
        "batch_size": 3, "chunk_rows": 7, "workers": 2,
    }  # fmt: skip
    model = f"{plug_in}:load"
    wanted = alone({**options, "workers": 1, "feed": "threads"}, model, tmp_path / "one")
    for workers in (2, 4):
        found = alone({**options, "workers": workers}, model, tmp_path / f"{workers}")
        assert found == wanted
    assert not started
    done = processes.Processes.done

    def and_killed(self):
        found = done(self)
        for pid in self._pool.pids.values():
            os.kill(pid, signal.SIGKILL)
        return found

    monkeypatch.setattr(processes.Processes, "done", and_killed)
    with pytest.raises(CogError, match="was killed by SIGKILL"):
        alone({**options, "feed": "processes"}, model, tmp_path / "processes")
    monkeypatch.setattr(processes.Processes, "done", done)
    await_end(*started.pop().pids.values())
    assert alone({**options, "feed": "processes"}, model, tmp_path / "processes") == wanted
    assert len(started) == 1
    assert len(list((tmp_path / "one").glob("*/features/*"))) > 2
    assert processes._idle is None
    assert not any(map(is_there, started[0].pids.values()))


def test_an_error_that_cannot_cross_is_told():
    from cog.features.feeder.worker_process import _pickled
    from cog.features.feeder.workers import Done

    class Lost(Exception):
        """It cannot be found by its name."""

    for error in (CogError("what", "hint"), KeyError("k"), Lost("text")):
        done = processes.pickle.loads(_pickled(Done(1, 2, [], error)))
        wanted = error if not isinstance(error, Lost) else RuntimeError("Lost: text")
        assert (type(done.error), str(done.error)) == (type(wanted), str(wanted))


# No `if __name__ == "__main__"`; it writes how often it ran, and the processes that there are.
SCRIPT = """
import os, sys, time, warnings
warnings.simplefilter("error")
from pathlib import Path
print("ran", flush=True)
import threading
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
from cog.features.feeder.feed import feed
from cog.features.feeder.feeding import Feeding
from cog.images.preprocess import Preprocess
from tests.support.pictures import pictures
images = pictures(Path(sys.argv[1]), 20)
batches = feed(images, [slice(0, 10)] * 1000, [Preprocess(20, 16)], Feeding(2, "processes"), part=5)
for batch in batches:
    pool = batches.gi_frame.f_locals["workers"]._pool
    if len(pool.pids) == 2:
        print(*pool.pids.values(), *(each.pid for each in pool._processes), flush=True)
        time.sleep(1000)
"""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.long)]
)
def test_a_script_that_is_stopped_leaves_no_process(number, tmp_path):
    """Ctrl-C goes to the whole group, as in a terminal; its streams are closed, but for one."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = 'exec "$0" "$1" "$2" <&- 2>&-'
    with subprocess.Popen(
        ["sh", "-c", command, sys.executable, tmp_path / "script.py", tmp_path / "tar"],
        stdout=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heeding,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},  # for tests.support
    ) as script:  # fmt: skip
        assert script.stdout
        assert script.stdout.readline() == "ran\n"
        pids = list(map(int, script.stdout.readline().split()))
        assert len(pids) == 3
        assert all(map(is_there, pids))
        # No thread but that which watches its parent, which starts behind the last fork.
        assert len(list(Path(f"/proc/{pids[-1]}/task").iterdir())) == 2
        if number == signal.SIGINT:
            os.killpg(script.pid, number)
        else:
            script.kill()
        rest = script.stdout.read()
    assert rest == ""
    await_end(*pids)
