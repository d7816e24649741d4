"""Two and three commands at once on one folder, one of them killed now and then."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np

from tests.support.forked import Started
from tests.torture.disturbed import check_again, check_answer, planner
from tests.torture.harness import Attack, Attempt, Fault
from tests.torture.jobs import JOBS, begin, call, ended, make_benchmark

_EVALUATE, _EXTRACT = JOBS["evaluate"].command, JOBS["extract"].command
_ANOTHER = JOBS["evaluate another"].command

# The job that is right in the end, and what runs at once before that.
COMPANIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "two evaluate": ("evaluate", (_EVALUATE, _EVALUATE)),
    "three evaluate": ("evaluate", (_EVALUATE, _EVALUATE, _EVALUATE)),
    "three workers extract": ("extract", tuple(f"{_EXTRACT} --worker {r}/3" for r in range(3))),
    "two workers evaluate": ("evaluate", tuple(f"{_EVALUATE} --worker {r}/2" for r in range(2))),
    "evaluate and extract": ("evaluate", (_EVALUATE, _EXTRACT)),
    "two models": ("evaluate another", (_EVALUATE, _ANOTHER)),
    "results meanwhile": ("evaluate", (_EVALUATE, "results out", "results out --wide")),
    "store verify meanwhile": ("evaluate", (_EVALUATE, "store verify out", "store show out")),
    "store rm meanwhile": ("extract", (_EXTRACT, "store rm --yes out", "store rm --yes out")),
    "two of tars": ("evaluate tars", (JOBS["evaluate tars"].command,) * 2),
    "two build-levels": ("build-levels", (JOBS["build-levels"].command,) * 2),
    "two check-data": ("check-data", (JOBS["check-data"].command,) * 2),
    "two export": ("export", (JOBS["export"].command,) * 2),
    "two results": ("results", (JOBS["results"].command,) * 2),
}


def _prepare(folder: Path) -> Attempt:
    benchmark = make_benchmark(folder / "benchmark")
    plan, names = planner(benchmark, folder), [*COMPANIES]

    def attempt(rng: np.random.Generator, number: int, where: Path) -> str:
        name = names[number % len(names)]
        job, commands = COMPANIES[name]
        expected = plan(JOBS[job], where)
        shutil.copytree(benchmark, where, symlinks=True, dirs_exist_ok=True)
        said = _run_together(rng, commands, where)
        try:
            if expected.job.first:
                call(expected.job.first, where)
            check_again(expected, where)
        except Fault as fault:
            raise Fault(f"{name}: {fault}\n{said}") from fault
        return name

    return attempt


def _run_together(rng: np.random.Generator, commands: tuple[str, ...], where: Path) -> str:
    """Start them within a second, kill one every second time, and judge what each says."""
    started: list[Started] = []
    for index in rng.permutation(len(commands)):
        started.append(begin(commands[index], where, number=len(started)))
        time.sleep(float(rng.choice([0, rng.uniform(0, 0.6)])))
    if rng.random() < 0.5:
        time.sleep(float(rng.uniform(0, 0.5)))
        started[int(rng.integers(len(started)))].process.kill()
    said = []
    for run in started:
        done = ended(run)
        said.append(f"`{' '.join(run.words)}` gave {done.returncode}: {done.stderr[-800:]}")
        try:
            check_answer(done)
        except Fault as fault:
            raise Fault(f"at once, {said[-1]}: {fault}") from fault
    return "\n".join(said)


TOGETHER = Attack("together", "two and three commands at once on one folder, one killed every "
                  "second time; then the command alone", 1.5, _prepare)  # fmt: skip
