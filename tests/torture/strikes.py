"""Kills at every rename and at any call, and calls that fail: each command, then once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from tests.support.failing_calls import Strike, library
from tests.torture.disturbed import Undisturbed, struck, undisturbed
from tests.torture.harness import Attack, Unable
from tests.torture.jobs import JOBS, make_benchmark

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
CHANGES = ("write", "mkdir", "rename", "unlink")


def kills(calls: dict[str, int]) -> Iterator[list[Strike]]:
    """Before every rename; then after it; then around every folder made and file removed."""
    for kinds, action in (
        (("rename",), "kill before"),
        (("rename",), "kill after"),
        (("mkdir", "unlink"), "kill before"),
        (("mkdir", "unlink"), "kill after"),
    ):
        yield [Strike((kind,), number, action) for kind, number in _places(kinds, calls)]


def failing_calls(calls: dict[str, int]) -> Iterator[list[Strike]]:
    """Every call of every kind with each of its errors, once and, where that is so, for good.

    First calls that change something, each with one error in turn.
    """
    every = [
        [Strike((kind,), number, action, error) for error in ERRORS[kind]
         for action in ("fail", "fail from then on")[: 1 + (error in LASTING)]]
        for kind, number in _places(ON_DISK, calls)
    ]  # fmt: skip
    first = [
        strikes[at % len(strikes)] for at, strikes in enumerate(every)
        if strikes[0].kinds[0] in CHANGES
    ]  # fmt: skip
    yield first
    yield [strike for strikes in every for strike in strikes if strike not in first]


def _places(kinds: Iterable[str], calls: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Each call of these kinds: its kind and number."""
    return ((kind, number) for kind in kinds for number in range(1, calls[kind] + 1))


def at_any_call(rng: np.random.Generator, calls: dict[str, int]) -> Strike:
    """SIGKILL, SIGINT or SIGTERM at any call on a file."""
    at = int(rng.integers(1, sum(calls[kind] for kind in ON_DISK) + 1))
    if rng.random() < 0.3:
        return Strike(ON_DISK, at, "kill before")
    return Strike(ON_DISK, at, "signal", str(rng.choice(["SIGINT", "SIGTERM"])))


class Strikes:
    """Strikes on all jobs: stage by stage all that there are, each stage in a random order.

    `stages` gives those of a job, of which the calls are known; `jobs` names the jobs. Every
    `rarely`-th attempt, and all when the last stage is done, strike at any call.
    """

    def __init__(
        self, folder: Path, stages: Stages, rarely: int, jobs: Iterable[str] = JOBS
    ) -> None:
        if library() is None:
            raise Unable("it needs Linux and a C compiler")
        benchmark, where = make_benchmark(folder / "benchmark"), folder.with_name("attempt")
        self.plans: list[Undisturbed] = []
        where.mkdir()
        for name in jobs:
            self.plans.append(undisturbed(JOBS[name], benchmark, folder / name, where))
        where.rmdir()
        by_job = ([(plan, stage) for stage in stages(plan.calls)] for plan in self.plans)
        self.rarely, self.todo = rarely, []
        for stage in zip(*by_job, strict=True):
            pairs = [(plan, strike) for plan, strikes in stage for strike in strikes]
            order = np.random.default_rng(0).permutation(len(pairs))
            self.todo += [pairs[index] for index in order]

    def attempt(self, rng: np.random.Generator, number: int, folder: Path) -> str:
        """The next strike; every so often one at any call."""
        turns, rest = divmod(number, self.rarely)
        index = turns * (self.rarely - 1) + rest
        if rest < self.rarely - 1 and index < len(self.todo):
            plan, strike = self.todo[index]
        else:
            plan = self.plans[int(rng.integers(len(self.plans)))]
            strike = at_any_call(rng, plan.calls)
        return f"{plan.job.name}: {struck(plan, strike, folder)}"


Stages = Callable[[dict[str, int]], Iterator[list[Strike]]]
KILLS = Attack(
    "kills",
    "SIGKILL before and after every rename, then every mkdir and unlink; SIGKILL, SIGINT and "
    "SIGTERM at any call on a file; in every command",
    4,
    lambda folder, *jobs: Strikes(folder, kills, 4, *jobs).attempt,
)
FAILING = Attack(
    "failing calls",
    "the n-th open, read, write, mkdir, rename, unlink or listing fails with EIO, ENOSPC, EACCES "
    "or EROFS, in every command",
    5,
    lambda folder, *jobs: Strikes(folder, failing_calls, 50, *jobs).attempt,
)
