"""Files that are whole or absent: made under a partial file's name, which says who makes it.

Every file and folder that this package writes comes from `partial_file`. The name says which
process of which machine writes; so it is known whether a partial file is left over from a kill.

Those are swept up where files are written: a process that writes its first file into a folder
removes what nobody writes there any more. Only names that `partial_name` gives are removed so, as
the folder may be anybody's.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

ABANDONED_SECONDS = 3600  # after so long without a change, an unknown writer's file is left over
_PARTIAL = re.compile(r"\..+\.(?P<machine>[\w-]+)\.(?P<pid>\d+)\.[0-9a-f]{8}\.partial")
_swept: set[Path] = set()  # the folders that this process has swept


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """A path beside `path` for a file or folder to be made; renamed to `path` when the block ends.

    Removed when the block raises. An OSError then names `path`. The first of a folder removes what
    killed processes left there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.absolute()
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)
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
    is_folder = path.is_dir() and not path.is_symlink()
    shutil.rmtree(path) if is_folder else path.unlink(missing_ok=True)


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


def is_partial(path: Path) -> bool:
    """Whether a path has a name of `partial_name`."""
    return _PARTIAL.fullmatch(path.name) is not None


def sweep(folder: Path) -> int:
    """Remove the partial files and folders in `folder` that nobody writes any more; gives how many.

    A folder that is not there, or cannot be listed or changed, is left as it is.
    """
    try:
        return clear_partial(path for path in folder.iterdir() if is_partial(path))
    except OSError:
        return 0


def clear_partial(paths: Iterable[Path]) -> int:
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
        return time.time() - path.lstat().st_mtime > ABANDONED_SECONDS
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
    except OverflowError:  # no process has such a number
        return False
    return True
