"""What the ways to compute features change, and what they cost: precisions, layout, compiling.

    python benchmarks/precision.py [--images ROOT] [--classes 242] [--seeds 3] [--only NAME,…]

A JSON line for each measurement, all on the CPU:
- precision: features of a trained EfficientNet-Lite0 (examples/own_model.py) of the images in
  ROOT/<wnid>/* (by default those of COG_IMAGES), whole classes, in fp32, tf32, bf16 and fp16. TF32
  is emulated: the input and the weights of every convolution and linear layer are rounded to 10
  bits of mantissa, as a GPU rounds the factors of its products; sums are those of float32. Cosine
  to fp32 and its lowest; top-1 of probes, one image of every class testing in turn, and the paired
  difference to fp32 in points, with a 95 % interval over images (an image counts once, with the
  mean of its seeds).
- layout: channels_last against the usual order, on one core: the ratio of processor time of
  interleaved turns, median (range), and the largest difference of a row over its length.
- compile: torch.compile likewise; seconds until the first batch is there; and whether a second
  process, with a cache of its own, makes the same bytes. ResNet-18 and a small ViT, untrained.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from differences import fit, image_files, own_model
from numpy.typing import NDArray
from torch import Tensor, nn

from cog.features.forward import Forward
from cog.images.preprocess import Preprocess
from cog.models.model import Model
from cog.probes.data import ProbeData

BATCH, TURNS = 16, 7
PROBES = (("logreg", "lbfgs"), ("knn", "exact"))
NETWORKS = ("resnet18", "vit_tiny_patch16_224")  # of timm
Floats = NDArray[np.float32]


def rounded(x: Tensor) -> Tensor:
    """Float32 rounded to 10 bits of mantissa, to the nearest, halves to even."""
    bits = x.contiguous().view(torch.int32)
    half = 0x0FFF + ((bits >> 13) & 1)
    return ((bits + half) & ~0x1FFF).view(torch.float32)


def with_tf32(model: Model) -> Model:
    """The model, with the factors of its products rounded."""
    network = copy.deepcopy(model.network)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.weight.data = rounded(part.weight.data)
            part.register_forward_pre_hook(lambda _, given: (rounded(given[0]),))
    return Model(network, preprocess=model.preprocess, name=model.name)


def features(forward: Forward, pixels: Tensor) -> Floats:
    """Features of all images."""
    return np.concatenate([forward(part) for part in pixels.split(BATCH)])


def measure_precision(root: Path, classes: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Cosine and top-1 by precision."""
    files, model = image_files(root, classes), own_model()
    flat = [path for own in files for path in own]
    pixels = torch.stack([model.preprocess.load(path.read_bytes()) for path in flat])
    forwards = {name: Forward(model, name) for name in ("fp32", "bf16", "fp16")}
    forwards["tf32, emulated"] = Forward(with_tf32(model))
    found = {name: features(forward, pixels) for name, forward in forwards.items()}
    unit = {name: x / np.linalg.norm(x, axis=1, keepdims=True) for name, x in found.items()}
    right = {
        (name, probe): _right(x, files, probe, solver, seeds)
        for name, x in found.items()
        for probe, solver in PROBES
    }
    for name in found:
        cosine = (unit[name].astype(np.float64) * unit["fp32"]).sum(axis=1)
        line = {"measured": "precision", "precision": name, "classes": classes}
        line |= {"images": len(flat), "cosine": f"{cosine.mean():.7f}"}
        line |= {"lowest cosine": f"{cosine.min():.7f}"}
        for probe, _ in PROBES:
            own, usual = right[name, probe], right["fp32", probe]
            line[probe] = f"{own.mean():.2f}"
            line[f"{probe} less fp32"] = interval(own - usual)
        yield line


def _right(x: Floats, files: list[list[Path]], probe: str, solver: str, seeds: int) -> Floats:
    """For each image 100 where its class came first, else 0: the mean of the seeds."""
    each = len(files[0])
    y = np.repeat(np.arange(len(files)), each)
    place = np.tile(np.arange(each), len(files))
    right = np.zeros(len(x), np.float32)
    for fold in range(each):
        test = place == fold
        data = ProbeData(x[~test], y[~test], x[test], y[test], len(files))
        results = [fit(data, probe, solver, seed).ranks == 0 for seed in range(seeds)]
        right[test] = 100 * np.mean(results, axis=0)
    return right


def interval(values: Floats) -> str:
    """`+0.10 ± 0.21`: the mean of paired differences, and 1.96 standard errors."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.2f} ± {1.96 * error:.2f}"


def untrained(name: str) -> Model:
    """A network of timm with weights from a fixed seed."""
    torch.manual_seed(0)
    return Model(timm.create_model(name, num_classes=0), preprocess=Preprocess(), name=name)


def some_images() -> Tensor:
    """A batch of noise."""
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, *Preprocess().shape)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def apart(one: Floats, other: Floats) -> str:
    """The largest difference of a row over its length."""
    share = np.linalg.norm(one - other, axis=1) / np.linalg.norm(other, axis=1)
    return f"{share.max():.1e}"


def usual_over(usual: Forward, other: Forward, pixels: Tensor) -> str:
    """How many times as long the usual way takes: median (range) of interleaved turns."""
    ratios = []
    for _ in range(TURNS + 1):  # the first warms up
        seconds = []
        for forward in (usual, other):
            start = time.process_time()
            forward(pixels)
            seconds.append(time.process_time() - start)
        ratios.append(seconds[0] / seconds[1])
    own = ratios[1:]
    return f"{statistics.median(own):.2f} ({min(own):.2f} to {max(own):.2f})"


def measure_layout() -> Iterator[dict[str, Any]]:
    """channels_last on a CPU, where it is not used."""
    pixels = some_images()
    for model in (own_model(), *map(untrained, NETWORKS)):
        usual, other = Forward(model), Forward(model)
        other.memory_format = torch.channels_last
        line = {"measured": "layout", "network": model.name}
        line["apart"] = apart(other(pixels), usual(pixels))
        yield line | {"times as fast": usual_over(usual, other, pixels)}


def measure_compile() -> Iterator[dict[str, Any]]:
    """torch.compile."""
    for name in NETWORKS:
        digests = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as cache:
                done = subprocess.run(
                    [sys.executable, __file__, "--compile-one", name],
                    env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache},
                    stdout=subprocess.PIPE,
                    check=True,
                )
            line = json.loads(done.stdout)
            digests.append(line.pop("digest"))
        yield line | {"two processes": "same bytes" if len(set(digests)) == 1 else "differ"}


def compile_one(name: str) -> dict[str, Any]:
    """One network, compiled in this process."""
    pixels, model = some_images(), untrained(name)
    usual, other = Forward(model), Forward(model, compile_rows=BATCH)
    start, began = time.perf_counter(), time.process_time()
    found = other(pixels)
    seconds, processor = time.perf_counter() - start, time.process_time() - began
    return {
        "measured": "compile", "network": name, "apart": apart(found, usual(pixels)),
        "seconds to start": round(seconds), "of this process's processor": round(processor),
        "times as fast": usual_over(usual, other, pixels),
        "digest": hashlib.sha256(found.tobytes()).hexdigest(),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    root = os.environ.get("COG_IMAGES")
    parser.add_argument("--images", type=Path, metavar="ROOT", default=root and Path(root))
    parser.add_argument("--classes", type=int, default=242)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="precision,layout,compile")
    parser.add_argument("--compile-one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.compile_one:
        print(json.dumps(compile_one(given.compile_one)))
        return
    measurements: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "precision": lambda: measure_precision(given.images, given.classes, given.seeds),
        "layout": measure_layout,
        "compile": measure_compile,
    }
    for name in given.only.split(","):
        if name == "precision" and not given.images:
            continue
        for line in measurements[name]():
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
