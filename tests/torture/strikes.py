"""Kills at every rename and at any call, and calls that fail: each command, then once more."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.support.failing_calls import Strike, library
from tests.torture.disturbed import Undisturbed, struck, undisturbed
from tests.torture.harness import Attack, Attempt, Unable
from tests.torture.jobs import JOBS, Job, make_benchmark

ERRORS = {
    "open": ("EIO", "EACCES", "EROFS", "ENOSPC"),
    "read": ("EIO",),
    "write": ("ENOSPC", "EIO"),
    "mkdir": ("ENOSPC", "EACCES", "EROFS", "EIO"),
    "rename": ("EIO", "ENOSPC", "EACCES", "EROFS"),
    "unlink": ("EACCES", "EIO", "EROFS"),
    "list": ("EACCES", "EIO"),
}
LASTING = ("ENOSPC", "EROFS")  # a full or read-only disk stays so
ON_DISK = tuple(ERRORS)


def kills_at_renames(calls: dict[str, int]) -> Iterator[Strike]:
    """Before and after every rename, and then every folder that is made or file removed."""
    for kind in ("rename", "mkdir", "unlink"):
        for number in range(1, calls[kind] + 1):
            yield Strike((kind,), number, "kill before")
            yield Strike((kind,), number, "kill after")


def failing_calls(calls: dict[str, int]) -> Iterator[Strike]:
    """Every call of every kind with each of its errors, once and, where that is so, for good."""
    for kind, errors in ERRORS.items():
        for number, error in itertools.product(range(1, calls[kind] + 1), errors):
            yield Strike((kind,), number, "fail", error)
            if error in LASTING:
                yield Strike((kind,), number, "fail from then on", error)


def _at_any_call(rng: np.random.Generator, calls: dict[str, int]) -> Strike:
    """SIGKILL, SIGINT or SIGTERM at any call on a file."""
    at = int(rng.integers(1, sum(calls[kind] for kind in ON_DISK) + 1))
    if rng.random() < 0.3:
        return Strike(ON_DISK, at, "kill before")
    return Strike(ON_DISK, at, "signal", str(rng.choice(["SIGINT", "SIGTERM"])))


class Strikes:
    """All strikes on all jobs in a fixed order; between kills and in the end, at any call."""

    def __init__(self, folder: Path, strikes_of, jobs: tuple[Job, ...]) -> None:
        if library() is None:
            raise Unable("it needs Linux and a C compiler")
        self.folder, self.strikes_of, self.jobs = folder, strikes_of, jobs
        self.benchmark = make_benchmark(folder / "benchmark")
        self.plans: dict[str, Undisturbed] = {}

    def plan(self, job: Job, folder: Path) -> Undisturbed:
        """The job undisturbed; made when it is first needed."""
        if job.name not in self.plans:
            kept = self.folder / job.name
            self.plans[job.name] = undisturbed(job, self.benchmark, kept, folder)
            shutil.rmtree(folder)
            folder.mkdir()
        return self.plans[job.name]

    def attempt(self, rng: np.random.Generator, number: int, folder: Path) -> str:
        """The jobs take turns; each takes its strikes in an order of its own."""
        turn, index = divmod(number, len(self.jobs))
        plan = self.plan(self.jobs[index], folder)
        strikes = list(self.strikes_of(plan.calls))
        order = np.random.default_rng(index).permutation(len(strikes))
        if turn < len(strikes) and not (self.strikes_of is kills_at_renames and turn % 4 == 3):
            strike = strikes[order[turn]]
        else:
            strike = _at_any_call(rng, plan.calls)
        return f"{plan.job.name}: {struck(plan, strike, folder)}"


def _prepare_kills(folder: Path) -> Attempt:
    return Strikes(folder, kills_at_renames, tuple(JOBS.values())).attempt


def _prepare_failing(folder: Path) -> Attempt:
    return Strikes(folder, failing_calls, tuple(JOBS.values())).attempt


KILLS = Attack("kills", "SIGKILL before and after every rename, mkdir and unlink; SIGKILL, SIGINT "
               "and SIGTERM at any call on a file; in every command", 4,
               _prepare_kills)  # fmt: skip
FAILING = Attack("failing calls", "the n-th open, read, write, mkdir, rename, unlink or listing "
                 "fails with EIO, ENOSPC, EACCES or EROFS, in every command", 5,
                 _prepare_failing)  # fmt: skip
