"""Odd environments: few open files, little memory, closed outputs, no home, other locales."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from tests.torture.disturbed import check_again, check_answer, check_end, planner
from tests.torture.harness import Attack, Attempt, Fault
from tests.torture.jobs import JOBS, Job, call, make_benchmark

MEGABYTE = 1 << 20
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Environment:
    """What is set before a command runs.

    Args:
        before: is called in the process, after the imports.
        variables: are set; an empty one is removed.
        fresh: only a process that starts anew sees them.
        silent: what it says on stderr cannot be read.
        redirected: what a shell does to its streams; only a fresh process sees that too.
    """

    before: Callable[[], object] = int
    variables: dict[str, str] = field(default_factory=dict)
    fresh: bool = False
    silent: bool = False
    redirected: str = ""


def _limit(kind: int, most: int) -> None:
    resource.setrlimit(kind, (most, most))


def _limit_memory(more: int) -> None:
    """`ulimit -v`: what is mapped now, and some more."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, mapped + more)


def _output_to(name: str, numbers: tuple[int, ...]) -> None:
    target = os.open(name, os.O_WRONLY)
    for number in numbers:
        os.dup2(target, number)


def _closed_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    sys.stdout = open(1, "w", closefd=False)  # the old one takes it for a file  # noqa: SIM115


def _without_cwd() -> None:
    Path("gone").mkdir()
    os.chdir("gone")
    Path("../gone").rmdir()


def _encoding(name: str) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding=name, errors="strict")  # type: ignore[union-attr]


ENVIRONMENTS: dict[str, Environment] = {
    **{f"ulimit -n {n}": Environment(partial(_limit, resource.RLIMIT_NOFILE, n))
       for n in (64, 32, 20)},
    **{f"ulimit -v, {n} MB more": Environment(partial(_limit_memory, n * MEGABYTE))
       for n in (1, 16, 64, 256, 1024)},
    **{f"ulimit -f {n} bytes": Environment(partial(_limit, resource.RLIMIT_FSIZE, n),
                                           silent=n < 4000)  # stderr is a file too
       for n in (100, 1000, 4000, 100_000)},
    "stdin closed": Environment(fresh=True, redirected="<&-"),
    "stdout closed": Environment(fresh=True, redirected=">&-"),
    "stderr closed": Environment(fresh=True, redirected="2>&-", silent=True),
    "all closed": Environment(fresh=True, redirected="<&- >&- 2>&-", silent=True),
    "stdout full": Environment(partial(_output_to, "/dev/full", (1,))),
    "stderr full": Environment(partial(_output_to, "/dev/full", (2,)), silent=True),
    "both full": Environment(partial(_output_to, "/dev/full", (1, 2)), silent=True),
    "stdout a closed pipe": Environment(_closed_pipe),
    "HOME unset": Environment(variables={"HOME": "", "COG_HOME": ""}),
    "HOME missing": Environment(variables={"HOME": "/nowhere/at/all", "COG_HOME": ""}),
    "HOME a file": Environment(variables={"HOME": "/dev/null", "COG_HOME": ""}),
    "HOME not writable": Environment(variables={"HOME": "/proc/self", "COG_HOME": ""}),
    "umask 0": Environment(partial(os.umask, 0)),
    "umask 077": Environment(partial(os.umask, 0o077)),
    "umask 777": Environment(partial(os.umask, 0o777)),
    "SIGPIPE as in C": Environment(partial(signal.signal, signal.SIGPIPE, signal.SIG_DFL)),
    "SIGINT ignored": Environment(partial(signal.signal, signal.SIGINT, signal.SIG_IGN)),
    "one column": Environment(variables={"COLUMNS": "1", "LINES": "1"}),
    "TERM unknown": Environment(variables={"TERM": "nothing", "FORCE_COLOR": "1"}),
    "time zone": Environment(variables={"TZ": "Pacific/Kiritimati"}),
    "time zone wrong": Environment(variables={"TZ": "No/Where"}),
    "output in ASCII": Environment(partial(_encoding, "ascii")),
    "output in Latin-1": Environment(partial(_encoding, "latin-1")),
    "folder gone": Environment(_without_cwd),
    "locale C, no UTF-8": Environment(
        variables={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, fresh=True),
    "locale Turkish": Environment(variables={"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
                                  fresh=True),
    "output encoding ASCII": Environment(variables={"PYTHONIOENCODING": "ascii"}, fresh=True),
    "python -O": Environment(variables={"PYTHONOPTIMIZE": "2"}, fresh=True),
    "warnings are errors": Environment(variables={"PYTHONWARNINGS": "error::BytesWarning"},
                                       fresh=True),
    "fresh HOME unset": Environment(variables={"HOME": "", "COG_HOME": ""}, fresh=True),
}  # fmt: skip
IN_THEM = tuple(JOBS[name] for name in (
    "evaluate", "results", "build-levels", "check-data", "export", "results as text", "probe",
    "levels check", "store verify", "evaluate tars",
))  # fmt: skip


def _prepare(folder: Path) -> Attempt:
    benchmark = make_benchmark(folder / "benchmark")
    plan, names = planner(benchmark, folder), [*ENVIRONMENTS]

    def attempt(rng: np.random.Generator, number: int, where: Path) -> str:
        turn, index = divmod(number, len(names))
        name, job = names[index], IN_THEM[(turn + index) % len(IN_THEM)]
        environment, expected = ENVIRONMENTS[name], plan(job, where)
        shutil.copytree(benchmark, where, symlinks=True, dirs_exist_ok=True)
        done = _run(job, environment, where)
        try:
            _judge(done, environment)
            if done.returncode == 0 and "closed" not in name and "full" not in name:
                own_bytes = any(word in name for word in ("ASCII", "Latin-1", "no UTF-8"))
                said = done.stdout if own_bytes else expected.said
                check_end(replace(expected, said=said), where, done)
            check_again(expected, where)
        except Fault as fault:
            said = f"status {done.returncode}, stderr: {done.stderr[-1500:]}"
            raise Fault(f"{name}, {job.name}: {fault}\n{said}") from fault
        return f"{name}: status {done.returncode}"

    return attempt


def _run(job: Job, environment: Environment, where: Path) -> subprocess.CompletedProcess[str]:
    """The command in that environment, forked where that is enough."""
    if not environment.fresh:
        return call(job.command, where, environment.before, **environment.variables)
    variables = os.environ | {"COG_HOME": str(where / "cog-home"), "PYTHONPATH": str(ROOT)}
    variables = {k: v for k, v in (variables | environment.variables).items() if v}
    words = shlex.join([sys.executable, "-m", "cog", *job.command.split()])
    return subprocess.run(
        ["sh", "-c", f"exec {words} {environment.redirected}"], cwd=where, env=variables,
        capture_output=True, text=True, errors="replace", timeout=600,
    )  # fmt: skip


def _judge(done: subprocess.CompletedProcess[str], environment: Environment) -> None:
    """As any answer; where stderr cannot be read, only its status."""
    if not environment.silent:
        check_answer(done)
    elif done.returncode not in (0, 1, 2):
        raise Fault(f"status {done.returncode}")


ODD_ENVIRONMENTS = Attack("environments", "few open files, little memory, small files, closed "
                             "and full outputs, no home, umasks, locales, time zones", 1,
                             _prepare)  # fmt: skip
