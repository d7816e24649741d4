"""Storage paths: a folder on disk, or a URL of object storage such as s3://bucket/runs.

`storage_path` makes either from text. A `Url` has those methods of `pathlib.Path` that runs need:
code that joins, reads and lists, and writes through this module, works on both.

A file is whole or absent: on disk it is first a partial file (cog/partial_files.py) and is then
renamed; an object at a URL appears when its upload ends.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from cog.errors import CogError
from cog.object_storage import Url
from cog.partial_files import partial_file

LONGEST_NAME = 120  # file systems take 255 bytes, and suffixes are added
StoragePath = Path | Url


def storage_path(text: str | StoragePath) -> StoragePath:
    """A path, or a URL where the text has a scheme; file:// is a path.

    Raises:
        CogError: a URL without a bucket.

    >>> storage_path("s3://bucket/runs/") / "dino"
    Url(text='s3://bucket/runs/dino')
    >>> storage_path("runs") == Path("runs")
    True
    """
    if isinstance(text, str) and "://" in text:
        scheme, _, place = text.partition("://")
        if scheme == "file":
            return Path(place)
        if not place or place.startswith("/"):
            raise CogError(f"{text} names no bucket", "give s3://BUCKET/FOLDER, or a folder")
        return Url(text.rstrip("/"))
    return Path(text) if isinstance(text, str) else text


def cache_folder(name: str) -> Path:
    """A folder of what can be made or fetched again: in COG_HOME, or in the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("COG_HOME") or user_cache_dir("cog")) / name


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    folder = path.absolute()
    return next(each for each in (folder, *folder.parents) if each.exists())


def write_text(path: StoragePath, text: str) -> None:
    """Write `text` (UTF-8) to `path`; a reader sees the old file or the new one."""
    write_bytes(path, text.encode())


def write_bytes(path: StoragePath, data: bytes | memoryview) -> None:
    """Write `data` to `path`; a reader sees the old file or the new one.

    A pipe or a device (/dev/stdout, /dev/null) is written to; nothing takes its place.
    """
    if isinstance(path, Url):
        path.write_bytes(data)
        return
    if _is_stream(path):
        with path.open("wb") as stream:
            stream.write(data)
        return
    with partial_file(path) as partial:
        partial.write_bytes(data)


def _is_stream(path: Path) -> bool:
    """Whether something is there that is no file of a disk, and no folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def files_below(folder: StoragePath) -> dict[str, int]:
    """Relative name (with /) → bytes of every file below `folder`, none if it is not there.

    For a URL that is one listing, not a request a file.
    """
    if isinstance(folder, Url):
        return folder.sizes_below()
    sizes = {}
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # removed since it was listed
            if path.is_file():
                sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
    return sizes


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
