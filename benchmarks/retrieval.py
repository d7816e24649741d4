"""How long retrieval takes, beside scikit-learn's brute force and numpy in the same run.

    python benchmarks/retrieval.py [--rows 50000 --dim 2048 --classes 1000 --asked 512] [--quick]

Synthetic float16 features of classes of equal size. cog asks all rows. The yardstick asks
`--asked` of them, before and after, and is scaled up: scikit-learn's `NearestNeighbors` by brute
force finds all neighbours of an image in their order, by cosine, and numpy makes the average
precision of that order. `ratio` is the time of the yardstick over that of cog, `processor_ratio`
the same of processor time, which other work on the machine changes less. `difference` is between
the two mean average precisions, in percent points, on 2,000 rows. `peak_mb` is the memory beyond
what the process had with the features loaded.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from cog.probes.data import ProbeData, ProbeResult, ProbeSettings
from cog.probes.retrieval import retrieval
from cog.recipe import Recipe

Times = NDArray[np.float64]
Features = NDArray[np.float16]
Labels = NDArray[np.int64]
CHECKED = 2_000  # rows whose precision both make in full


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for name, default in (("rows", 50_000), ("dim", 2_048), ("classes", 1_000), ("asked", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs")
    given = parser.parse_args()
    if given.quick:
        given.rows, given.dim, given.classes, given.asked = 3_000, 64, 50, 64
    x, y = draw(given.rows, given.dim, given.classes)
    some = slice(0, len(x), max(1, len(x) // CHECKED))
    difference = ask(x[some], y[some]).figures["map"] - yardstick(x[some], y[some], len(y[some]))
    before = peak_mb()
    begun = clock()
    found = ask(x, y)
    ours = clock() - begun
    peak = peak_mb() - before
    theirs = []
    for _ in range(2):
        begun = clock()
        yardstick(x, y, given.asked)
        theirs.append((clock() - begun) * len(x) / given.asked)
    ratios = np.mean(theirs, axis=0) / ours
    line = {
        "benchmark": "retrieval", "rows": given.rows, "dim": given.dim, "classes": given.classes,
        "seconds": round(ours[0], 1), "processor_seconds": round(ours[1], 1),
        "yardstick_seconds": round(float(np.mean(theirs, axis=0)[0]), 1),
        "ratio": round(ratios[0], 2), "processor_ratio": round(ratios[1], 2),
        "asked_of_yardstick": given.asked, "map": round(found.figures["map"], 3),
        "difference": float(f"{abs(difference):.2g}"), "peak_mb": round(peak),
        "threads": torch.get_num_threads(), "torch": torch.__version__,
        "machine": platform.machine(),
    }  # fmt: skip
    print(json.dumps(line))


def draw(rows: int, dim: int, classes: int) -> tuple[Features, Labels]:
    """Features around a mean for each class, and labels."""
    rng = np.random.default_rng(0)
    y = np.sort(np.arange(rows) % classes)
    x = np.empty((rows, dim), np.float16)
    means = 0.3 * rng.standard_normal((classes, dim), dtype=np.float32)
    for start in range(0, rows, 1_000):
        part = y[start : start + 1_000]
        x[start : start + 1_000] = means[part] + rng.standard_normal(
            (len(part), dim), dtype=np.float32
        )
    return x, y


def ask(x: Features, y: Labels) -> ProbeResult:
    """Retrieval by cog."""
    data = ProbeData(x[:2], y[:2], x, y, int(y.max()) + 1)
    return retrieval(data, ProbeSettings("exact", None, 22, Recipe(), "cpu"))


def yardstick(x: Features, y: Labels, asked: int) -> float:
    """Mean average precision, in percent, of evenly spaced rows, by scikit-learn and numpy."""
    known = x.astype(np.float32)
    rows = np.linspace(0, len(x) - 1, asked).astype(int)
    search = NearestNeighbors(n_neighbors=len(x), algorithm="brute", metric="cosine").fit(known)
    precisions = []
    for start in range(0, asked, 512):
        part = rows[start : start + 512]
        for row, order in zip(part, search.kneighbors(known[part])[1], strict=True):
            others = order[order != row]
            right = y[others] == y[row]
            places = np.flatnonzero(right) + 1
            precisions.append((np.arange(1, len(places) + 1) / places).mean())
    return 100 * float(np.mean(precisions))


def clock() -> Times:
    """Seconds on the wall and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def peak_mb() -> float:
    """The most memory that this process has had."""
    unit = 1e6 if platform.system() == "Darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
