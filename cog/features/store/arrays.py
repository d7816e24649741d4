"""All that this package asks of Zarr, by its public interface: groups, arrays, whole files.

In: storage paths. Out: open groups and arrays, new arrays.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, suppress
from typing import Any, Literal, cast

import zarr
from zarr.abc.buffer import Buffer
from zarr.abc.store import Store
from zarr.codecs import Crc32cCodec
from zarr.errors import ContainsArrayError
from zarr.storage import FsspecStore, LocalStore

from cog.object_storage import Url, bound, reaching, storage_options
from cog.storage import StoragePath, write_bytes

Array = zarr.Array[Any]

DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, NotImplementedError,
    RecursionError, TypeError, ValueError,
)  # fmt: skip
"""what Zarr raises for damaged metadata and chunks, beside an OSError"""


class WholeFiles(LocalStore):
    """Zarr's store of files, but the names of partial files say which process writes them.

    To open it makes no folder: one that another process removed at that moment stays away.
    """

    async def _open(self, *, mode: Any = None) -> None:
        await Store._open(self)

    async def _ensure_open(self) -> None:
        self._is_open = True

    def _ensure_open_sync(self) -> None:  # zarr 3.4 reads and writes through this one
        self._is_open = True

    async def set(self, key: str, value: Buffer) -> None:
        """Write one file."""
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Write one file, now."""
        if self.read_only:
            raise ValueError(f"{self.root} was opened to be read")
        write_bytes(self.root / key, value.as_numpy_array().data)


class Objects(FsspecStore):
    """Zarr's store of objects, but what the storage refuses becomes a CogError."""

    async def get(self, key: str, *arguments: Any, **options: Any) -> Buffer | None:
        """Read one object."""
        with self._reaching(key):
            return await super().get(key, *arguments, **options)

    async def set(self, key: str, *arguments: Any, **options: Any) -> None:
        """Write one object."""
        with self._reaching(key, writing=True):
            await super().set(key, *arguments, **options)

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        with self._reaching(key):
            return await super().exists(key)

    async def delete(self, key: str) -> None:
        """Remove one object."""
        with self._reaching(key):
            await super().delete(key)

    def _reaching(self, key: str, writing: bool = False) -> AbstractContextManager[None]:
        return reaching(Url(f"{self.fs.unstrip_protocol(self.path)}/{key}"), writing)


def open_group(path: StoragePath, mode: Literal["r", "r+"] = "r") -> zarr.Group:
    """The Zarr group of a feature store; FileNotFoundError where there is none."""
    return zarr.open_group(_zarr_store(path), mode=mode, zarr_format=3)


def arrays_of(group: zarr.Group, *names: str) -> list[Array]:
    """Arrays of a group; KeyError where one is missing.

    They write chunks that equal the fill value too: a chunk is done when its file exists.
    """
    with zarr.config.set({"array.write_empty_chunks": True}):  # an array keeps this from its start
        return [cast(Array, group[name]) for name in names]


def create_array(
    path: StoragePath, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str, fill: Any
) -> None:
    """Make an array, unless another worker made the same.

    Every chunk has a checksum and no compression: features do not compress.
    """
    with suppress(ContainsArrayError):
        zarr.create_array(
            _zarr_store(path),
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=fill,
            compressors=(Crc32cCodec(),),
            zarr_format=3,
        )


def fill_array(path: StoragePath, values: Any) -> None:
    """Write all values of an array."""
    zarr.open_array(_zarr_store(path), mode="r+", zarr_format=3)[:] = values


def _zarr_store(path: StoragePath) -> Store:
    if isinstance(path, Url):
        with reaching(path):
            store = Objects.from_url(str(path), storage_options=storage_options(path))
        bound(store.fs)
        return store
    return WholeFiles(path)
