"""Features in a Zarr group that a kill cannot leave half right, and that many workers may fill.

In: chunks of features as they are made. Out: the features, labels and readable marks of one image
list under one model.

- A store is a folder `NAME.zarr`, on disk or at a URL, with `features` float16 or float32 [m, d]
  (fill NaN), `labels` int64 [m] (fill -1) and `readable` bool [m]. Its attributes hold the number
  of this layout and the fingerprint, which says what the features were made from. A store with
  another fingerprint is refused.
- Done is computed: a chunk is done when its file exists, and a store when all its chunks do. The
  files of a chunk are written in this order: why images of it are unreadable or truncated, if any
  are (reasons.py), `readable`, `features`; each whole or absent.
- No file belongs to two chunks and is written after creation: workers with different chunks never
  meet, and two with the same chunk write the same bytes. There are no locks.
- Every chunk carries a CRC32C that Zarr checks when it reads.
- Creation: on disk a store is built as a partial folder and renamed. At a URL the first worker to
  write `labels/claim.json` fixes the size of chunks, all write the same metadata, and the root's
  comes last: a store is there when its `zarr.json` is.

Cost: one file of `chunk_rows` × d numbers a chunk; a killed run loses the chunk in the making.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.features.store.arrays import DAMAGED, Array, arrays_of, open_group
from cog.features.store.files import (
    LAYOUT,
    clear_beside,
    clear_inside,
    create_files,
    is_there,
    remove_store,
)
from cog.features.store.reasons import TRUNCATED, UNREADABLE, all_reasons, write_reasons
from cog.object_storage import Url
from cog.rounding import require_fit
from cog.storage import StoragePath, files_below

_DTYPES = ("float16", "float32")
_CHUNK = re.compile(r"(0|[1-9]\d{0,17})/0")  # the file of a chunk
FORMAT = 1  # raised when the numbers in a store would change, not with the package's version


@dataclass(frozen=True)
class FeatureStore:
    """An open store; `create` or `open` one. It holds no open file, and pickles."""

    path: StoragePath
    fingerprint: dict[str, Any]
    rows: int
    dim: int
    chunk_rows: int
    dtype: str

    @classmethod
    def create(
        cls,
        path: StoragePath,
        labels: NDArray[np.int64],
        *,
        dim: int,
        dtype: str,
        chunk_rows: int,
        fingerprint: dict[str, Any],
    ) -> FeatureStore:
        """Make an empty store for `labels` int64 [m], or open the one that another worker made.

        It appears at `path` whole. The other worker's size of chunks holds, not `chunk_rows`.

        Raises:
            CogError: features of something else are there.
        """
        if not is_there(path):
            create_files(path, labels, dim, dtype, chunk_rows, fingerprint)
        store = cls.open(path)
        store.require(fingerprint)
        return store

    @classmethod
    def open(cls, path: StoragePath) -> FeatureStore:
        """Open the store at `path`.

        Raises:
            CogError: there is no store, or one of another layout.
        """
        try:
            group = open_group(path)
            (features,) = arrays_of(group, "features")
            fingerprint = cast(dict[str, Any], group.attrs["fingerprint"])
            layout = cast(int, group.attrs["layout"])
            (rows, dim), (chunk_rows, width) = features.shape, features.chunks
            right = type(fingerprint) is dict and type(layout) is int
            if not right or width != dim or chunk_rows < 1 or str(features.dtype) not in _DTYPES:
                raise ValueError("its metadata are not those of features")
        except (FileNotFoundError, NotADirectoryError, *DAMAGED) as error:
            raise CogError(
                f"{path} is not a feature store", "give another --out, or remove that folder"
            ) from error
        if layout != LAYOUT:
            raise CogError(
                f"{path} has layout {layout}, and this version of cog reads layout {LAYOUT}",
                "update imagenet-cog, or give another --out",
            )
        return cls(path, fingerprint, rows, dim, chunk_rows, str(features.dtype))

    def require(self, fingerprint: dict[str, Any]) -> None:
        """Refuse features made from something else than `fingerprint` says.

        Raises:
            CogError: it names every differing field.
        """
        asked, found = fingerprint, self.fingerprint
        if asked != found:
            fields = [key for key in sorted({*asked, *found}) if asked.get(key) != found.get(key)]
            absent = "none given"
            both = ((key, asked.get(key, absent), found.get(key, absent)) for key in fields)
            shown = "; ".join(f"{key}: asked {new}, found {old}" for key, new, old in both)
            raise CogError(
                f"{self.path} holds features of something else ({shown})",
                "give another --name or --out, or remove that folder",
            )

    @classmethod
    def remove_empty(cls, path: StoragePath, fingerprint: dict[str, Any]) -> None:
        """Remove an empty store of something else, and leave one that has this fingerprint.

        Raises:
            CogError: the store of something else has chunks.
        """
        if not is_there(path):
            return
        store = cls.open(path)
        if store.fingerprint == fingerprint:
            return
        if store.done_chunks():
            store.require(fingerprint)
        remove_store(path)

    def clear_partial(self) -> int:
        """Remove the partial files of killed workers; gives how many files and folders.

        Those of workers that still run stay. At a URL there are no partial files.
        """
        if isinstance(self.path, Url):
            return 0
        return clear_beside(self.path) + clear_inside(self.path)

    @property
    def n_chunks(self) -> int:
        """How many chunks the rows make."""
        return -(-self.rows // self.chunk_rows)

    def chunk_slice(self, chunk: int) -> slice:
        """The rows of one chunk."""
        return slice(chunk * self.chunk_rows, min((chunk + 1) * self.chunk_rows, self.rows))

    def done_chunks(self) -> list[int]:
        """The chunks that are there, in order; one listing of the folder."""
        there = files_below(self.path / "features" / "c")
        numbers = (_CHUNK.fullmatch(name) for name in there)
        return sorted(int(n[1]) for n in numbers if n and int(n[1]) < self.n_chunks)

    def missing_chunks(self) -> list[int]:
        """The chunks still to be made, in order."""
        done = set(self.done_chunks())
        return [chunk for chunk in range(self.n_chunks) if chunk not in done]

    def write_chunk(
        self,
        chunk: int,
        features: NDArray[np.float32],
        readable: NDArray[np.bool_],
        unreadable: Mapping[int, str] = {},
        truncated: Mapping[int, str] = {},
    ) -> None:
        """Write the rows of one chunk.

        `features` float32 [rows, d] and `readable` bool [rows] of the chunk; `unreadable` and
        `truncated` give the reason for each such row of the store.

        Raises:
            CogError: a number that is not finite, or too large for float16; rows that are too small
                for it (see cog/rounding.py); or the store was replaced since it was opened.
        """
        rows = self.chunk_slice(chunk)
        values = self._checked(features, readable)
        marks, numbers = self._arrays_to_write()
        write_reasons(self.path, UNREADABLE, chunk, unreadable)
        write_reasons(self.path, TRUNCATED, chunk, truncated)
        marks[rows] = readable
        numbers[rows] = values
        if not isinstance(self.path, Url) and not (self.path / "zarr.json").exists():
            remove_store(self.path)  # what was written of it since it was removed
            raise self._gone()

    def forget_chunk(self, chunk: int) -> None:
        """Make a chunk missing again, with the reasons of its unreadable and truncated images."""
        (self.path / "features" / "c" / str(chunk) / "0").unlink(missing_ok=True)
        write_reasons(self.path, UNREADABLE, chunk, {})
        write_reasons(self.path, TRUNCATED, chunk, {})

    def _arrays_to_write(self) -> tuple[Array, Array]:
        """`readable` and `features`, if they are still those of this store."""
        try:
            group = open_group(self.path, "r+")
            readable, features = arrays_of(group, "readable", "features")
            same = group.attrs["fingerprint"] == self.fingerprint
            same &= features.chunks[0] == self.chunk_rows
        except (FileNotFoundError, KeyError):
            same = False
        except DAMAGED as error:
            raise self._damaged(f"metadata: {error}", by="rm") from error
        if not same:
            raise self._gone()
        return readable, features

    def _gone(self) -> CogError:
        return CogError(
            f"{self.path} was removed or replaced while it was being filled",
            "run the same command to go on",
        )

    def _checked(
        self, features: NDArray[np.float32], readable: NDArray[np.bool_]
    ) -> NDArray[np.floating[Any]]:
        """The chunk's features in the store's dtype, NaN where unreadable, else finite."""
        shown = features if readable.all() else features[readable]
        require_fit(shown, self.dtype, self.path.name)
        with np.errstate(over="ignore"):  # in rows that are not readable
            values = features.astype(self.dtype, copy=shown is not features)
        values[~readable] = np.nan
        return values

    def read(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Features [r, d] in the stored dtype and labels int64 [r] of the r readable images.

        Raises:
            CogError: chunks are missing, or a checksum fails.
        """
        missing = self.n_chunks - len(self.done_chunks())
        if missing:
            raise CogError(
                f"{self.path} lacks {missing} of {self.n_chunks} chunks",
                "run `cog extract` with the options of the run: it makes them",
            )
        readable, x, y = (self._whole(name) for name in ("readable", "features", "labels"))
        if len({len(readable), len(x), len(y)}) > 1 or readable.dtype != bool:
            raise self._damaged("features, labels and marks do not belong together", by="rm")
        if y.min(initial=0) < 0:
            raise self._damaged("labels are missing", by="rm")
        if len(readable) - readable.sum() != len(self.unreadable()):
            raise self._damaged("marks and reasons of unreadable images differ")
        if not readable.all():
            x, y = x[readable], y[readable]
        return x, y

    def _whole(self, name: str) -> NDArray[Any]:
        """All of an array."""
        try:
            (array,) = self.arrays(name)
        except DAMAGED as error:
            raise self._damaged(f"metadata of {name}: {error}", by="rm") from error
        try:
            return np.asarray(array[:])
        except DAMAGED as error:  # ValueError for a wrong checksum; others for a short file
            by = "rm" if name == "labels" else "verify --repair"
            raise self._damaged(f"{name}: {error}", by) from error

    def _damaged(self, why: str, by: str = "verify --repair") -> CogError:
        """The refusal of a damaged store; `by`: what mends it."""
        return CogError(
            f"{self.path} is damaged: {' '.join(why.split())[:300]}",
            f"type cog store {by} {self.path}, and run `cog extract` with the options of the run",
        )

    def arrays(self, *names: str) -> list[Array]:
        """Some of `features`, `readable` and `labels`, open to be read.

        Reading rows raises ValueError where a checksum is wrong.
        """
        return arrays_of(open_group(self.path), *names)

    def unreadable(self) -> dict[int, str]:
        """Row and reason of every unreadable image in the chunks that are there."""
        return all_reasons(self.path, UNREADABLE, self.done_chunks())

    def truncated(self) -> dict[int, str]:
        """Row and reason of every truncated image in the chunks that are there."""
        return all_reasons(self.path, TRUNCATED, self.done_chunks())
