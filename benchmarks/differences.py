"""By how much cog differs from the benchmark's public code: the sizes in docs/differences.md.

    python benchmarks/differences.py [--images ROOT] [--seeds 20] [--classes 60] [--only NAME,…]

A JSON line for each measurement, top-1 in percent with standard errors:
- search: the digits of scikit-learn, odd rows to train on and even ones to test. The plain official
  loop (reference_probe.py), SGD with shared start and batches in rounds of one, and of ten; paired
  differences to the loop over the seeds; how many of the trials diverged.
- shots: the same for N images a class; the loop draws other N for the final fit.
- images: features of examples/own_model.py of the images in ROOT/<wnid>/* (by default those of
  COG_IMAGES; without either, images and truncated are left out), whole classes; the
  last image of each class tests, then the last but one, and so on. Features as float32 against
  float16, and torchvision's decoder and resizing against Pillow's, under four probes.
- truncated: each of the images cut in half, as Pillow reads it with its switch and as cog does.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import reference_probe
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile
from scipy.stats import sem
from sklearn.datasets import load_digits

import cog
from cog.images.decoding import Unreadable, decode_for
from cog.probes.data import ProbeData, ProbeResult, ProbeSettings
from cog.probes.search import SCORE
from cog.probes.table import PROBES
from cog.recipe import Recipe

Floats = NDArray[np.float64]
RECIPE = Recipe()
PROBES_OF_IMAGES = (("logreg", "lbfgs"), ("knn", "exact"), ("ncm", "exact"), ("ridge", "exact"))
BATCH = 32


def digits() -> ProbeData:
    """The digits of scikit-learn: 8 × 8 pixels, ten classes."""
    x, y = load_digits(return_X_y=True)
    x, y = x.astype(np.float32), y.astype(np.int64)
    return ProbeData(x[1::2], y[1::2], x[::2], y[::2], 10)


def fit(data: ProbeData, probe: str, solver: str, seed: int, **settings: Any) -> ProbeResult:
    """The result of one probe of cog."""
    recipe = replace(RECIPE, trials_per_round=settings.pop("per_round", 10))
    chosen = ProbeSettings(solver, settings.pop("shots", None), seed, recipe, "cpu")
    return PROBES[probe].fit(data, chosen, lambda *_: None)


def loop(data: ProbeData, seed: int, shots: int | None) -> float:
    """Top-1 of the plain official loop; with N shots it draws N for the search and N others."""
    train = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    test = torch.from_numpy(data.test_x), torch.from_numpy(data.test_y)
    if shots is None:
        return reference_probe.probe(train, test, data.n_classes, seed).top1
    torch.manual_seed(seed)
    x, y = torch.nn.functional.normalize(train[0]), train[1]
    fitted, held = reference_probe.split(y)
    few = fitted[_draw(y[fitted], shots)]
    best = reference_probe.best_pair(
        (x[few], y[few]), (x[held], y[held]), data.n_classes, seed, reference_probe.TRIALS
    )
    again = _draw(y, shots)
    model = reference_probe.fit(x[again], y[again], data.n_classes, best["lr"], best["wd"])
    return reference_probe.top1(model, torch.nn.functional.normalize(test[0]), test[1])


def _draw(y: torch.Tensor, shots: int) -> torch.Tensor:
    own = [torch.nonzero(y == label).flatten() for label in y.unique()]
    return torch.cat([rows[torch.randperm(len(rows))[:shots]] for rows in own])


def mean_and_error(values: Floats) -> str:
    """`96.31 ± 0.04`, over seeds or folds."""
    return f"{values.mean():.2f} ± {sem(values):.2f}"


def measure_search(seeds: int, shots: int | None = None) -> Iterator[dict[str, Any]]:
    """The official loop against ours, seed by seed."""
    data = digits()
    top1: dict[str, list[float]] = {}
    diverged = []
    for seed in range(seeds):
        top1.setdefault("loop", []).append(loop(data, seed, shots))
        for name, per_round in (("rounds of 1", 1), ("rounds of 10", 10)):
            result = fit(data, "logreg", "sgd", seed, per_round=per_round, shots=shots)
            top1.setdefault(name, []).append(result.top1)
            diverged += [trial[SCORE] == 0 for trial in result.trials]
    base = np.array(top1.pop("loop"))
    line = {"measured": "search", "shots": shots or "all", "seeds": seeds}
    line |= {"loop": mean_and_error(base), "diverged": f"{sum(diverged)} of {len(diverged)}"}
    for name, values in top1.items():
        line[name] = mean_and_error(np.array(values))
        line[f"{name} less loop"] = mean_and_error(np.array(values) - base)
    both = np.array(top1["rounds of 10"]) - np.array(top1["rounds of 1"])
    yield line | {"rounds of 10 less rounds of 1": mean_and_error(both)}


def measure_shots(seeds: int) -> Iterator[dict[str, Any]]:
    """The same with few shots."""
    for shots in (1, 4, 16):
        yield from measure_search(seeds, shots)


def image_files(root: Path, classes: int) -> list[list[Path]]:
    """The images of some classes, evenly chosen; every class has as many as the smallest."""
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    chosen = [folders[int(k)] for k in np.linspace(0, len(folders) - 1, classes)]
    files = [sorted(folder.iterdir()) for folder in chosen]
    return [own[: min(map(len, files))] for own in files]


def own_model() -> cog.Model:
    """The network of examples/own_model.py."""
    path = Path(__file__).parents[1] / "examples" / "own_model.py"
    spec = importlib.util.spec_from_file_location("own_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: cog.Model = module.load()
    return model


def measure_images(root: Path, classes: int) -> Iterator[dict[str, Any]]:
    """float32 against float16, and one decoder against the other."""
    files, model = image_files(root, classes), own_model()
    flat = [path for own in files for path in own]
    pixels: dict[str, torch.Tensor] = {}
    features: dict[str, NDArray[np.float32]] = {}
    for decoder in ("torchvision", "pillow"):
        loaded = [model.preprocess.load(path.read_bytes(), decoder) for path in flat]
        pixels[decoder] = torch.stack(loaded)
        parts = [
            model.embed(model.preprocess.normalise(part)).numpy()
            for part in pixels[decoder].split(BATCH)
        ]
        features[decoder] = np.concatenate(parts)
    apart = (pixels["torchvision"].int() - pixels["pillow"].int()).abs()
    one, other = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in features.values())
    cosine = (one * other).sum(axis=1)
    yield {
        "measured": "resize", "images": len(flat), "pixels apart": f"{apart.float().mean():.4f}",
        "at most": int(apart.max()), "cosine": f"{cosine.mean():.7f}",
        "lowest cosine": f"{cosine.min():.7f}",
    }  # fmt: skip
    x = features["torchvision"]
    kinds = {"float32": x, "float16": x.astype(np.float16), "pillow": features["pillow"]}
    for probe, solver in PROBES_OF_IMAGES:
        top1 = {name: _folds(own, files, probe, solver) for name, own in kinds.items()}
        line = {"measured": "top-1", "probe": f"{probe}-{solver}", "classes": classes}
        yield line | {name: [round(value, 2) for value in values] for name, values in top1.items()}


def _folds(x: NDArray[Any], files: list[list[Path]], probe: str, solver: str) -> list[float]:
    """Top-1 of each fold: one image of every class tests."""
    each = len(files[0])
    y = np.repeat(np.arange(len(files)), each)
    place = np.tile(np.arange(each), len(files))
    found = []
    for fold in range(each):
        test = place == fold
        data = ProbeData(x[~test], y[~test], x[test], y[test], len(files))
        found.append(fit(data, probe, solver, 22).top1)
    return found


def measure_truncated(root: Path, classes: int) -> Iterator[dict[str, Any]]:
    """Cut images as Pillow reads them with its switch, and as cog does."""
    counts = {"images": 0, "read by Pillow": 0, "read": 0, "equal": 0, "refused": 0}
    for path in (path for own in image_files(root, classes) for path in own):
        data = path.read_bytes()
        data = data[: len(data) // 2]
        counts["images"] += 1
        ours, theirs = _read(data), _read_by_pillow(data)
        counts["read"] += ours is not None
        counts["read by Pillow"] += theirs is not None
        if ours is not None and theirs is not None:
            counts["equal"] += ours.shape == theirs.shape and bool((ours == theirs).all())
        counts["refused"] += _read(data, "refuse") is None
    yield {"measured": "truncated"} | counts


def _read(data: bytes, truncated: str = "read") -> NDArray[np.uint8] | None:
    try:
        pixels: NDArray[np.uint8] = decode_for(
            lambda image: image.permute(1, 2, 0).numpy(), data, "pillow", truncated
        )[0]
    except Unreadable:
        return None
    return pixels


def _read_by_pillow(data: bytes) -> NDArray[np.uint8] | None:
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        return np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    except Exception:  # Pillow raises many things
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    root = os.environ.get("COG_IMAGES")
    parser.add_argument("--images", type=Path, metavar="ROOT", default=root and Path(root))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--classes", type=int, default=60)
    parser.add_argument("--only", default="search,shots,images,truncated")
    given = parser.parse_args()
    names = [name for name in given.only.split(",") if given.images or name in ("search", "shots")]
    measurements: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "search": lambda: measure_search(given.seeds),
        "shots": lambda: measure_shots(given.seeds),
        "images": lambda: measure_images(given.images, given.classes),
        "truncated": lambda: measure_truncated(given.images, given.classes),
    }
    for name in names:
        for line in measurements[name]():
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
