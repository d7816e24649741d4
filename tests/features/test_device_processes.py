"""A process for each device: the bytes of one, and whatever ends one of them ends in two lines."""

from __future__ import annotations

import importlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch

import cog.evaluation.estimate
import cog.evaluation.models
from cog.errors import CogError
from cog.evaluation.estimate import estimate
from cog.evaluation.models import ModelOptions, load_models, pick_own_devices
from cog.evaluation.run import run_plan
from cog.features.executors import one_process, processes
from cog.features.executors.crossing import dump, from_bytes, to_bytes
from cog.features.executors.executor import executor_for
from cog.features.executors.one_process import Sent, Setup, Task, serve
from cog.features.executors.processes import Processes
from cog.features.settings import Extraction
from cog.images.limits import Room
from cog.images.preprocess import Preprocess
from cog.models.load import load_model
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.progress import Silent
from cog.recipe import Recipe
from tests.support.running import (
    await_end,
    children_of,
    descendants_of,
    fork,
    heeding,
    is_there,
)
from tests.support.runs import HANGS_SECONDS, make_plan
from tests.support.stores import alone, chunk_files

CPU = torch.device("cpu")
PREPARED = Preprocess(resize=16, crop=16)
KILLED = Path("killed")  # in the folder of a test

# A plug-in whose class, function and hook no other process can import, and a module beside it.
OWN = """
import torch
import cog
import beside

class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.part = torch.nn.Conv2d(3, 4, 3)
        self.last = lambda x: beside.twice(x).mean((2, 3))
    def forward(self, x):
        return self.last(self.part(x))

def load():
    network = Own()
    network.part.register_forward_hook(lambda part, given, features: features + 1)
    return cog.Model(network, preprocess=cog.Preprocess(resize=16, crop=16), name="own")
"""


class Listener(Silent):
    """Remembers the lines for the user, and how far bars moved."""

    def __init__(self):
        self.said, self.advanced = [], 0

    def notify(self, text):
        self.said.append(text)

    def bar(self, label, total, unit):
        return _Bar(self)


class _Bar:
    def __init__(self, listener):
        self.listener = listener

    def __enter__(self):
        return self.advance

    def __exit__(self, *_):
        pass

    def advance(self, count):
        self.listener.advanced += count


class Means(torch.nn.Module):
    """The mean colour of an image."""

    def forward(self, x):
        return x.mean((2, 3))


class Hungry(Means):
    """Has memory for one image at a time."""

    def forward(self, x):
        if len(x) > 1:
            raise RuntimeError("CUDA out of memory")
        return super().forward(x)


class Mortal(Means):
    """Dies once, at its fourth batch: a file records it."""

    _calls = 0

    def forward(self, x):
        self._calls += 1
        if self._calls == 5 and not KILLED.exists():
            KILLED.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return super().forward(x)


class Unlucky(Means):
    """Fails at its fourth batch, once."""

    _calls = 0

    def forward(self, x):
        self._calls += 1
        if self._calls == 5 and not KILLED.exists():
            KILLED.touch()
            raise ValueError("no luck")
        return super().forward(x)


def model(network, name="m") -> Model:
    return Model(network, preprocess=PREPARED, name=name)


@pytest.fixture
def options(images, levels_folder):
    """Options of a plan for the small images, in chunks of few rows."""
    return {
        "images": images, "levels": levels_folder, "test_per_class": 4, "min_train": 4,
        "probes": ("ncm",), "batch_size": 2, "chunk_rows": 3, "workers": 1,
        "recipe": Recipe(trials=3, epochs=4),
    }  # fmt: skip


@pytest.fixture
def started(monkeypatch, tmp_path) -> list[int]:
    """The numbers of the processes that were started; they are forks, which start at once."""
    pids: list[int] = []

    def start(target, *descriptors):
        process = fork(target, *descriptors)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(processes, "start", start)
    monkeypatch.chdir(tmp_path)
    return pids


def test_every_model_of_several_devices_has_the_bytes_of_one(options, plug_in, tmp_path, started):
    (tmp_path / "beside.py").write_text("def twice(x): return 2 * x\n")
    (tmp_path / "own.py").write_text(OWN)
    convolutions = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of newer torch
        script = torch.jit.script(convolutions)
    models = [
        load_model(f"{tmp_path}/own.py:load"), f"{plug_in}:load", model(convolutions, "plain"),
        model(script, "script"),
    ]  # fmt: skip
    expected = alone(options, models, tmp_path / "one")
    assert sum("/features/c/" in name for name in expected) == 4 * 2 * (8 + 4)
    for count in (2, 3):
        listener = Listener()
        del started[:]
        plan = make_plan(models, out=tmp_path / f"{count}", device=",".join(["cpu"] * count),
                         **options)  # fmt: skip
        rows = run_plan(plan, listener)
        assert chunk_files(tmp_path / f"{count}") == expected
        assert len(started) == count  # for two datasets and two lists of each
        assert listener.advanced >= 6 * 12
        assert not any(map(is_there, started))
        assert set(rows["device"]) == {"cpu"}
    single = run_plan(make_plan(models, out=tmp_path / "one", device="cpu", **options), Silent())
    assert rows.drop(columns="seconds").equals(single.drop(columns="seconds"))


@pytest.mark.parametrize(
    ("device", "given", "places", "count"),
    [
        ("auto", ["name"], ["cpu"], 2),  # its processes move their copies
        ("cuda:0,cuda:1", ["name"], ["cpu"], 2),
        ("cuda:0,cuda:1", [model(Means())], ["where it is"], 2),
        ("auto", [model(Means()), "name"], ["where it is", "cuda:0"], 0),
    ],
)
def test_models_of_several_gpus_are_not_on_the_first(monkeypatch, device, given, places, count):
    gpus = (torch.device("cuda:0"), torch.device("cuda:1"))
    found = []
    monkeypatch.setattr(cog.evaluation.models, "pick_devices", lambda _: gpus)
    monkeypatch.setattr(
        cog.evaluation.models, "load",
        lambda *_, device, **__: found.append(str(device)) or model(Means()),
    )  # fmt: skip
    monkeypatch.setattr(
        Model, "to", lambda model, place: found.append("where it is" if place == CPU else "moved")
        or model,
    )  # fmt: skip
    options, extraction = ModelOptions(tuple(given), LoadOptions()), Extraction(device=device)
    load_models(options, extraction, None)
    assert found == places
    assert len(pick_own_devices(options, extraction)) == count


def test_each_halves_its_batches_and_says_so(options, tmp_path, started):
    listener = Listener()
    plan = make_plan(model(Hungry()), out=tmp_path / "out", device="cpu,cpu", **options)
    run_plan(plan.without_cells(), listener)
    assert len([text for text in listener.said if "out of memory" in text]) == 2


@pytest.mark.parametrize(
    ("network", "what", "hint"),
    [
        (Mortal(), r"the process for cpu was killed by SIGKILL", "same command"),
        (Unlucky(), "m fails on a batch of 2: ValueError: no luck", "cog models check"),
    ],
    ids=["killed", "error"],
)
def test_one_that_ends_early_ends_all_and_the_next_run_goes_on(
    options, tmp_path, started, network, what, hint
):
    plan = make_plan(model(network), out=tmp_path / "out", device="cpu,cpu", **options)
    with pytest.raises(CogError, match=what) as caught:
        run_plan(plan.without_cells(), Silent())
    assert hint in caught.value.hint
    assert "\n" not in caught.value.what
    assert len(started) == 2
    assert not any(map(is_there, started))
    done = {name for name in chunk_files(tmp_path / "out") if "/features/c/" in name}
    assert 0 < len(done) < 2 * (8 + 4)
    again = make_plan(model(network), out=tmp_path / "out", device="cpu,cpu", **options)
    run_plan(again.without_cells(), Silent())
    assert chunk_files(tmp_path / "out") == alone(options, model(network), tmp_path / "one")


def test_a_network_that_cannot_be_sent_is_named(options, tmp_path, started):
    network = Means()
    network.lock = threading.Lock()
    plan = make_plan(model(network, "locked"), out=tmp_path / "out", device="cpu,cpu", **options)
    with pytest.raises(CogError, match="locked cannot be sent to another process: ") as caught:
        run_plan(plan.without_cells(), Silent())
    assert "--worker" in caught.value.hint
    assert not any(map(is_there, started))


def count(bundle, items, device):
    yield from ((item, os.getpid(), device.threads, torch.get_num_threads()) for item in items)


def fail(bundle, items, device):
    yield 1
    raise bundle


def weigh(bundle, items, device):
    for item in items:
        yield item, device.forward(bundle[item]).model is device.forward(bundle[item]).model


class Unpicklable(Exception):
    """An error that no other process can be told."""

    def __init__(self, lock) -> None:
        super().__init__("locked")
        self.lock = lock


def fail_strangely(bundle, items, device):
    yield 1
    raise Unpicklable(threading.Lock())


@pytest.fixture
def two(started) -> Processes:
    with Processes([CPU, CPU], Extraction(workers=6), Silent()) as found:
        yield found


def test_items_are_divided_as_among_workers_and_processes_stay(two, started):
    first = sorted(two.spread(count, None, range(5)))
    assert [pid for _, pid, _, _ in first] == [started[i % 2] for i in range(5)]
    assert {threads for _, _, threads, _ in first} == {3}
    assert {cores for _, _, _, cores in first} == {max(1, torch.get_num_threads() // 2)}
    assert sorted(two.spread(count, None, range(5))) == first
    assert two.at_once == len(started) == 2


def test_work_for_one_starts_one_and_each_is_done_here(two, started):
    assert [pid for _, pid, _, _ in two.spread(count, None, ["one"])] == started
    assert len(started) == 1
    assert [pid for _, pid, _, _ in two.each(count, [(None, "ab")])] == [os.getpid()] * 2


def test_a_model_is_sent_once(two, monkeypatch):
    sent = []
    dump = processes.dump
    monkeypatch.setattr(processes, "dump", lambda *given: (sent.append(given[0]), dump(*given)))
    one, another = model(Means(), "one"), model(Means(), "another")
    for _ in range(2):
        assert sorted(two.spread(weigh, [one, one], [0, 1])) == [(0, True), (1, True)]
    assert sorted(two.spread(weigh, [another, one, one], [0, 1, 2]))[2] == (2, True)
    assert [each.model for each in sent] == [one, another]


@pytest.mark.parametrize(
    "error", [CogError("what", "hint"), OSError(28, "full", "a/file"), MemoryError("no more")],
    ids=repr,
)  # fmt: skip
def test_an_error_arrives_as_it_was(two, started, error):
    with pytest.raises(type(error)) as caught:
        list(two.spread(fail, error, [1, 2]))
    assert str(caught.value) == str(error)
    assert not any(map(is_there, started))
    assert len(list(two.spread(count, None, [1, 2]))) == 2  # others are started


def test_a_process_takes_its_own_gpu_and_leaves_its_memory(monkeypatch, one_thread):
    called, moved, told = [], [], []
    monkeypatch.setattr(torch.cuda, "set_device", called.append)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: called.append("emptied"))
    monkeypatch.setattr(Model, "to", lambda model, device: moved.append(device) or model)
    gpu, file = torch.device("cuda:1"), io.BytesIO()
    for message in (
        Setup(gpu, Extraction(), 3, 1, 2), Sent(7, model(Means())), Task(count, None), [10, 11],
    ):  # fmt: skip
        dump(message, "a message", file)
    file.seek(0)
    room = Room(1000)
    monkeypatch.setattr(one_process, "ROOM", room)
    serve(io.BufferedReader(file), lambda *message: told.append(message), 9)
    assert (room.most, room.processes, room.lock) == (250, 2, 9)
    assert called == [gpu, "emptied"]
    assert moved == [gpu]
    results = [(item, os.getpid(), 3, 1) for item in (10, 11)]
    assert told == [("results", results), ("done", None)]


def test_a_dry_run_measures_in_one_process(options, plug_in, tmp_path, started, monkeypatch):
    monkeypatch.setattr(cog.evaluation.estimate, "SECONDS", 0.01)
    plan = make_plan(f"{plug_in}:load", out=tmp_path / "out", device="cpu,cpu,cpu", **options)
    with executor_for(plan.extraction, plan.devices, Silent()) as executor:
        found = estimate(plan, executor)
    assert (found.at_once, found.to_decode, found.crops) == (3, 72, (72,))
    assert found.measured.decode > 0
    assert found.probe_seconds > 0
    assert len(started) == 1


def test_an_error_that_cannot_cross_is_told_in_words(two):
    with pytest.raises(RuntimeError, match="Unpicklable: locked"):
        list(two.spread(fail_strangely, None, [1]))


def test_work_that_is_left_early_ends_them(two, started):
    for _ in two.spread(count, None, range(1000)):
        break
    assert not any(map(is_there, started))


@pytest.mark.parametrize("kind", ["script", "parametrised", "views", "empty", "bfloat16"])
def test_a_network_arrives_as_it_was(kind):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten()).eval()
    if kind == "script":
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            network = torch.jit.script(network)
    if kind == "parametrised":
        torch.nn.utils.parametrizations.weight_norm(network[0])
    if kind == "views":
        flat = torch.rand(30)
        network.register_buffer("head", flat[:20])
        network.register_buffer("tail", flat[10:])
    if kind == "empty":
        network.register_buffer("nothing", torch.empty(0))
    if kind == "bfloat16":
        network.register_buffer("short", torch.rand(5).bfloat16())
    before, x = model(network), torch.rand(2, 3, 16, 16)
    after = from_bytes(to_bytes(before, "a model"))
    assert after.fingerprint == before.fingerprint
    assert torch.equal(after.embed(x), before.embed(x))
    if kind == "views":
        after.network.head[15] = 7
        assert after.network.tail[5] == 7


def test_a_module_that_is_not_there_is_named(tmp_path, monkeypatch):
    (tmp_path / "gone.py").write_text("def twice(x): return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    data = to_bytes(importlib.import_module("gone").twice, "a function")
    monkeypatch.delitem(sys.modules, "gone")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    with pytest.raises(CogError, match="No module named 'gone'") as caught:
        from_bytes(data)
    assert "PYTHONPATH" in caught.value.hint


def test_large_tensors_are_written_as_they_lie_in_memory():
    parts = []

    class File:
        def write(self, data):
            parts.append(memoryview(data).nbytes)

    dump(model(torch.nn.Linear(500, 500, bias=False)), "a model", File())
    assert 1_000_000 in parts
    assert sum(parts) < 1_050_000


# A script as people write them: no `if __name__ == "__main__"`, and a class of its own.
SCRIPT = """
import sys
from pathlib import Path
import torch
import cog

with Path("runs").open("a") as file:
    file.write("once ")

class Mine(torch.nn.Module):
    def forward(self, x):
        return x.mean((2, 3))

model = cog.Model(Mine(), preprocess=cog.Preprocess(resize=16, crop=16), name="mine")
table = cog.evaluate(
    model, images="images", levels="levels", out="runs-here", device="cpu,cpu",
    test_per_class=4, min_train=4, probes="ncm", only="L1", batch_size=2, chunk_rows=3, workers=1,
)
print(len(table), *set(table["device"]))
"""


def test_a_script_without_a_guard_is_run_once(options, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "images").symlink_to(options["images"])
    (tmp_path / "levels").symlink_to(options["levels"])
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True,
        timeout=HANGS_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 cpu\n"
    assert (tmp_path / "runs").read_text() == "once "


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux alone has /proc")
def test_runs_that_are_ended_leave_no_process_and_go_on(options, tmp_path, plug_in):
    """By Ctrl-C, which comes to all processes of the terminal; SIGTERM; SIGKILL of the program."""
    command = [
        sys.executable, "-m", "cog", "extract", "--model", f"{plug_in}:slow", "--images",
        options["images"], "--levels", options["levels"], "--out", "out", "--device", "cpu,cpu",
        "--test-per-class", "4", "--min-train", "4", "--batch-size", "2", "--chunk-rows", "3",
    ]  # fmt: skip
    made = 0
    for number, whom, status, feed in (
        (signal.SIGINT, os.killpg, 130, "threads"), (signal.SIGTERM, os.kill, 143, "processes"),
        (signal.SIGKILL, os.kill, -9, "processes"),
    ):  # fmt: skip
        with subprocess.Popen(
            [*command, "--feed", feed], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
            start_new_session=True, preexec_fn=heeding,
        ) as run:  # fmt: skip
            while len([*tmp_path.glob("out/*/features/*/features/c/*/0")]) <= made:
                assert run.poll() is None
                time.sleep(0.05)
            assert len(children_of(run.pid)) == 2
            children = descendants_of(run.pid)
            assert len(children) == 2 if feed == "threads" else len(children) > 2
            whom(run.pid, number)
            assert run.wait(HANGS_SECONDS) == status
            await_end(*children)
            assert "Traceback" not in run.stderr.read()
        made = len([*tmp_path.glob("out/*/features/*/features/c/*/0")])
    assert made < 2 * (8 + 4)
    subprocess.run(command, cwd=tmp_path, check=True, timeout=HANGS_SECONDS)
    assert chunk_files(tmp_path / "out") == alone(options, f"{plug_in}:slow", tmp_path / "one")
