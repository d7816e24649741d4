"""How far features of A augmented views are from fresh crops in each epoch.

    COG_IMAGES=FOLDER python benchmarks/views.py [--concepts 80] [--side 128] [--seeds 5]

Images: concepts with four images, FOLDER/<wnid>/*, such as drawings in four styles. Each of the
four tests in turn, by its centre crop, and the other three train. Network: EfficientNet-Lite0 with
its ImageNet weights (examples/own_model.py). `EPOCHS` epochs of the SGD of the probe `augmented`,
at each of `RATES`:
- fresh: a crop of each image in each epoch that no other epoch has;
- A: so many crops of each image, drawn among the same, of which an epoch takes one at random;
- none: centre crops.

A JSON line each: `top1` at the rate that is best for fresh crops, the mean over images that test
and seeds; `difference` from fresh crops in points, with its standard error over these pairs; and
`by_rate`. Memory: 1,280 numbers of float16 a crop, concepts × 4 × 57 of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cog.features.forward import embed
from cog.images.decoding import decode
from cog.images.views import put_views
from cog.probes import sgd
from cog.probes.features import unit_features
from cog.probes.ranks import percent_right
from cog.recipe import SEEDS, Recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import own_model

EPOCHS, VIEWS = 40, 56
RATES = [10 ** (half / 2) for half in range(-5, 1)]
COUNTS = (1, 2, 4, 8, 16)
RECIPE = Recipe(epochs=EPOCHS, batch_size=128)
Crops = NDArray[np.float16]


def main() -> None:
    """Print one JSON line a kind of training features."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for name, default in (("concepts", 80), ("side", 128), ("seeds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    crops = crops_of(Path(os.environ["COG_IMAGES"]), args.concepts, args.side)
    found: dict[str, list[list[float]]] = {}
    for image in range(4):
        for seed in SEEDS[: args.seeds]:
            for name, top1 in by_rates(crops, image, seed):
                found.setdefault(name, []).append(top1)
    tops = {name: np.array(each) for name, each in found.items()}
    best = int(tops["fresh"].mean(0).argmax())
    for name, each in tops.items():
        apart = each[:, best] - tops["fresh"][:, best]
        error = apart.std(ddof=1) / len(apart) ** 0.5
        line = {"views": name, "rate": RATES[best], "top1": each[:, best].mean()}
        line |= {"difference": apart.mean(), "error": error, "by_rate": each.mean(0).tolist()}
        print(json.dumps(line), flush=True)


def crops_of(root: Path, concepts: int, side: int) -> Crops:
    """Features [concepts, 4, 1 + VIEWS, d] of the centre crop and the views of each image."""
    model = own_model.load()
    model.preprocess = replace(model.preprocess, resize=side, crop=side)
    geometry = model.preprocess.geometry
    folders = [each for each in sorted(root.iterdir()) if len(list(each.iterdir())) == 4]
    rows = []
    for folder in np.random.default_rng(0).permutation(np.array(folders))[:concepts]:
        for file in sorted(folder.iterdir()):
            pixels = np.empty((1 + VIEWS, 3, side, side), np.uint8)
            path = str(file.relative_to(root))
            put_views(decode(file.read_bytes()), path, geometry, "torchvision", pixels)
            rows.append(embed(model, torch.from_numpy(pixels)).astype(np.float16))
    return np.stack(rows).reshape(concepts, 4, 1 + VIEWS, -1)


def by_rates(crops: Crops, image: int, seed: int) -> Iterator[tuple[str, list[float]]]:
    """Top-1 at each rate by each kind of training features, where one of the four images tests."""
    n_classes, labels = len(crops), np.repeat(np.arange(len(crops)), 3)
    train = np.delete(crops, image, axis=1).reshape(3 * n_classes, 1 + VIEWS, -1)
    tests = np.ascontiguousarray(crops[:, image, 0])
    test = unit_features(tests, np.arange(n_classes), "cpu", to_length_1=False)
    rng, usual = np.random.default_rng([seed, image]), sgd.batches
    for name in ("fresh", *map(str, COUNTS), "none"):
        own = train[:, :1] if name == "none" else train[:, 1:]
        if name.isdigit():
            drawn = np.stack([rng.permutation(VIEWS)[: int(name)] for _ in labels])
            own = own[np.arange(len(own))[:, None], drawn]
        flat = np.ascontiguousarray(own).reshape(-1, own.shape[2])
        features = unit_features(flat, np.repeat(labels, own.shape[1]), "cpu", to_length_1=False)
        sgd.batches = fresh_batches if name == "fresh" else usual
        wds = [0.0] * len(RATES)
        layers = sgd.fit_sgd(features, RATES, wds, n_classes, RECIPE, seed, own.shape[1])
        sgd.batches = usual
        yield name, percent_right(layers, test)


def fresh_batches(
    n_rows: int, size: int, seed: int, epoch: int, device: torch.device | str, views: int
) -> Iterator[Tensor]:
    """As `sgd.batches`, with a view of each image that no epoch before had."""
    order = torch.randperm(n_rows // views, generator=sgd.generator_of(seed, 1, epoch))
    orders = torch.rand(len(order), views, generator=torch.Generator().manual_seed(seed)).argsort(1)
    return iter(torch.split(order * views + orders[order, epoch], size))


if __name__ == "__main__":
    main()
