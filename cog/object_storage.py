"""Object storage by fsspec: a URL that is used as a path on disk is.

The extra `[cloud]` installs fsspec with s3fs. It finds server and credentials as other AWS programs
do: AWS_ENDPOINT_URL, AWS_PROFILE, AWS_ACCESS_KEY_ID, …
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cog.errors import CogError


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

    def write_bytes(self, data: bytes | memoryview) -> None:
        """Write the object; it appears when its upload ends."""
        files, path = _filesystem(self)
        files.pipe_file(path, bytes(data))

    def sizes_below(self) -> dict[str, int]:
        """Relative name (with /) → bytes of every object below, by one listing."""
        files, root = _filesystem(self)
        found = files.find(root, detail=True)
        return {name.removeprefix(f"{root}/"): found[name]["size"] for name in sorted(found)}


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


def remove_objects(folder: Url) -> None:
    """Remove everything below a URL."""
    files, root = _filesystem(folder)
    with suppress(FileNotFoundError):
        files.rm(root, recursive=True)


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
