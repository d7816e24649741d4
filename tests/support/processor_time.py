"""Processor time: unlike the clock, it does not count what else the machine does."""

from __future__ import annotations

import resource
import subprocess
import sys


def child_seconds() -> float:
    """Of all child processes that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def least_seconds_of(*words: object, times: int = 5) -> float:
    """The least that `python -m …` needed of several runs: caches are cold in the first."""
    seconds = []
    for _ in range(times):
        before = child_seconds()
        command = [sys.executable, "-m", *map(str, words)]
        subprocess.run(command, capture_output=True, check=True)
        seconds.append(child_seconds() - before)
    return min(seconds)
