"""Small feature stores that tests make, fill, compare and damage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from cog.cli.store import store as store_command
from cog.features.store.store import FeatureStore
from cog.progress import Silent
from cog.storage import StoragePath, files_below, write_bytes, write_text
from tests.support.runs import make_plan

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


def flip(file: StoragePath, byte: int = 3) -> None:
    """Change one bit of a file."""
    data = bytearray(file.read_bytes())
    data[byte] ^= 1
    write_bytes(file, bytes(data))


def run(*arguments: object, **options) -> tuple[int, str]:
    """Exit status and output of `cog store`; raises errors for users."""
    done = CliRunner().invoke(
        store_command, [*map(str, arguments)], standalone_mode=False, **options
    )
    if done.exception:
        raise done.exception
    return done.return_value or 0, done.output


def chunk_files(out: Path) -> dict[str, bytes]:
    """Everything in the stores below a folder, by name; with the partial files, were there any."""
    files = sorted(out.glob("*/features/**/*"))
    return {str(f.relative_to(out)): f.read_bytes() for f in files if f.is_file()}


def alone(options, models, out: Path) -> dict[str, bytes]:
    """The files of the stores that one worker makes alone."""
    from cog.evaluation.run import run_plan

    run_plan(make_plan(models, out=out, device="cpu", **options).without_cells(), Silent())
    return chunk_files(out)
