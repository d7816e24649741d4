"""Processes that start at once: forks of a server that has imported everything already.

For tests of what only a process has: kills, signals, exit statuses, several workers at once. To
import torch and the libraries around it costs six seconds of processor time; a fork costs none.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from unittest import mock

from tests.support.failing_calls import library
from tests.support.runs import HANGS_SECONDS

ROOT = Path(__file__).parents[2]
PRELOADED = [
    "cog.cli.main", "cog.cli.terminal", "cog.evaluation.evaluate", "cog.models.load", "optuna",
    "pyarrow.parquet", "scipy.stats", "tests.support.runs",
]  # fmt: skip


@cache
def _server() -> ForkServerContext:
    """The server of this test process. It imports from this checkout, wherever the test is."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    preload = {"LD_PRELOAD": str(library())} if library() else {}
    with mock.patch.dict(os.environ, {"PYTHONPATH": path} | preload):
        forkserver.ensure_running()
    return context


def start(function: Callable[..., object], *arguments: object) -> ForkServerProcess:
    """Call a function of a module in a process of its own, which is started and returned."""
    process = _server().Process(target=function, args=arguments)
    process.start()
    return process


@dataclass(frozen=True)
class Started:
    """A run of `cog` that was started; what it prints goes to two files."""

    process: ForkServerProcess
    words: list[str]
    files: tuple[Path, Path]

    def ended(self) -> subprocess.CompletedProcess[str]:
        """Wait for the end: the exit status (−n where signal n ended it) and what was printed."""
        self.process.join(HANGS_SECONDS)
        status = self.process.exitcode
        assert status is not None, f"still running: {self.words}"
        said = (
            path.read_text(errors="replace") if path.exists() else ""  # killed early
            for path in self.files
        )
        return subprocess.CompletedProcess(self.words, status, *said)


def start_cog(
    *arguments: object,
    cwd: Path,
    before: Callable[[], object] = int,
    number: int = 0,
    **environment: str,
) -> Started:
    """Start `cog` as a user does, in a process of its own, which first calls `before`.

    Of several that run at once in one folder, each has a `number`.
    """
    files = cwd / f".stdout-{number}", cwd / f".stderr-{number}"
    words = ["cog", *map(str, arguments)]
    variables = os.environ | {"COG_HOME": str(cwd / "cog-home")} | environment
    return Started(start(_call, words, cwd, variables, files, before), words, files)


def _call(
    words: list[str],
    cwd: Path,
    environment: dict[str, str],
    files: tuple[Path, Path],
    before: Callable[[], object],
) -> None:
    from cog.cli.main import run

    os.environ.clear()
    os.environ.update({name: value for name, value in environment.items() if value})
    os.chdir(cwd)
    for stream, path in zip((sys.stdout, sys.stderr), files, strict=True):
        with path.open("w") as file:
            os.dup2(file.fileno(), stream.fileno())
    # where the tests run in the background of a script, SIGINT is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = words
    before()
    run()
