"""Small feature stores that tests make, fill, compare and damage."""

from __future__ import annotations

import json

import numpy as np

from cog.features.store.store import FeatureStore
from cog.storage import StoragePath, files_below, write_text

FINGERPRINT = {"format": 1, "model": "abc", "images": "def"}


def make(
    path: StoragePath,
    rows: int,
    dim: int = 3,
    chunk_rows: int = 4,
    dtype: str = "float32",
    fingerprint: dict = FINGERPRINT,
) -> FeatureStore:
    return FeatureStore.create(
        path,
        np.arange(rows, dtype=np.int64),
        dim=dim,
        dtype=dtype,
        chunk_rows=chunk_rows,
        fingerprint=fingerprint,
    )


def fill(
    store: FeatureStore, x: np.ndarray, readable: np.ndarray | None = None, worker: str = "0/1"
) -> None:
    """Write the missing chunks that are the worker's: r/w is chunk r, r + w, r + 2 w, …"""
    readable = np.ones(len(x), bool) if readable is None else readable
    r, w = map(int, worker.split("/"))
    for chunk in store.missing_chunks():
        if chunk % w == r:
            rows = store.chunk_slice(chunk)
            reasons = {
                int(row): f"why {row}"
                for row in np.flatnonzero(~readable)
                if rows.start <= row < rows.stop
            }
            store.write_chunk(chunk, x[rows], readable[rows], reasons)


def content(path: StoragePath) -> dict[str, bytes]:
    """Every file of a store."""
    return {name: (path / name).read_bytes() for name in files_below(path)}


def change_attributes(path: StoragePath, **changes: object) -> None:
    """Other attributes of a store; None takes one away."""
    group = json.loads((path / "zarr.json").read_text())
    attributes = group["attributes"] | changes
    group["attributes"] = {name: value for name, value in attributes.items() if value is not None}
    write_text(path / "zarr.json", json.dumps(group))
