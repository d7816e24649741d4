"""Which solver of logreg: SGD against L-BFGS over n / d, on features of real images.

    python benchmarks/solvers.py [--images ROOT] [--splits 2] [--seeds 3] [--features FILE.npz]
                                 [--concepts 60]

Features of examples/own_model.py (trained EfficientNet-Lite0, d = 1,280) of the images in
ROOT/<wnid>/* (by default those of COG_IMAGES). A class is a part of WordNet (the first of `PARTS`
that holds a concept). A split lays a fifth of each class's concepts aside for testing, so that no
concept has images on both sides. Fewer rows: some images of each class. Fewer dimensions: a random
projection. With `--concepts N`, classes are N concepts of at least four images, of which a split
lays one of each aside. `--features` keeps the features between runs.

A JSON line for each n × d: top-1 of both solvers, the mean over splits and seeds, the standard
deviation over the seeds of a split (pooled over splits), and the mean difference with its standard
error over the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from differences import BATCH, own_model
from numpy.typing import NDArray
from scipy.stats import sem

import cog
from cog.probes.data import ProbeData, ProbeSettings
from cog.probes.logreg import logreg
from cog.recipe import SEEDS, Recipe
from cog.wordnet.names import find_concept

PARTS = (
    "mammal.n.01", "bird.n.01", "arthropod.n.01", "animal.n.01", "plant.n.02", "produce.n.01",
    "food.n.02", "food.n.01", "vehicle.n.01", "clothing.n.01", "structure.n.01", "implement.n.01",
    "instrument.n.01", "equipment.n.01", "container.n.01", "device.n.01", "instrumentality.n.03",
    "artifact.n.01", "natural_object.n.01", "entity.n.01",
)  # fmt: skip
SIZES = ((200, 1280), (400, 1280), (800, 1280), (1600, 1280), (1600, 320), (1600, 80))
Split = tuple[NDArray[np.int64], NDArray[np.int64]]


def features_of(root: Path, kept: Path | None) -> tuple[NDArray[np.float32], list[str]]:
    """Features [m, d] of all images, and the wnid of each."""
    files = sorted(root.glob("*/*"))
    wnids = [path.parent.name for path in files]
    if kept is not None and kept.exists():
        return np.load(kept)["x"], wnids
    model, parts = own_model(), []
    for start in range(0, len(files), BATCH):
        some = files[start : start + BATCH]
        pixels = [model.preprocess.load(path.read_bytes(), "pillow") for path in some]
        parts.append(model.embed(model.preprocess.normalise(torch.stack(pixels))).numpy())
    if kept is not None:
        np.savez(kept, x=np.concatenate(parts))
    return np.concatenate(parts), wnids


def classes_of(wnids: list[str]) -> NDArray[np.int64]:
    """The part of WordNet that each concept is in, numbered from 0: int64[m]."""
    taxonomy = cog.load_taxonomy()
    parts = [find_concept(taxonomy, name)[0] for name in PARTS]

    def part_of(wnid: str) -> int:
        above, todo = set[int](), [find_concept(taxonomy, wnid)[0]]
        while todo:
            concept = todo.pop()
            above.add(concept)
            todo += [each for each in taxonomy.parents_of(concept) if each not in above]
        return next(index for index, part in enumerate(parts) if part in above)

    known = {wnid: part_of(wnid) for wnid in set(wnids)}
    return np.unique([known[wnid] for wnid in wnids], return_inverse=True)[1].astype(np.int64)


def split_by_concept(wnids: list[str], y: NDArray[np.int64], split: int) -> Split:
    """Rows to train on and to test on: a fifth of each class's concepts tests."""
    rng, names = np.random.default_rng([split, 0]), np.array(wnids)
    testing: set[str] = set()
    for label in np.unique(y):
        own = rng.permutation(np.unique(names[y == label]))
        testing |= set(own[: max(1, len(own) // 5)])
    tests = np.isin(names, list(testing))
    return np.flatnonzero(~tests), np.flatnonzero(tests)


def split_by_image(wnids: list[str], concepts: int, split: int) -> tuple[Split, NDArray[np.int64]]:
    """Rows to train on and to test on, an image a concept; and the classes: int64[m]."""
    names, counts = np.unique(wnids, return_counts=True)
    whole = names[counts >= 4]
    chosen = whole[np.linspace(0, len(whole) - 1, concepts).astype(int)]
    rows = np.array([np.flatnonzero(np.array(wnids) == each)[:4] for each in chosen])
    y = np.full(len(wnids), -1)
    y[rows] = np.arange(concepts)[:, None]
    return (np.delete(rows, split, axis=1).ravel(), rows[:, split]), y


def data_of(
    x: NDArray[np.float32], y: NDArray[np.int64], parts: Split, n: int, d: int, split: int
) -> ProbeData:
    """Some training rows, the same share of each class, in d dimensions."""
    rng = np.random.default_rng([split, 1])
    train, test = rng.permutation(parts[0]), parts[1]
    rank = np.empty(len(train))  # of a row in its class, from 0 to 1
    for label in np.unique(y[train]):
        own = y[train] == label
        rank[own] = np.arange(own.sum()) / own.sum()
    few = np.sort(train[np.argsort(rank, kind="stable")[:n]])
    if d < x.shape[1]:
        basis, _ = np.linalg.qr(rng.normal(size=(x.shape[1], d)))
        x = (x @ basis).astype(np.float32)
    return ProbeData(x[few], y[few], x[test], y[test], int(y.max()) + 1)


def sizes(concepts: int | None) -> list[tuple[int, int]]:
    """Rows and dimensions of each line."""
    return [(3 * concepts, d) for d in (1280, 320, 80)] if concepts else list(SIZES)


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, default=os.environ.get("COG_IMAGES"))
    parser.add_argument("--features", type=Path)
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--concepts", type=int)
    options = parser.parse_args()
    if options.images is None:
        parser.error("give --images ROOT, or set COG_IMAGES")
    torch.set_num_threads(1)
    x, wnids = features_of(Path(options.images), options.features)
    y = classes_of(wnids)
    for n, d in sizes(options.concepts):
        found: dict[str, list[list[float]]] = {"sgd": [], "lbfgs": []}
        for split in range(options.splits):
            parts = split_by_concept(wnids, y, split)
            if options.concepts:
                parts, y = split_by_image(wnids, options.concepts, split)
            data = data_of(x, y, parts, n, d, split)
            for solver, rows in found.items():
                settings = [
                    ProbeSettings(solver, None, seed, Recipe(), "cpu")
                    for seed in SEEDS[: options.seeds]
                ]
                rows.append([logreg(data, each).top1 for each in settings])
        line: dict[str, Any] = {"measured": "solvers", "n": len(data.train_y), "d": d}
        line |= {"n / d": round(len(data.train_y) / d, 2), "classes": data.n_classes}
        for solver, rows in found.items():
            spread = float(np.sqrt(np.var(rows, axis=1, ddof=1).mean()))
            line[solver] = f"{np.mean(rows):.1f}, deviation {spread:.1f}"
        less = np.subtract(found["lbfgs"], found["sgd"]).ravel()
        line["lbfgs less sgd"] = f"{less.mean():+.1f} ± {sem(less):.1f}"
        print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
