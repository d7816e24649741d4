"""Features on disk: a Zarr group that a kill cannot leave half right.

In: chunks of features as they are made. Out: the features, labels and readable marks of one picture
list under one model.

- A store is a folder `NAME.zarr` with `features` float16 or float32 [m, d] (fill NaN), `labels`
  int64 [m] (fill -1) and `readable` bool [m]; its attributes hold the fingerprint: what the
  features were made from. Another fingerprint is refused, never mixed.
- Done is computed: a chunk is done when its file exists, and a store when all its chunks do. Zarr
  writes a chunk to a temporary name and renames it. `readable` is written before `features`.
- Every chunk carries a CRC32C that Zarr checks when it reads.

Cost: one file of `chunk_rows` × d numbers a chunk; a killed run loses the chunk in the making.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec

from cog.errors import CogError

FORMAT = 1  # raised when the numbers in a store would change, not with the package's version


@dataclass(frozen=True)
class FeatureStore:
    """An open store; `create` or `open` one."""

    path: Path
    fingerprint: dict[str, Any]
    rows: int
    dim: int
    chunk_rows: int
    dtype: str

    @classmethod
    def create(
        cls,
        path: Path,
        labels: NDArray[np.int64],
        *,
        dim: int,
        dtype: str,
        chunk_rows: int,
        fingerprint: dict[str, Any],
    ) -> FeatureStore:
        """Make an empty store for `labels` int64 [m]; it appears at `path` whole, by rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        rows = len(labels)
        try:
            group = zarr.create_group(
                temporary, attributes={"fingerprint": fingerprint, "unreadable": {}}
            )
            _create(group, "features", (rows, dim), (chunk_rows, dim), dtype, np.nan)
            _create(group, "readable", (rows,), (chunk_rows,), "bool", False)
            _create(group, "labels", (rows,), (max(rows, 1),), "int64", -1)
            cast("zarr.Array[Any]", group["labels"])[:] = labels
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return cls.open(path, fingerprint)

    @classmethod
    def open(cls, path: Path, fingerprint: dict[str, Any] | None = None) -> FeatureStore:
        """Open the store at `path`; refuse one whose fingerprint is not the one given.

        Raises:
            CogError: nothing to open there, or features made from something else.
        """
        try:
            group = zarr.open_group(path, mode="r")
            features = cast("zarr.Array[Any]", group["features"])
            found = cast(dict[str, Any], group.attrs["fingerprint"])
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise CogError(
                f"{path} is not a feature store", "give another --out, or remove that folder"
            ) from error
        rows, dim = features.shape
        store = cls(path, found, rows, dim, features.chunks[0], str(features.dtype))
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
    def remove(path: Path) -> None:
        """Drop the store at `path`, if there is one; a kill leaves no half of it in its place."""
        if path.exists():
            hidden = path.with_name(f".{path.name}.removed")
            shutil.rmtree(hidden, ignore_errors=True)
            path.rename(hidden)
            shutil.rmtree(hidden)

    @property
    def n_chunks(self) -> int:
        """How many chunks the rows make."""
        return -(-self.rows // self.chunk_rows)

    def chunk_slice(self, chunk: int) -> slice:
        """The rows of one chunk."""
        return slice(chunk * self.chunk_rows, min((chunk + 1) * self.chunk_rows, self.rows))

    def missing_chunks(self) -> list[int]:
        """The chunks still to be made, in order."""
        return [
            chunk
            for chunk in range(self.n_chunks)
            if not (self.path / "features" / "c" / str(chunk) / "0").exists()
        ]

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
            CogError: a number that is not finite, or too large for float16.
        """
        rows = self.chunk_slice(chunk)
        values = self._checked(features, readable)
        group = zarr.open_group(self.path, mode="r+")
        if unreadable:
            reasons = cast(dict[str, str], group.attrs["unreadable"])
            group.attrs["unreadable"] = {
                **reasons,
                **{str(row): why for row, why in unreadable.items()},
            }
        _writable(group, "readable")[rows] = readable
        _writable(group, "features")[rows] = values

    def forget_chunk(self, chunk: int) -> None:
        """Make a chunk missing again, with what was said of its unreadable pictures."""
        (self.path / "features" / "c" / str(chunk) / "0").unlink(missing_ok=True)
        rows = self.chunk_slice(chunk)
        group = zarr.open_group(self.path, mode="r+")
        reasons = cast(dict[str, str], group.attrs["unreadable"])
        group.attrs["unreadable"] = {
            row: why for row, why in reasons.items() if not rows.start <= int(row) < rows.stop
        }

    def _checked(
        self, features: NDArray[np.float32], readable: NDArray[np.bool_]
    ) -> NDArray[np.floating[Any]]:
        """The chunk's features in the store's dtype, NaN where unreadable, else finite."""
        if not np.isfinite(features[readable]).all():
            raise CogError(
                f"features that are not finite, for {self.path.name}",
                "check the model with `cog models check`; mixed precision may also overflow",
            )
        with np.errstate(over="ignore"):
            values = features.astype(self.dtype)
        if not np.isfinite(values[readable]).all():
            largest = float(np.abs(features[readable]).max())
            raise CogError(
                f"a feature of {largest:.6g} does not fit in {self.dtype} ({self.path.name})",
                "give --dtype float32, and another --out or --name if there are features already",
            )
        values[~readable] = np.nan
        return values

    def read(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Features [r, d] in the stored dtype and labels int64 [r] of the r readable pictures.

        Raises:
            CogError: chunks are missing, or a checksum fails.
        """
        missing = self.missing_chunks()
        if missing:
            raise CogError(
                f"{self.path} lacks {len(missing)} of {self.n_chunks} chunks",
                "run the command that made it again: it goes on where it stopped",
            )
        group = zarr.open_group(self.path, mode="r")
        try:
            readable = np.asarray(cast("zarr.Array[Any]", group["readable"])[:])
            x = np.asarray(cast("zarr.Array[Any]", group["features"])[:])
            y = np.asarray(cast("zarr.Array[Any]", group["labels"])[:])
        except ValueError as error:  # Zarr's word for a wrong checksum
            raise CogError(
                f"{self.path} is damaged: {error}", "remove that folder and run the command again"
            ) from error
        if not readable.all():
            x, y = x[readable], y[readable]
        return x, y

    def unreadable(self) -> dict[int, str]:
        """Row and reason of every unreadable picture met so far."""
        group = zarr.open_group(self.path, mode="r")
        reasons = cast(dict[str, str], group.attrs["unreadable"])
        return {int(row): reasons[row] for row in sorted(reasons, key=int)}


def _create(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: str,
    fill: Any,
) -> None:
    """One array with a checksum on every chunk and no compression: features do not compress."""
    group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        fill_value=fill,
        compressors=(Crc32cCodec(),),
        config={"write_empty_chunks": True},
    )


def _writable(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """The array, set to write chunks equal to the fill value too: else done cannot be computed."""
    with zarr.config.set({"array.write_empty_chunks": True}):  # an array keeps what held at opening
        return cast("zarr.Array[Any]", group[name])


def _different(path: Path, asked: dict[str, Any], found: dict[str, Any]) -> CogError:
    """The refusal of features made from something else: it names every differing field."""
    fields = [key for key in sorted({*asked, *found}) if asked.get(key) != found.get(key)]
    shown = "; ".join(f"{key}: asked {asked.get(key)}, found {found.get(key)}" for key in fields)
    return CogError(
        f"{path} holds features of something else ({shown})",
        "give another --name or --out, or remove that folder",
    )
