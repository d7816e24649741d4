"""Many workers, many devices, and kills: the same bytes as one worker makes alone."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cog
from cog.cli.evaluate import evaluate, extract
from cog.errors import CogError
from cog.evaluation.run import run_plan
from cog.features.executors.share import Share
from cog.features.store.store import FeatureStore
from cog.images.preprocess import Preprocess
from cog.interruption import status_of
from cog.models.model import Model
from cog.progress import Silent
from cog.recipe import Recipe
from tests.support.forked import start
from tests.support.runs import HANGS_SECONDS, WNIDS, draw_images, make_plan
from tests.support.stores import alone, chunk_files

SCRIPT = Path(cog.__file__).parents[1] / "examples" / "slurm_array.sh"


@pytest.fixture
def options(images, levels_folder):
    """Options of a plan for the small images, in chunks of few rows."""
    return {
        "images": images, "levels": levels_folder, "test_per_class": 4, "min_train": 4,
        "probes": ("logreg",), "solver": "lbfgs", "seeds": (22, 37), "batch_size": 2,
        "chunk_rows": 3, "workers": 1, "recipe": Recipe(trials=3, epochs=4),
    }  # fmt: skip


class Listener(Silent):
    """Remembers the lines for the user."""

    def __init__(self):
        self.said = []

    def notify(self, text):
        self.said.append(text)


def work(models, options, out, share, threads=1) -> None:
    """A worker in a process of its own."""
    torch.set_num_threads(threads)
    plan = make_plan(models, out=out, device="cpu", **options)
    run_plan(plan.without_cells(), Silent(), Share.read(share))


@given(st.integers(1, 9), st.integers(0, 60))
def test_shares_divide_numbers_without_rest_or_overlap(workers, count):
    shares = [Share(worker, workers) for worker in range(workers)]
    assert sorted(itertools.chain(*(share.of(range(count)) for share in shares))) == [*range(count)]
    for share in shares:
        assert Share.read(str(share)) == share


@pytest.mark.parametrize("text", ["", "3", "4/4", "-1/4", "0/0", "1/2/3", "a/b"])
def test_a_text_that_names_no_share_is_refused(text):
    with pytest.raises(CogError, match="expected a worker r/w"):
        Share.read(text)


def test_a_script_that_leaves_the_device_open_keeps_its_network_on_one(options, tmp_path):
    model = Model(
        torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1),
                            torch.nn.Flatten()),
        preprocess=Preprocess(resize=16, crop=16), name="mine",
    )  # fmt: skip
    assert make_plan(model, out=tmp_path, **options).devices == ()


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_at_once_give_the_bytes_of_one(options, plug_in, tmp_path, workers):
    models = [f"{plug_in}:load", f"{plug_in}:another"]
    out = tmp_path / "many"
    started = [
        start(work, models, options, out, f"{worker}/{workers}") for worker in range(workers)
    ]
    for process in started:
        process.join(HANGS_SECONDS)
        assert process.exitcode == 0
    assert chunk_files(out) == alone(options, models, tmp_path / "one")


def test_a_worker_makes_its_own_chunks_and_no_others(options, plug_in, tmp_path):
    plan = make_plan(f"{plug_in}:load", out=tmp_path, device="cpu", **options)
    listener = Listener()
    run_plan(plan.without_cells(), listener, Share(1, 3))
    made = {int(path.parent.name) for path in tmp_path.glob("*/features/*/features/c/*/0")}
    assert made == {1, 4, 7}  # of 8 chunks of training images; of 4 of test images
    assert "16 chunks of other workers are not made yet" in listener.said[-1]


def test_chunks_are_enough_for_all_workers(options, plug_in, tmp_path):
    del options["chunk_rows"]
    options["batch_size"] = 1
    for workers, chunks in ((1, 8), (3, 24)):  # of 24 images
        out = tmp_path / str(workers)
        plan = make_plan(f"{plug_in}:load", out=out, device="cpu", **options)
        run_plan(plan.without_cells(), Silent(), Share(0, workers))
        store = FeatureStore.open(next(out.glob("*/features/*-train.zarr")))
        assert store.n_chunks == chunks


def test_a_worker_forgets_only_its_own_mended_chunks(options, plug_in, tmp_path):
    images = draw_images(tmp_path / "images", WNIDS, 54)
    options |= {"images": images, "chunk_rows": 6, "test_per_class": 10}
    first = make_plan(f"{plug_in}:load", out=tmp_path / "out", device="cpu", **options)
    train = first.datasets[0].lists[0]
    bad = images / train.paths[7]  # of chunk 1
    whole = bad.read_bytes()
    bad.write_bytes(b"")
    run_plan(first.without_cells(), Silent())
    bad.write_bytes(whole)
    name = f"{first.datasets[0].name}-train.zarr"
    chunk = tmp_path / "out" / "colours" / "features" / name / "features" / "c" / "1" / "0"
    before = chunk.stat().st_mtime_ns
    run_plan(first.without_cells(), Silent(), Share(0, 2))
    assert chunk.stat().st_mtime_ns == before
    run_plan(first.without_cells(), Silent(), Share(1, 2))
    assert chunk.stat().st_mtime_ns > before


def test_workers_fit_the_cells_that_they_can(options, plug_in, tmp_path):
    plan = make_plan(f"{plug_in}:load", out=tmp_path / "out", device="cpu", **options)
    listener = Listener()
    assert len(run_plan(plan, listener, Share(0, 2))) == 0
    assert "0 of its 2 cells are done; 2 wait for the chunks of other workers" in listener.said[-1]
    assert "without --worker" in listener.said[-1]
    rows = run_plan(plan, listener, Share(1, 2))
    assert list(rows["seed"]) == [37, 37]
    assert "2 of its 2 cells are done." in listener.said[-1]
    again = run_plan(plan, listener, Share(0, 2))
    assert list(again["seed"]) == [22, 22]
    finished = run_plan(plan, Silent())
    single = run_plan(make_plan(f"{plug_in}:load", out=tmp_path / "one", device="cpu", **options),
                      Silent())  # fmt: skip
    times = ["seconds"]
    assert finished.drop(columns=times).equals(single.drop(columns=times))


def test_the_command_line_takes_workers(options, plug_in, tmp_path, capsys):
    common = [
        "--model", f"{plug_in}:load", "--images", str(options["images"]),
        "--levels", str(options["levels"]), "--out", str(tmp_path / "out"),
        "--test-per-class", "4", "--min-train", "4", "--chunk-rows", "3",
    ]  # fmt: skip
    extract([*common, "--worker", "1/2", "--device", "cpu,cpu"], standalone_mode=False)
    said = capsys.readouterr()
    assert said.out.count(".zarr") == 4
    assert "worker 1/2: all its chunks are made; 12 chunks of other workers" in said.err
    with pytest.raises(CogError, match="expected a worker r/w"):
        extract([*common, "--worker", "2/2"], standalone_mode=False)
    probe = ["--probe", "ncm", "--seeds", "22"]
    evaluate([*common, *probe, "--worker", "0/2"], standalone_mode=False)
    said = capsys.readouterr()
    assert "cog_l1" in said.out  # its half of the features was all that was missing
    assert "worker 0/2: 1 of its 1 cells are done. When all workers have ended" in said.err
    with pytest.raises(CogError, match="does not know when the others are done"):
        evaluate([*common, "--worker", "0/2", "--discard-features"], standalone_mode=False)


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs the example with scripts for cog, srun and scontrol; gets that of cog."""
    programs = {
        "srun": 'echo "srun $1 $SRUN_CPUS_PER_TASK" >> "$LOG"; shift; exec "$@"',
        "scontrol": 'echo "scontrol $@" >> "$LOG"',
    }
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(tmp_path / "log"),
        "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16", "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_CPUS_PER_TASK": "16", "MODELS": "dino swav", "OUT": "/shared/runs",
    }  # fmt: skip

    def run(body: str) -> subprocess.CompletedProcess[str]:
        for name, text in (programs | {"cog": body}).items():
            (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
            (tmp_path / name).chmod(0o755)
        (tmp_path / "log").write_text("")
        return subprocess.run(
            ["bash", SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True
        )

    return run


def test_the_example_for_slurm(slurm, tmp_path):
    done = slurm('echo "$@" >> "$LOG"')
    assert (done.returncode, done.stderr) == (0, "")
    common = (
        "--images /data/imagenet21k --in1k /data/imagenet --out /shared/runs "
        "--worker 3/16 --workers 16 --model dino --model swav"
    )
    said = (tmp_path / "log").read_text().splitlines()
    srun = "srun --ntasks=1 16"
    assert said == [srun, f"extract {common}", srun, f"evaluate {common}"]
    for line in said[1::2]:  # the options are there
        command, *arguments = line.split()
        context = {"extract": extract, "evaluate": evaluate}[command].make_context(
            command, arguments
        )
        assert context.params["worker"] == "3/16"
        assert context.params["workers"] == 16


@pytest.mark.parametrize(
    ("status", "asks"), [(138, ["scontrol requeue 77_3"]), (143, []), (2, [])], ids=str
)
def test_the_example_for_slurm_goes_on_when_its_time_is_over(slurm, tmp_path, status, asks):
    """SIGUSR1 is the warning, status 138; SIGTERM comes from `scancel`."""
    assert slurm(f"exit {status}").returncode == status
    assert (tmp_path / "log").read_text().splitlines()[1:] == asks


def test_the_example_asks_slurm_for_the_warning():
    lines = SCRIPT.read_text().splitlines()
    assert "#SBATCH --signal=USR1@120" in lines
    assert status_of(signal.SIGUSR1) == 138
