"""Features in a Zarr group that a kill cannot leave half right, and that many workers may fill.

In: chunks of features as they are made. Out: the features, labels and readable marks of one image
list under one model.

- A store is a folder `NAME.zarr`, on disk or at a URL, with `features` float16 or float32 [m, d]
  (fill NaN), `labels` int64 [m] (fill -1) and `readable` bool [m]. Its attributes hold the number
  of this layout and the fingerprint: what the features were made from. Another is refused.
- Done is computed: a chunk is done when its file exists, and a store when all its chunks do. A
  chunk's files are written in this order: why images of it are unreadable (if any are:
  `readable/reasons/CHUNK.json`), `readable`, `features`; each whole or absent (cog/storage.py).
- No file is shared by two chunks and written after creation: workers with different chunks never
  meet, and two with the same chunk write the same bytes. There are no locks.
- Every chunk carries a CRC32C that Zarr checks when it reads.
- Creation: on disk a store is built beside its place and renamed into it. At a URL the first worker
  to write `labels/claim.json` fixes the size of chunks, all write the same metadata, and the root's
  is written last: a store is there when `zarr.json` is.

Cost: one file of `chunk_rows` × d numbers a chunk; a killed run loses the chunk in the making.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import NDArray

from cog.errors import CogError
from cog.features.store.files import (
    LAYOUT,
    array_of,
    clear_beside,
    clear_inside,
    create_files,
    is_there,
    open_group,
    remove_files,
)
from cog.storage import StoragePath, Url, files_below, storage_path, write_text

FORMAT = 1  # raised when the numbers in a store would change, not with the package's version
_TOO_LARGE = {"float16": 65_520.0, "float32": np.inf}  # rounds to infinity


@dataclass(frozen=True)
class FeatureStore:
    """An open store; `create` or `open` one."""

    path: StoragePath
    fingerprint: dict[str, Any]
    rows: int
    dim: int
    chunk_rows: int
    dtype: str
    layout: int = LAYOUT
    old_reasons: dict[int, str] = field(default_factory=dict)  # of layout 1, row to reason

    @classmethod
    def create(
        cls,
        path: str | StoragePath,
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
        path = storage_path(path)
        if not is_there(path):
            create_files(path, labels, dim, dtype, chunk_rows, fingerprint)
        return cls.open(path, fingerprint)

    @classmethod
    def open(
        cls, path: str | StoragePath, fingerprint: dict[str, Any] | None = None
    ) -> FeatureStore:
        """Open the store at `path`; refuse one whose fingerprint is not the one given.

        Raises:
            CogError: nothing to open there, a later layout, or features made from something else.
        """
        path = storage_path(path)
        try:
            group = open_group(path)
            features = array_of(group, "features")
            found = cast(dict[str, Any], group.attrs["fingerprint"])
            layout = cast(int, group.attrs.get("layout", 1))
            old = cast(dict[str, str], group.attrs.get("unreadable", {}))
            (rows, dim), chunk_rows = features.shape, features.chunks[0]
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise CogError(
                f"{path} is not a feature store", "give another --out, or remove that folder"
            ) from error
        if layout > LAYOUT:
            raise CogError(
                f"{path} has layout {layout}, and this version of cog knows up to {LAYOUT}",
                "update imagenet-cog, or give another --out",
            )
        reasons = {int(row): why for row, why in old.items()}
        store = cls(path, found, rows, dim, chunk_rows, str(features.dtype), layout, reasons)
        if fingerprint is not None:
            store.require(fingerprint)
        return store

    def require(self, fingerprint: dict[str, Any]) -> None:
        """Refuse features made from something else than `fingerprint` says.

        Raises:
            CogError: it names every differing field.
        """
        if self.fingerprint != fingerprint:
            raise _different(self.path, fingerprint, self.fingerprint)

    @staticmethod
    def remove(path: str | StoragePath) -> None:
        """Drop the store at `path`, if there is one; a kill leaves no half of it in its place."""
        remove_files(storage_path(path))

    @staticmethod
    def is_there(path: str | StoragePath) -> bool:
        """Whether there is a store, or on disk anything else, at `path`."""
        return is_there(storage_path(path))

    @classmethod
    def remove_empty(cls, path: str | StoragePath, fingerprint: dict[str, Any]) -> None:
        """Drop an empty store of something else, and leave one that has this fingerprint.

        Raises:
            CogError: the store of something else has chunks.
        """
        path = storage_path(path)
        if not is_there(path):
            return
        store = cls.open(path)
        if store.fingerprint == fingerprint:
            return
        if store.done_chunks():
            store.require(fingerprint)
        cls.remove(path)

    def clear_partial(self) -> int:
        """Remove what killed workers left half written here; gives how many files and folders.

        Those of workers that still run stay. At a URL nothing partial is ever seen.
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
        return [chunk for chunk in range(self.n_chunks) if f"{chunk}/0" in there]

    def missing_chunks(self) -> list[int]:
        """The chunks still to be made, in order."""
        done = set(self.done_chunks())
        return [chunk for chunk in range(self.n_chunks) if chunk not in done]

    def write_chunk(
        self,
        chunk: int,
        features: NDArray[np.float32],
        readable: NDArray[np.bool_],
        unreadable: dict[int, str],
    ) -> None:
        """Write the rows of one chunk.

        `features` float32 [rows, d] and `readable` bool [rows] of the chunk; `unreadable` gives the
        reason for each row of the store that is not readable.

        Raises:
            CogError: a number that is not finite, or too large for float16; or the store was
                replaced by another since it was opened.
        """
        rows = self.chunk_slice(chunk)
        values = self._checked(features, readable)
        arrays = self._arrays_to_write()
        reasons = self._reasons_file(chunk)
        if unreadable or self._old_reasons(chunk):
            text = {str(row): unreadable[row] for row in sorted(unreadable)}
            write_text(reasons, json.dumps(text, indent=1) + "\n")
        else:
            reasons.unlink(missing_ok=True)
        arrays["readable"][rows] = readable
        arrays["features"][rows] = values

    def forget_chunk(self, chunk: int) -> None:
        """Make a chunk missing again, with what was said of its unreadable images."""
        (self.path / "features" / "c" / str(chunk) / "0").unlink(missing_ok=True)
        self._reasons_file(chunk).unlink(missing_ok=True)

    def _reasons_file(self, chunk: int) -> StoragePath:
        return self.path / "readable" / "reasons" / f"{chunk}.json"

    def _arrays_to_write(self) -> dict[str, zarr.Array[Any]]:
        """The arrays that chunks go to, if they are still those of this store."""
        try:
            group = open_group(self.path, "r+")
            # done could not be computed without chunks equal to the fill value; an array keeps what
            # held when it was opened
            with zarr.config.set({"array.write_empty_chunks": True}):
                arrays = {name: array_of(group, name) for name in ("readable", "features")}
            same = group.attrs["fingerprint"] == self.fingerprint
            same &= arrays["features"].chunks[0] == self.chunk_rows
        except (FileNotFoundError, KeyError):
            same = False
        if not same:
            raise CogError(
                f"{self.path} was removed or replaced while it was being filled",
                "run the same command to go on",
            )
        return arrays

    def _checked(
        self, features: NDArray[np.float32], readable: NDArray[np.bool_]
    ) -> NDArray[np.floating[Any]]:
        """The chunk's features in the store's dtype, NaN where unreadable, else finite."""
        shown = features if readable.all() else features[readable]
        if not (np.abs(shown) < _TOO_LARGE[self.dtype]).all():  # NaN is not below anything
            raise self._not_finite(shown)
        with np.errstate(over="ignore"):  # in rows that are not readable
            values = features.astype(self.dtype, copy=shown is not features)
        values[~readable] = np.nan
        return values

    def _not_finite(self, features: NDArray[np.float32]) -> CogError:
        """The refusal of features that are not finite, or not once they are in the dtype."""
        if not np.isfinite(features).all():
            return CogError(
                f"features that are not finite, for {self.path.name}",
                "check the model with `cog models check`; mixed precision may also overflow",
            )
        largest = float(np.abs(features).max())
        return CogError(
            f"a feature of {largest:.6g} does not fit in {self.dtype} ({self.path.name})",
            "give --dtype float32, and another --out or --name if there are features already",
        )

    def read(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Features [r, d] in the stored dtype and labels int64 [r] of the r readable images.

        Raises:
            CogError: chunks are missing, or a checksum fails.
        """
        missing = self.missing_chunks()
        if missing:
            raise CogError(
                f"{self.path} lacks {len(missing)} of {self.n_chunks} chunks",
                "run the command that made it again: it goes on where it stopped",
            )
        try:
            readable = self.read_rows("readable", slice(None))
            x = self.read_rows("features", slice(None))
            y = self.read_rows("labels", slice(None))
        except ValueError as error:  # Zarr's word for a wrong checksum
            raise CogError(
                f"{self.path} is damaged: {error}",
                f"find what is bad, and have it made again: cog store verify --repair {self.path}",
            ) from error
        if not readable.all():
            x, y = x[readable], y[readable]
        return x, y

    def read_rows(self, name: str, rows: slice) -> NDArray[Any]:
        """Rows of `features`, `readable` or `labels` as stored; ValueError for a wrong checksum."""
        return np.asarray(array_of(open_group(self.path), name)[rows])

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of `features`, `readable` or `labels`."""
        return array_of(open_group(self.path), name).shape

    def unreadable(self) -> dict[int, str]:
        """Row and reason of every unreadable image in the chunks that are there."""
        files = files_below(self.path / "readable" / "reasons")
        old = {row // self.chunk_rows for row in self.old_reasons}
        found: dict[int, str] = {}
        for chunk in self.done_chunks():
            if f"{chunk}.json" in files or chunk in old:
                found |= self.reasons(chunk)
        return found

    def reasons(self, chunk: int) -> dict[int, str]:
        """Row and reason of what is unreadable in one chunk.

        Raises:
            CogError: the file that says so is damaged.
        """
        file = self._reasons_file(chunk)
        try:
            found = {int(row): str(why) for row, why in json.loads(file.read_text()).items()}
        except FileNotFoundError:
            found = self._old_reasons(chunk)
        except (ValueError, AttributeError) as error:
            raise CogError(
                f"{file} is damaged", f"type: cog store verify --repair {self.path}"
            ) from error
        return found

    def _old_reasons(self, chunk: int) -> dict[int, str]:
        return {
            row: why for row, why in self.old_reasons.items() if row // self.chunk_rows == chunk
        }


def _different(path: StoragePath, asked: dict[str, Any], found: dict[str, Any]) -> CogError:
    """The refusal of features made from something else: it names every differing field."""
    fields = [key for key in sorted({*asked, *found}) if asked.get(key) != found.get(key)]
    shown = "; ".join(f"{key}: asked {asked.get(key)}, found {found.get(key)}" for key in fields)
    return CogError(
        f"{path} holds features of something else ({shown})",
        "give another --name or --out, or remove that folder",
    )
