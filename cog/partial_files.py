"""Files that are whole or absent: made under a partial file's name, which says who makes it.

The name says which process of which machine writes; so it is known whether a partial file is left
over from a kill, and `clear_partial` removes what nobody writes any more.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

ABANDONED_SECONDS = 3600  # after so long without a change, an unknown writer's file is left over
_PARTIAL = re.compile(r"\..+\.(?P<machine>[\w-]+)\.(?P<pid>\d+)\.[0-9a-f]{8}\.partial")


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """A path beside `path` for a file or folder to be made; renamed to `path` when the block ends.

    Removed when the block raises. An OSError then names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_name(path)
    try:
        yield partial
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):  # none was made, or the disk turned read-only
            _remove(partial)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@cache
def _machine() -> str:
    """The name of this machine and its process namespace: containers may share the name."""
    try:
        namespace = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:  # not Linux
        namespace = ""
    return re.sub(r"[^\w-]", "-", f"{platform.node()}-{namespace}")


def partial_name(path: Path) -> Path:
    """A new hidden name beside `path`: .NAME.MACHINE.PROCESS.RANDOM.partial."""
    return path.with_name(f".{path.name}.{_machine()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.partial")


def clear_partial(paths: Iterator[Path]) -> int:
    """Remove those of the `paths` (partial files and folders) that nobody writes any more.

    One of this machine is removed when its process has ended; one of another machine, or with a
    name that this module did not give, when it has not changed for an hour. Gives how many.
    """
    abandoned = [path for path in paths if _is_abandoned(path)]
    for path in abandoned:
        _remove(path)
    return len(abandoned)


def _is_abandoned(path: Path) -> bool:
    writer = _PARTIAL.fullmatch(path.name)
    if writer and writer["machine"] == _machine() and not _is_running(int(writer["pid"])):
        return True
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_SECONDS
    except FileNotFoundError:
        return False


def _is_running(pid: int) -> bool:
    """Whether a process of this machine has that number; yes where that cannot be found out."""
    if sys.platform == "win32":  # os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:  # a process of another user raises PermissionError
        return not isinstance(error, ProcessLookupError)
    return True
