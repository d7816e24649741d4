"""A command that was disturbed: what it must say, what it must leave, and that it goes on."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.failing_calls import Strike, counted_calls, struck_call
from tests.torture.harness import Fault
from tests.torture.jobs import Job, call, snapshot, tidy_up

PARTIAL = re.compile(r"(^|/)\..*\.partial(/|$)")
# An index that could not be written beside its tar goes here, and is used from then on.
INDEX = re.compile(r"^cog-home/indexes/")
# Files that grow while a run goes on, and those that tell of images that could not be read.
GROWING = re.compile(
    r"results\.csv$|mistakes\.json$|out/c\.csv$|unreadable|/readable/|/features/c/|\.cog-index/|"
    r"cog-home/"
)
WRITTEN_AGAIN = re.compile(r"results\.csv$|mistakes\.json$|out/c\.csv$")


@dataclass(frozen=True)
class Undisturbed:
    """A job, the folder in which it starts, and what it does there when nothing disturbs it."""

    job: Job
    start: Path
    before: dict[str, bytes]
    after: dict[str, bytes]
    said: str
    calls: dict[str, int]


def undisturbed(job: Job, benchmark: Path, kept: Path, folder: Path) -> Undisturbed:
    """Run a job in `folder`, on a copy of the benchmark; `kept` is where it can start.

    The folder is empty before and after.
    """
    shutil.copytree(benchmark, folder, symlinks=True, dirs_exist_ok=True)
    if job.first:
        _done_well(call(job.first, folder))
        tidy_up(folder)
    shutil.copytree(folder, kept, symlinks=True, dirs_exist_ok=True)
    before = snapshot(folder)
    done = _done_well(call(job.command, folder, partial(Strike().arm, folder)))
    found = Undisturbed(job, kept, before, snapshot(folder), done.stdout, counted_calls(folder))
    shutil.rmtree(folder)
    folder.mkdir()
    return found


def planner(benchmark: Path, kept: Path) -> Callable[[Job, Path], Undisturbed]:
    """A function that gives the `undisturbed` job, which it runs when it is first asked for."""
    plans: dict[str, Undisturbed] = {}

    def plan(job: Job, folder: Path) -> Undisturbed:
        if job.name not in plans:
            plans[job.name] = undisturbed(job, benchmark, kept / job.name, folder)
        return plans[job.name]

    return plan


def _done_well(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode:
        raise Fault(f"{' '.join(done.args)} gives {done.returncode} undisturbed: {done.stderr}")
    return done


def struck(plan: Undisturbed, strike: Strike, folder: Path) -> str:
    """Run a job in which one call fails or is the last, then once more; how the first came out."""
    shutil.copytree(plan.start, folder, symlinks=True, dirs_exist_ok=True)
    done = call(plan.job.command, folder, partial(strike.arm, folder))
    where = f"{plan.job.name}, {strike} ({struck_call(folder) or 'not reached'})"
    try:
        check_answer(done, (130, 143) if strike.action == "signal" else ())
        if done.returncode == 0:
            check_end(plan, folder, done, allow_partial=True)
        check_nothing_lost(plan, folder, killed=done.returncode in (-9, 130, 143))
        check_again(plan, folder)
    except Fault as fault:
        said = f"\nstatus {done.returncode}, stderr: {done.stderr[-2000:]}"
        raise Fault(f"{where}: {fault}{said}") from fault
    if not struck_call(folder):
        return "not reached"
    return "killed" if done.returncode == -9 else f"status {done.returncode}"


def check_answer(done: subprocess.CompletedProcess[str], also: Sequence[int] = ()) -> None:
    """A result, or two lines and status 2, or findings and status 1, or the end by SIGKILL.

    `also`: statuses of signals, which are told in a line.
    """
    if "Traceback" in done.stderr:
        raise Fault(f"a traceback: {done.stderr.strip().splitlines()[-1]}")
    if done.returncode not in (0, 1, 2, -9, *also):
        raise Fault(f"status {done.returncode}")
    word = {130: "interrupted: ", 143: "terminated: "}.get(done.returncode, "")
    if word not in done.stderr:
        raise Fault(f"status {done.returncode} without a word")
    if done.returncode == 2:
        lines = done.stderr.rstrip("\n").splitlines()[-2:]
        if len(lines) < 2 or not lines[0].startswith("error: ") or not lines[1].startswith(" hint"):
            raise Fault("status 2 without two lines, error and hint")
        if len(lines[0]) < 12 or len(lines[1]) < 10:
            raise Fault("an error or a hint without words")


def check_nothing_lost(plan: Undisturbed, folder: Path, killed: bool) -> None:
    """Files of before are as they were or as they will be; new ones are whole."""
    there = snapshot(folder)
    for name, data in plan.before.items():
        known = [data, plan.after.get(name)]
        if name in there and there[name] not in known and not GROWING.search(name):
            raise Fault(f"{name} was changed")
        if name not in there and name in plan.after:
            raise Fault(f"{name} was lost")
    for name in there.keys() - plan.before.keys() if not plan.job.discards else ():
        growing = (WRITTEN_AGAIN if killed else GROWING).search(name)
        if there[name] != plan.after.get(name) and not growing and not PARTIAL.search(name):
            raise Fault(f"{name} is not what an undisturbed run writes")


def check_again(plan: Undisturbed, folder: Path) -> None:
    """The job once more, undisturbed, ends well and as it should."""
    again = call(plan.job.command, folder)
    if again.returncode:
        raise Fault(f"the same command again gives {again.returncode}: {again.stderr}")
    check_end(plan, folder, again)


def check_end(
    plan: Undisturbed,
    folder: Path,
    done: subprocess.CompletedProcess[str],
    allow_partial: bool = False,
) -> None:
    """All files are those of an undisturbed run, to the byte, and there are no others."""
    there = snapshot(folder)
    for name in [name for name in there if INDEX.search(name) and name not in plan.after]:
        beside = f"tars/.cog-index/{Path(name).name}"
        there.setdefault(beside, plan.after.get(beside, b""))
        del there[name]
    if allow_partial:  # one that could not be removed, and an index that could not be kept
        there = {name: data for name, data in there.items() if not PARTIAL.search(name)}
        there |= {name: data for name, data in plan.after.items() if GROWING.search(name)
                  and ".cog-index" in name}  # fmt: skip
    for name in sorted(there.keys() | plan.after.keys()):
        if name not in there:
            raise Fault(f"{name} is missing after status 0")
        if name not in plan.after:
            raise Fault(f"{name} is left over after status 0")
        if there[name] != plan.after[name]:
            raise Fault(f"{name} differs from that of an undisturbed run after status 0")
    if plan.job.says and done.stdout != plan.said:
        raise Fault(f"it says {done.stdout[:500]!r}, undisturbed {plan.said[:500]!r}")
