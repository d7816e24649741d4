"""How far the numbers of `cog.Monitor`'s sample agree with those of whole datasets.

    python benchmarks/monitor.py [--concepts 40] [--train 60] [--test 40] [--seeds 10] [--side 64]

Two datasets of drawn images (cog/demo/drawing.py), of concepts of the official levels 1 and 5.
Networks: EfficientNet-Lite0 (examples/own_model.py) with weights on the straight line from random
to trained ones, in eight steps, each with the mean of the maps of three of its stages: 24 in all.
The number of a whole dataset is that of k-NN, ridge and logreg (L-BFGS) fitted on all of its
training images; that of a sample is of so many training and test images a class, drawn as the
monitor draws them, by several seeds.

A JSON line for each dataset, images a class, and probe of the sample:
- pearson, spearman, kendall: between the numbers of the 24 networks by the sample and by the whole
  dataset, same probe: mean over the seeds, and the lowest. `logreg`: likewise with the whole
  dataset's logreg, mean (spearman).
- noise: standard deviation, over pairs of networks and seeds, of what the sample says of the
  difference of two networks less what the whole dataset says, in points, once the line through the
  numbers of both is taken off (a sample of fewer training images has lower numbers).
- lower: how many points lower the numbers of the sample are, mean over networks and seeds.
- order: percent of pairs of networks at least 2 points apart that the sample puts in their order.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau, pearsonr, spearmanr
from torch import Tensor, nn

import cog
from cog.datasets.dataset import Dataset, DatasetOptions, Named
from cog.datasets.find import find_datasets
from cog.demo.drawing import appearances_of, write_images
from cog.features.forward import embed
from cog.levels.files import read_levels
from cog.monitor.fitting import Probes
from cog.monitor.pixels import decode
from cog.monitor.sample import Sample, draw_sample
from cog.probes.settings import Probing
from cog.recipe import Recipe
from cog.wordnet.information_content import load_information
from cog.wordnet.taxonomy import load_taxonomy

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import own_model

LEVELS = (1, 5)
MIXES = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # share of the trained weights
STAGES = (2, 3, 4)  # of EfficientNet: 40, 112 and 320 channels
PER_CLASS = (20, 10, 5)
PROBES = ("knn", "ridge")
APART = 2.0  # points
Floats = NDArray[np.float64]
Features = list[NDArray[np.float32]]  # of each network [m, d], a row an image


class Stages(nn.Module):
    """The means of the maps of some stages, in a row: float32[b, 3, h, w] → [b, 40 + 112 + 320]."""

    def __init__(self, mix: float) -> None:
        """`mix`: the share of the trained weights."""
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        trained = own_model.load_classifier().state_dict()
        mixed = {
            key: value.lerp(trained[key], mix) if value.is_floating_point() else value
            for key, value in self.network.state_dict().items()
        }
        self.network.load_state_dict(mixed)

    def forward(self, x: Tensor) -> Tensor:
        """The features of a batch of images."""
        maps = self.network.forward_intermediates(x, indices=list(STAGES), intermediates_only=True)
        return torch.cat([each.mean((2, 3)) for each in maps], dim=1)


def drawn_datasets(folder: Path, given: argparse.Namespace) -> tuple[Dataset, ...]:
    """The concepts of some levels, drawn: train and test images of each."""
    taxonomy, levels = load_taxonomy(), read_levels()
    ic, _ = load_information(taxonomy)
    named = []
    for level in LEVELS:
        wnids = levels.wnids(level)[:: 1000 // given.concepts][: given.concepts]
        appearances = appearances_of(taxonomy, ic, wnids, seed=0)
        root = folder / f"level{level}"
        write_images(root / "train", appearances, given.train, seed=0)
        write_images(root / "test", appearances, given.test, seed=0, first=given.train)
        named.append(Named(f"level{level}", root))
    return find_datasets(DatasetOptions(datasets=tuple(named)), levels, Recipe())


def features_of(whole: Sample, given: argparse.Namespace) -> Features:
    """Features of every image of a dataset under each network."""
    preprocess = cog.Preprocess(
        given.side, given.side, "bicubic", own_model.PREPROCESS.mean, own_model.PREPROCESS.std
    )
    pixels = decode(whole, np.arange(len(whole)), preprocess, workers=2).images
    found: Features = []
    for mix in MIXES:
        model = cog.Model(Stages(mix), preprocess=preprocess, name=f"mix {mix}")
        batches = [embed(model, some) for some in torch.split(pixels, 128)]
        ends = np.cumsum([40, 112, 320])[:-1]
        found += [*np.split(np.concatenate(batches), ends, axis=1)]
        print(f"{whole.name}: mix {mix}", file=sys.stderr)
    return found


def top1(sample: Sample, rows: NDArray[np.int64], every: Features, probe: str, seed: int) -> Floats:
    """The top-1 of a probe on a sample, whose features are some `rows`, under each network."""
    probing = Probing((probe,), "lbfgs", seeds=(seed,))
    probes = Probes(probing, Recipe(), ("top1",))
    own = np.arange(len(sample))
    fits = [probes.fit(sample, own, x[rows], "cpu", lambda _: None) for x in every]
    return np.array([value for fit in fits for value in fit.values()])


def rows_of(sample: Sample, whole: Sample) -> NDArray[np.int64]:
    """Which rows of the whole dataset the images of a sample are."""
    keys = [
        [(part.split, path) for part in each.lists for path in part.paths]
        for each in (whole, sample)
    ]
    at = {key: row for row, key in enumerate(keys[0])}
    return np.array([at[key] for key in keys[1]])


def compared(sampled: list[Floats], whole: Floats, logreg: Floats) -> dict[str, Any]:
    """The numbers of samples, by seeds, against those of the whole dataset, of the networks."""
    found: dict[str, Any] = {}
    for name, of in (("pearson", pearsonr), ("spearman", spearmanr), ("kendall", kendalltau)):
        values = [of(each, whole).statistic for each in sampled]
        found[name] = [round(float(np.mean(values)), 3), round(float(np.min(values)), 3)]
    ranked = [spearmanr(each, logreg).statistic for each in sampled]
    found["logreg"] = round(float(np.mean(ranked)), 3)
    first, second = np.triu_indices(len(whole), 1)
    far = abs(whole[first] - whole[second]) >= APART
    right, residuals = [], []
    for each in sampled:
        slope, offset = np.polyfit(each, whole, 1)
        straight = slope * each + offset
        residuals.append((straight - whole)[first] - (straight - whole)[second])
        right.append(np.sign(each[first] - each[second]) == np.sign(whole[first] - whole[second]))
    found["noise"] = round(float(np.std(residuals)), 2)
    found["order"] = round(100 * float(np.mean(np.array(right)[:, far])), 1)
    found["pairs"] = int(far.sum())
    return found


def measured(dataset: Dataset, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A line for each number of images a class, and probe."""
    whole = draw_sample(dataset, (given.train + given.test,), None, seed=0)
    every = features_of(whole, given)
    own = np.arange(len(whole))
    reference = {probe: top1(whole, own, every, probe, 22) for probe in (*PROBES, "logreg")}
    for probe, numbers in reference.items():
        yield {"dataset": dataset.name, "whole": probe, "top1": numbers.round(2).tolist()}
    for count in PER_CLASS:
        samples = [draw_sample(dataset, (count,), None, seed) for seed in range(given.seeds)]
        for probe in PROBES:
            sampled = [
                top1(each, rows_of(each, whole), every, probe, seed)
                for seed, each in enumerate(samples)
            ]
            line = {"dataset": dataset.name, "per_class": count, "probe": probe}
            lower = float(reference[probe].mean() - np.mean(sampled))
            found = compared(sampled, reference[probe], reference["logreg"])
            yield line | {"lower": round(lower, 2)} | found


def main() -> None:
    """Draw, make features, fit, and print the lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (
        ("concepts", 40),
        ("train", 60),
        ("test", 40),
        ("seeds", 10),
        ("side", 64),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for dataset in drawn_datasets(Path(folder), given):
            for line in measured(dataset, given):
                print(json.dumps(line), flush=True)
    print(f"{time.process_time() - begun:.0f} s of processor time", file=sys.stderr)


if __name__ == "__main__":
    main()
