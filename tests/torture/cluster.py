"""A run on a Ray cluster whose driver or one of whose workers is killed at any moment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.torture.disturbed import check_end, planner
from tests.torture.harness import Attack, Attempt, Fault, Unable
from tests.torture.jobs import JOBS, call, make_benchmark

ROOT = Path(__file__).parents[2]
LONGEST = 300  # seconds


def _prepare(folder: Path) -> Attempt:
    if find_spec("ray") is None:
        raise Unable("it needs Ray: pip install 'imagenet-cog[ray]'")
    benchmark = make_benchmark(folder / "benchmark")
    job = JOBS["evaluate"]
    plan = planner(benchmark, folder)

    def attempt(rng: np.random.Generator, number: int, where: Path) -> str:
        expected = plan(job, where)
        shutil.copytree(benchmark, where, symlinks=True, dirs_exist_ok=True)
        came = _killed(rng, f"{job.command} --executor ray", where)
        again = call(job.command, where)
        if again.returncode:
            raise Fault(f"then, on this machine, it gives {again.returncode}: {again.stderr}")
        run_json = "out/colours/run.json"  # names the cluster, if all was done there
        (where / run_json).unlink()
        after = {name: data for name, data in expected.after.items() if name != run_json}
        check_end(replace(expected, after=after), where, again)
        return came

    return attempt


def _killed(rng: np.random.Generator, command: str, where: Path) -> str:
    """Run the command; kill it, or one of its workers, some seconds after its first file."""
    variables = os.environ | {"COG_HOME": str(where / "cog-home"), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "cog", *command.split()]
    run = subprocess.Popen(
        words, cwd=where, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        begun = time.monotonic()
        while run.poll() is None and not (where / "out").exists():
            if time.monotonic() - begun > LONGEST:
                raise Fault(f"`{' '.join(words)}` wrote nothing in {LONGEST} s")
            time.sleep(0.05)
        time.sleep(float(rng.uniform(0, 6)))
        workers = [pid for pid in _session(run.pid) if _is_worker(_name(pid))]
        target = "driver" if rng.random() < 0.5 or not workers else "worker"
        os.kill(run.pid if target == "driver" else int(rng.choice(workers)), signal.SIGKILL)
        stderr = run.communicate(timeout=LONGEST)[1]
    except ProcessLookupError:
        stderr = run.communicate(timeout=LONGEST)[1]
    finally:
        for pid in _session(run.pid):
            os.kill(pid, signal.SIGKILL)
    if "Traceback" in stderr or run.returncode not in (0, 2, -9):
        raise Fault(f"a {target} killed: status {run.returncode}, stderr: {stderr[-1500:]}")
    return f"a {target} killed: status {run.returncode}"


def _session(leader: int) -> list[int]:
    """The processes of a session that this attack began, without those that have ended."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, NotADirectoryError):
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def _is_worker(name: str) -> bool:
    """Whether a process runs tasks; without the agents, whose end is the end of their node."""
    return name.startswith("ray::") and "Agent" not in name


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


CLUSTER = Attack("cluster", "a run on a Ray cluster whose driver or one of whose workers is killed",
                 0.8, _prepare)  # fmt: skip
