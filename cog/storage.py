"""Storage paths: a folder on disk, or a URL of object storage such as s3://bucket/runs.

`storage_path` makes either from text. A `Url` has those methods of `pathlib.Path` that runs need:
code that joins, reads and lists, and writes through this module, works on both.

- A file is whole or absent. On disk it is first a partial file, whose name says which process of
  which machine writes it, and is then renamed; so it is known whether a partial file is left over
  from a kill. An object at a URL appears when its upload ends.
- fsspec reaches object storage; the extra `[cloud]` installs it with s3fs. It finds server and
  credentials as other AWS programs do: AWS_ENDPOINT_URL, AWS_PROFILE, AWS_ACCESS_KEY_ID, …
"""

from __future__ import annotations

import csv
import io
import os
import platform
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cog.errors import CogError

if TYPE_CHECKING:
    import pandas as pd

LONGEST_NAME = 120  # file systems take 255 bytes, and suffixes are added
ABANDONED_SECONDS = 3600  # after so long without a change, an unknown writer's file is left over
_PARTIAL = re.compile(r"\..+\.(?P<machine>[\w-]+)\.(?P<pid>\d+)\.[0-9a-f]{8}\.partial")


@dataclass(frozen=True, order=True)
class Url:
    """A path in object storage; a folder is there as soon as something is in it."""

    text: str

    def __str__(self) -> str:
        """The URL."""
        return self.text

    def __truediv__(self, name: str) -> Url:
        """The URL of something below."""
        return Url(f"{self.text}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.text.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its ending."""
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        """The ending of the last part."""
        return Path(self.name).suffix

    @property
    def parent(self) -> Url:
        """The URL without its last part."""
        return Url(self.text.rpartition("/")[0])

    def exists(self) -> bool:
        """Whether there is an object, or anything below."""
        files, path = _filesystem(self)
        return bool(files.exists(path))

    def is_file(self) -> bool:
        """Whether there is an object."""
        files, path = _filesystem(self)
        return bool(files.isfile(path))

    def is_dir(self) -> bool:
        """Whether there is anything below."""
        files, path = _filesystem(self)
        return bool(files.isdir(path))

    def read_bytes(self) -> bytes:
        """The content of the object; FileNotFoundError where there is none."""
        files, path = _filesystem(self)
        return bytes(files.cat_file(path))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The content of the object as text."""
        return self.read_bytes().decode(encoding)

    def glob(self, pattern: str) -> Iterator[Url]:
        """The URLs below that match a pattern."""
        files, path = _filesystem(self)
        for found in files.glob(f"{path}/{pattern}"):
            yield self / found.removeprefix(f"{path}/")

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        files, path = _filesystem(self)
        if not missing_ok:
            files.info(path)
        with suppress(FileNotFoundError):
            files.rm_file(path)


StoragePath = Path | Url


def storage_path(text: str | StoragePath) -> StoragePath:
    """A path, or a URL where the text has a scheme.

    >>> storage_path("s3://bucket/runs/") / "dino"
    Url(text='s3://bucket/runs/dino')
    >>> storage_path("runs") == Path("runs")
    True
    """
    if isinstance(text, str) and "://" in text:
        return Url(text.rstrip("/"))
    return Path(text) if isinstance(text, str) else text


def _filesystem(url: Url) -> tuple[Any, str]:
    """The fsspec file system of a URL, without a cache of listings, and the path in it.

    Raises:
        CogError: fsspec or the package for this kind of URL is not installed.
    """
    try:
        from fsspec.core import url_to_fs

        files, path = url_to_fs(str(url), use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise CogError(
            f"{url} cannot be reached: {error}", "install it: pip install 'imagenet-cog[cloud]'"
        ) from error
    return files, path


def write_text(path: StoragePath, text: str) -> None:
    """Write `text` (UTF-8) to `path`; a reader sees the old file or the new one."""
    write_bytes(path, text.encode())


def write_bytes(path: StoragePath, data: bytes | memoryview) -> None:
    """Write `data` to `path`; a reader sees the old file or the new one."""
    if isinstance(path, Url):
        files, name = _filesystem(path)
        files.pipe_file(name, bytes(data))
        return
    with partial_file(path) as partial:
        partial.write_bytes(data)


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


def rows_as_csv(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV, lines ended by a newline alone; None is an empty field.

    >>> rows_as_csv([["model", "top1"], ["a,b", None]])
    'model,top1\\n"a,b",\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def table_as_csv(table: pd.DataFrame) -> str:
    """A table as CSV without its index, lines ended by a newline alone; missing is empty."""
    return table.to_csv(index=False, lineterminator="\n")


def create_object(url: Url, data: bytes) -> bool:
    """Write an object that is not there yet; where there is one, give False and do nothing.

    Of several writers at once, one succeeds: the server decides (a conditional PUT).
    """
    files, name = _filesystem(url)
    try:
        files.pipe_file(name, data, mode="create")
    except FileExistsError:
        return False
    return True


def files_below(folder: StoragePath) -> dict[str, int]:
    """Relative name (with /) → bytes of every file below `folder`, none if it is not there.

    For a URL that is one listing, not a request a file.
    """
    if isinstance(folder, Url):
        files, root = _filesystem(folder)
        found = files.find(root, detail=True)
        return {name.removeprefix(f"{root}/"): found[name]["size"] for name in sorted(found)}
    sizes = {}
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # removed since it was listed
            if path.is_file():
                sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
    return sizes


def remove_objects(folder: Url) -> None:
    """Remove everything below a URL."""
    files, root = _filesystem(folder)
    with suppress(FileNotFoundError):
        files.rm(root, recursive=True)


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


def safe_name(text: str) -> str:
    """The name of a model run's folder: `text` with only characters that any file system takes.

    >>> safe_name("timm:resnet18")
    'timm-resnet18'
    >>> safe_name("nets/my net.py:load")
    'nets-my-net.py-load'

    Raises:
        CogError: nothing is left.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:LONGEST_NAME].rstrip(".-")
    if not name:
        raise CogError(f"{text!r} leaves no usable name", "give --name with letters or digits")
    return name
