"""The n-th system call on the files of a folder fails, or ends the process, in a forked child."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path

SOURCE = Path(__file__).with_name("failing_calls.c")
KINDS = ("open", "read", "write", "mkdir", "rename", "unlink", "list", "send")
ACTIONS = ("fail", "fail from then on", "kill before", "kill after", "signal")
STRUCK, COUNTED = ".struck", ".counted"  # what was struck; how many calls of each kind there were


@cache
def library() -> Path | None:
    """The library to preload, compiled for this process; None without a C compiler or on no Linux.

    It is a file of its own, as compilers and systems differ, and stays until this process ends.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or os.uname().sysname != "Linux":
        return None
    folder = Path(tempfile.mkdtemp(prefix="cog-torture-"))
    Finalize(None, shutil.rmtree, (folder, True), exitpriority=0)
    made = folder / "failing_calls.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", made, SOURCE, "-ldl"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    return made if done.returncode == 0 else None


@dataclass(frozen=True)
class Strike:
    """What happens to one call: the `number`-th of these `kinds` (from 1; 0: none).

    `error`: the name of the error with which it fails, or of the signal that comes.
    """

    kinds: tuple[str, ...] = ()
    number: int = 0
    action: str = "fail"
    error: str = "EIO"

    def __str__(self) -> str:
        """In words."""
        what = self.action if "kill" in self.action else f"{self.action} {self.error}"
        return f"{what}: {' or '.join(self.kinds)} number {self.number}"

    def arm(self, folder: Path) -> None:
        """Begin to count the calls of this process; to be called in a child that preloads."""
        calls = ctypes.CDLL(None)
        kinds = sum(1 << KINDS.index(kind) for kind in self.kinds)
        log = os.open(folder / STRUCK, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        counted = os.open(folder / COUNTED, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        names = signal if self.action == "signal" else errno
        action, error = ACTIONS.index(self.action), int(getattr(names, self.error))
        calls.cog_arm(os.fsencode(folder), kinds, self.number, action, error, log)

        def count() -> None:
            text = " ".join(str(calls.cog_count(kind)) for kind in range(len(KINDS)))
            os.write(counted, text.encode())

        Finalize(None, count, exitpriority=-1000)  # the last thing that the child does


def counted_calls(folder: Path) -> dict[str, int]:
    """How many calls of each kind the child made that has ended."""
    return dict(zip(KINDS, map(int, (folder / COUNTED).read_text().split()), strict=True))


def struck_call(folder: Path) -> str:
    """The call that failed or ended the child, in words; empty if it was not reached."""
    text = (folder / STRUCK).read_text().strip()
    kind, _, path = text.partition(" ")
    return f"{KINDS[int(kind)]} {path}" if text else ""
