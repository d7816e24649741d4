"""How fast features are written and read: a store, and raw numpy files of the same sizes.

    python benchmarks/store.py [--rows 200000] [--dim 512] [--chunk-rows 8192] [--repeats 5]
        [--folder DIR]

Three ways take turns in every repeat: the store (checksums, marks, whole-or-absent files), one
np.save file a chunk, and one np.save file for all. Features come as float32 a chunk at a time, as
extraction gives them, and are kept as float16 or float32; reading gives one array and the labels.
What is read must be what was written. Nothing is flushed to the disk and files are read from the
page cache, so that the code is measured and not the disk. Prints one JSON line a dtype: median
seconds with lowest and highest, GB/s, and the store's time over that of a file a chunk.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cog.features.store.store import FeatureStore

Features = NDArray[np.float32]
Labels = NDArray[np.int64]
Read = tuple[NDArray[Any], Labels]


def write_store(folder: Path, x: Features, y: Labels, dtype: str, chunk_rows: int) -> None:
    """A feature store."""
    store = FeatureStore.create(
        folder / "a.zarr", y, dim=x.shape[1], dtype=dtype, chunk_rows=chunk_rows,
        fingerprint={"of": "a benchmark"},
    )  # fmt: skip
    for chunk in store.missing_chunks():
        rows = store.chunk_slice(chunk)
        store.write_chunk(chunk, x[rows], np.ones(len(x[rows]), bool), {})


def read_store(folder: Path, rows: int) -> Read:
    """A feature store, with every check that reading makes."""
    return FeatureStore.open(folder / "a.zarr").read()


def write_chunks(folder: Path, x: Features, y: Labels, dtype: str, chunk_rows: int) -> None:
    """A numpy file a chunk."""
    for start in range(0, len(x), chunk_rows):
        np.save(folder / f"{start:09}.npy", x[start : start + chunk_rows].astype(dtype))
    np.save(folder / "y.npy", y)


def read_chunks(folder: Path, rows: int) -> Read:
    """Numpy files, copied into one array."""
    x = None
    for path in sorted(folder.glob("0*.npy")):
        part = np.load(path)
        if x is None:
            x = np.empty((rows, part.shape[1]), part.dtype)
        start = int(path.stem)
        x[start : start + len(part)] = part
    assert x is not None
    return x, np.load(folder / "y.npy")


def write_one(folder: Path, x: Features, y: Labels, dtype: str, chunk_rows: int) -> None:
    """One numpy file, written at the end: a kill loses all."""
    np.save(folder / "x.npy", x.astype(dtype))
    np.save(folder / "y.npy", y)


def read_one(folder: Path, rows: int) -> Read:
    """One numpy file."""
    return np.load(folder / "x.npy"), np.load(folder / "y.npy")


WAYS: dict[str, tuple[Callable[..., None], Callable[..., Read]]] = {
    "store": (write_store, read_store),
    "numpy_file_a_chunk": (write_chunks, read_chunks),
    "numpy_one_file": (write_one, read_one),
}


def seconds_each(
    x: Features, y: Labels, dtype: str, options: argparse.Namespace
) -> dict[str, dict[str, list[float]]]:
    """Way → write and read → seconds of every repeat; the order turns with each."""
    times: dict[str, dict[str, list[float]]] = {way: {"write": [], "read": []} for way in WAYS}
    names = list(WAYS)
    for repeat in range(options.repeats + 1):  # the first warms up, and is not counted
        for way in names[repeat % 3 :] + names[: repeat % 3]:
            write, read = WAYS[way]
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                start = time.perf_counter()
                write(Path(folder), x, y, dtype, options.chunk_rows)
                written = time.perf_counter()
                found, labels = read(Path(folder), len(x))
                done = time.perf_counter()
            if not (np.array_equal(found, x.astype(dtype)) and np.array_equal(labels, y)):
                raise SystemExit(f"{way} gave other features than it was given")
            if repeat:
                times[way]["write"].append(written - start)
                times[way]["read"].append(done - written)
    return times


def record(times: dict[str, dict[str, list[float]]], gigabytes: float) -> dict[str, Any]:
    """Median, lowest and highest seconds, rates, and the store's time over a file a chunk."""
    found: dict[str, Any] = {}
    for action in ("write", "read"):
        medians = {way: statistics.median(times[way][action]) for way in WAYS}
        for way, seconds in medians.items():
            spread = [round(limit(times[way][action]), 3) for limit in (min, max)]
            rate = round(gigabytes / seconds, 2)
            found[f"{action}_{way}"] = {
                "seconds": round(seconds, 3),
                "spread": spread,
                "gb_s": rate,
            }
        ratios = [
            ours / raw
            for ours, raw in zip(
                times["store"][action], times["numpy_file_a_chunk"][action], strict=True
            )
        ]
        found[f"{action}_ratio"] = round(statistics.median(ratios), 2)
        found[f"{action}_ratio_spread"] = [round(min(ratios), 2), round(max(ratios), 2)]
    return found


def main() -> None:
    """Measure both dtypes, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--chunk-rows", type=int, default=8_192)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where files are written (a temporary folder)")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((options.rows, options.dim), dtype=np.float32)
    y = np.arange(options.rows, dtype=np.int64)
    for dtype in ("float16", "float32"):
        gigabytes = x.size * np.dtype(dtype).itemsize / 1e9
        if shutil.disk_usage(options.folder or tempfile.gettempdir()).free < 4e9 * gigabytes:
            raise SystemExit("not enough disk: give --folder or fewer --rows")
        print(json.dumps({
            "benchmark": f"store: {options.rows} × {options.dim} {dtype}",
            "chunk_rows": options.chunk_rows,
            "gb": round(gigabytes, 3),
            **record(seconds_each(x, y, dtype, options), gigabytes),
            "versions": {"python": platform.python_version(), "numpy": np.__version__,
                         "zarr": zarr.__version__},
        }, ensure_ascii=False), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
