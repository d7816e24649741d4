"""Object storage by fsspec: a URL that is used as a path on disk is.

The extra `[cloud]` installs fsspec with s3fs. It finds server and credentials as other AWS programs
do: AWS_ENDPOINT_URL, AWS_PROFILE, AWS_ACCESS_KEY_ID, …
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cog.errors import CogError

ATTEMPTS, ROUNDS = 5, 1  # of a request: a server that starts again within seconds is waited for
_LIBRARIES = ("aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "s3fs")
_HINTS = {  # what errors say, in small letters: what to do
    "profile": "check AWS_PROFILE, or unset it",
    "bucket does not exist": "make that bucket, or give another URL",
    "nosuchbucket": "make that bucket, or give another URL",
    "endpoint:": "give AWS_ENDPOINT_URL as http://HOST:PORT or https://HOST, or unset it",
    "bucket name": "give s3://BUCKET/FOLDER",
    "credentials": "give AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "forbidden": "check the credentials and their rights: AWS_PROFILE, AWS_ACCESS_KEY_ID, …",
    "denied": "check the credentials and their rights: AWS_PROFILE, AWS_ACCESS_KEY_ID, …",
}
_AGAIN = (
    "check the connection and AWS_ENDPOINT_URL; finished work is kept, and the same command goes on"
)


class NotReached(CogError):
    """The storage refused, or the way there ended: this says nothing about what lies there."""


@contextmanager
def reaching(url: Url, writing: bool = False) -> Iterator[None]:
    """Within it, what the storage or the way there refuses becomes a NotReached.

    FileNotFoundError stays what it is; where something is written, it means that there is no
    bucket.
    """
    try:
        yield
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise
    except Exception as error:
        absent = isinstance(error, FileNotFoundError)
        library = type(error).__module__.partition(".")[0] in _LIBRARIES
        library = library or (isinstance(error, ValueError) and _raised_in(error) in _LIBRARIES)
        if (absent and not writing) or not (library or isinstance(error, OSError)):
            raise
        raise _unreached(url, error) from error


def _raised_in(error: Exception) -> str:
    """The package that raised an error: settings that cannot be are a plain ValueError."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _unreached(url: Url, error: Exception) -> NotReached:
    reason = " ".join(str(error).split()) or type(error).__name__
    words = f"{type(error).__name__} {reason}".lower()
    if isinstance(error, PermissionError):
        words += " forbidden"
    hint = next((hint for part, hint in _HINTS.items() if part in words), _AGAIN)
    return NotReached(f"{url} cannot be reached: {reason}", hint)


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
        return self._kind() is not None

    def is_file(self) -> bool:
        """Whether there is an object."""
        return self._kind() == "file"

    def is_dir(self) -> bool:
        """Whether there is anything below."""
        return self._kind() == "directory"

    def _kind(self) -> str | None:
        """What is there: file or directory; None if nothing."""
        with reaching(self), suppress(FileNotFoundError):
            files, path = _filesystem(self)
            return str(files.info(path)["type"])
        return None

    def read_bytes(self) -> bytes:
        """The content of the object; FileNotFoundError where there is none."""
        with reaching(self):
            files, path = _filesystem(self)
            return bytes(files.cat_file(path))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The content of the object as text."""
        return self.read_bytes().decode(encoding)

    def glob(self, pattern: str) -> Iterator[Url]:
        """The URLs below that match a pattern."""
        with reaching(self):
            files, path = _filesystem(self)
            everything = files.glob(f"{path}/{pattern}")
        for found in everything:
            yield self / found.removeprefix(f"{path}/")

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        with reaching(self):
            files, path = _filesystem(self)
            if not missing_ok:
                files.info(path)
            with suppress(FileNotFoundError):
                files.rm_file(path)

    def write_bytes(self, data: bytes | memoryview) -> None:
        """Write the object; it appears when its upload ends."""
        with reaching(self, writing=True):
            files, path = _filesystem(self)
            files.pipe_file(path, bytes(data))

    def sizes_below(self) -> dict[str, int]:
        """Relative name (with /) → bytes of every object below, by one listing."""
        with reaching(self):
            files, root = _filesystem(self)
            found = files.find(root, detail=True)
        return {name.removeprefix(f"{root}/"): found[name]["size"] for name in sorted(found)}


def create_object(url: Url, data: bytes) -> bool:
    """Write an object that is not there yet; where there is one, give False and do nothing.

    Of several writers at once, one succeeds: the server decides (a conditional PUT).
    """
    try:
        with reaching(url, writing=True):
            files, name = _filesystem(url)
            files.pipe_file(name, data, mode="create")
    except FileExistsError:
        return False
    return True


def remove_objects(folder: Url) -> None:
    """Remove everything below a URL."""
    with reaching(folder), suppress(FileNotFoundError):
        files, root = _filesystem(folder)
        files.rm(root, recursive=True)


def _filesystem(url: Url) -> tuple[Any, str]:
    """The fsspec file system of a URL, without a cache of listings, and the path in it.

    Raises:
        CogError: fsspec or the package for this kind of URL is not installed.
    """
    try:
        from fsspec.core import url_to_fs

        files, path = url_to_fs(str(url), **storage_options(url))
    except ImportError as error:
        own = url.text.startswith(("s3:", "s3a:"))
        hint = "install it: pip install 'imagenet-cog[cloud]'" if own else "install that package"
        raise CogError(f"{url} cannot be reached: {error}", hint) from error
    except ValueError as error:
        what = f"{url} cannot be reached: {error}"
        raise CogError(what, "give s3://BUCKET/FOLDER, or a folder on this machine") from error
    bound(files)
    return files, path


def storage_options(url: Url) -> dict[str, Any]:
    """What fsspec is told: no cache of listings, and how often botocore tries a request."""
    options: dict[str, Any] = {"use_listings_cache": False}
    own = {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"}.isdisjoint(os.environ)
    if own and url.text.startswith(("s3:", "s3a:")):
        retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
        options["config_kwargs"] = {"retries": retries}
    return options


def bound(files: Any) -> None:
    """Let a file system of s3fs, which tries what botocore tries once more, do so ROUNDS times."""
    if hasattr(files, "retries"):
        files.retries = ROUNDS
