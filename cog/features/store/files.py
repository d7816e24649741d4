"""The files of a feature store: how they are made, removed and cleared; cog/features/store/store.py
says which.
"""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import Store
from zarr.codecs import Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.errors import ContainsArrayError
from zarr.storage import FsspecStore, LocalStore

from cog.errors import CogError
from cog.storage import (
    StoragePath,
    Url,
    clear_partial,
    create_object,
    partial_name,
    remove_objects,
    write_bytes,
    write_text,
)

LAYOUT = 2  # raised when files lie otherwise; 1 kept the reasons of all chunks in one attribute
_CLAIM = Path("labels", "claim.json")


class WholeFiles(LocalStore):
    """Zarr's store of files, but the names of partial files say who writes them."""

    async def set(self, key: str, value: Buffer) -> None:
        """Write one file."""
        self._check_writable()
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Write one file, now."""
        write_bytes(self.root / key, value.as_numpy_array().data)


def open_group(path: StoragePath, mode: Literal["r", "r+"] = "r") -> zarr.Group:
    """The Zarr group of a store; FileNotFoundError where there is none."""
    if isinstance(path, Path) and not path.is_dir():  # Zarr would make a folder to write to
        raise FileNotFoundError(path)
    return zarr.open_group(_zarr_store(path), mode=mode, zarr_format=3)


def array_of(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """An array of the group."""
    return cast("zarr.Array[Any]", group[name])


def _zarr_store(path: StoragePath) -> Store:
    if isinstance(path, Url):
        return FsspecStore.from_url(str(path), storage_options={"use_listings_cache": False})
    return WholeFiles(path)


def is_there(path: StoragePath) -> bool:
    """Whether a store, or on disk anything else, is at `path`."""
    return (path / "zarr.json").exists() if isinstance(path, Url) else path.exists()


def create_files(
    path: StoragePath,
    labels: NDArray[np.int64],
    dim: int,
    dtype: str,
    chunk_rows: int,
    fingerprint: dict[str, Any],
) -> None:
    """Make an empty store at `path`, unless another worker does: then that one stays.

    Raises:
        CogError: what is at the URL is half removed.
    """
    if isinstance(path, Url):
        claim = _claim(path, {"fingerprint": fingerprint, "chunk_rows": chunk_rows})
        _lay_out(path, labels, dim, dtype, claim["chunk_rows"], claim["fingerprint"])
        return
    clear_beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_name(path)
    try:
        _lay_out(temporary, labels, dim, dtype, chunk_rows, fingerprint)
        temporary.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # what a quicker worker leaves
            error.filename = str(path)  # not the hidden one, which goes
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _claim(url: Url, claim: dict[str, Any]) -> dict[str, Any]:
    """Fix what the store at `url` is to be; gives what the first worker to come fixed."""
    file = url / _CLAIM.as_posix()
    if create_object(file, json.dumps(claim).encode()):
        return claim
    found: dict[str, Any] = json.loads(file.read_text())
    if found.get("removing"):
        raise CogError(f"{url} is half removed", f"finish that first: cog store rm {url}")
    return found


def _lay_out(
    root: StoragePath,
    labels: NDArray[np.int64],
    dim: int,
    dtype: str,
    chunk_rows: int,
    fingerprint: dict[str, Any],
) -> None:
    """Write arrays and labels, and the root's metadata last; several workers write the same."""
    rows = len(labels)
    _create_array(root / "features", (rows, dim), (chunk_rows, dim), dtype, np.nan)
    _create_array(root / "readable", (rows,), (chunk_rows,), "bool", False)
    _create_array(root / "labels", (rows,), (max(rows, 1),), "int64", -1)
    zarr.open_array(_zarr_store(root / "labels"), mode="r+", zarr_format=3)[:] = labels
    attributes = {"layout": LAYOUT, "fingerprint": fingerprint}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    write_text(root / "zarr.json", json.dumps(group, indent=2) + "\n")


def _create_array(
    path: StoragePath, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str, fill: Any
) -> None:
    """One array with a checksum on every chunk and no compression: features do not compress."""
    with suppress(ContainsArrayError):  # another worker's, and the same
        zarr.create_array(
            _zarr_store(path),
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=fill,
            compressors=(Crc32cCodec(),),
            zarr_format=3,
        )


def remove_files(path: StoragePath) -> None:
    """Drop the store at `path`, if there is one; a kill leaves no half of it that could be used.

    At a URL, where nothing can be renamed, a mark says so until all is gone.
    """
    if isinstance(path, Url):
        if path.exists():
            write_text(path / _CLAIM.as_posix(), json.dumps({"removing": True}))
            (path / "zarr.json").unlink(missing_ok=True)
            for below in (path / "features", path / "readable", path):
                remove_objects(below)
        return
    hidden = partial_name(path)
    with suppress(FileNotFoundError):  # none there, or another worker was quicker
        path.rename(hidden)
        shutil.rmtree(hidden)


def is_store(path: StoragePath) -> bool:
    """Whether a store, also one that is half made or half removed, is at `path`."""
    return (path / "zarr.json").exists() or (path / _CLAIM.as_posix()).exists()


def clear_beside(path: Path) -> int:
    """Remove the half-made and half-removed stores that killed workers left beside `path`."""
    return clear_partial(path.parent.glob(f".{path.name}.*.partial"))


def clear_inside(path: Path) -> int:
    """Remove the partial files that killed workers left in the store at `path`."""
    return clear_partial(path.rglob("*.partial"))
