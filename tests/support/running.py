"""Processes by their numbers: who is there, whose child; and processes that start as forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from cog import processes
from cog.interruption import WORDS
from tests.support import forked
from tests.support.runs import HANGS_SECONDS


def heeding() -> None:
    """In a child: no signal is ignored, as some are in the background of a script or by nohup."""
    for name in WORDS:
        signal.signal(signal.Signals[name], signal.SIG_DFL)


def status_of(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name: state, parent, …; none if there is no such."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def is_there(pid: int) -> bool:
    """Whether any thread of a process runs; one that has ended and was not waited for does not.

    The first thread of a process that is killed may end before the others, which hold its files.
    """
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            if thread.read_text().rpartition(")")[2].split()[0] not in "ZX":
                return True
        except OSError:  # it has ended
            continue
    return False


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, and that run."""
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [each for each in numbers if is_there(each) and status_of(each)[1] == str(pid)]


def descendants_of(pid: int) -> list[int]:
    """Its children, their children, and so on."""
    children = children_of(pid)
    return [*children, *(each for child in children for each in descendants_of(child))]


def await_end(*pids: int) -> None:
    """Wait until processes are gone."""
    begun = time.monotonic()
    while any(map(is_there, pids)):
        assert time.monotonic() - begun < HANGS_SECONDS
        time.sleep(0.02)


class Forked:
    """What `cog.processes.start` gives, but of a fork that has imported everything already."""

    def __init__(self, process: ForkServerProcess, stdin: Connection) -> None:
        self.process, self.stdin, self.pid = process, stdin, process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        status = self.process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired("a fork", timeout or 0)
        return status


def fork(target: str, *descriptors: int) -> Forked:
    """`cog.processes.start`, at once."""
    read, write = Pipe(duplex=False)
    pipes = [Connection(os.dup(each), readable=True) for each in descriptors]
    process = forked.start(_run, target, read, pipes, sys.path)
    for each in (read, *pipes):
        each.close()
    return Forked(process, write)


def _run(target: str, stdin: Connection, pipes: list[Connection], path: list[str]) -> None:
    os.dup2(stdin.fileno(), 0)
    stdin.close()
    sys.path[:] = path
    processes.run(target, [os.dup(pipe.fileno()) for pipe in pipes], watched=True)
