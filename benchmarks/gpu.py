"""What a GPU does: forward passes, feeding, the whole pipeline, and both solvers of the probe.

    python benchmarks/gpu.py [--device cuda] [--seconds 270] [--only forward-resnet50,lbfgs]
    python benchmarks/gpu.py --small --device cpu      # the same code in seconds, on any machine

Needs no images, weights or network. Every step is a process of its own with its own part of the
seconds: one that takes longer is ended, and its line says so. A JSON line each on stdout:
- forward-resnet50, forward-vit: images/s in batches of 256 by precision, by the order of images in
  memory (of the convolutional network), and compiled in the fastest precision, with the seconds
  until its first batch. The next batch is copied while one is computed, as in extraction.
- pipeline: drawn 500 × 375 JPEGs: one core decoding, the feeder alone, the copy, ResNet-50 alone,
  and files to features on disk; `share` is the last over the smaller of feeder and network (on a
  CPU, which both use, over what their times add up to). Also with the resize on the device, and
  with nvJPEG.
- lbfgs: the whole path of decays, on 1.1 million × 2,048 float16 features of 1,000 classes. `share`
  is that of the measured rate of matrix products of its evaluations (those of the final fit are
  not known, and not counted: at least that share).
- sgd: the whole search of 30 trials and the final fit, scaled up from epochs of ten heads and of
  one, for each type of products. `share` as above.
Exit status 1 if a step failed, or if an H100 or H200 misses a target: 20 s for lbfgs, 150 s for sgd
with its fastest products.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch

from cog.cores import usable_cores
from cog.errors import CogError
from cog.evaluation.doctor import speed
from cog.evaluation.doctor.bottleneck import shares
from cog.evaluation.doctor.doctor import readable, untrained_resnet50
from cog.evaluation.doctor.machine import look
from cog.features import rates
from cog.features.forward import Forward, forward_of
from cog.features.settings import Extraction
from cog.images.drawn import drawn_images
from cog.images.preprocess import Preprocess
from cog.models.initialisation import seeded
from cog.models.model import Model
from cog.probes.data import ProbeData, ProbeSettings
from cog.probes.features import UnitFeatures
from cog.probes.logreg import logreg
from cog.probes.sgd import fit_sgd
from cog.recipe import PRODUCTS, SEEDS, Recipe
from cog.tf32 import tf32

Line = dict[str, Any]
CARDS = ("H100", "H200")  # that the targets are for
TARGETS = {"lbfgs": 20.0, "sgd": 150.0}  # seconds
RECIPE = Recipe()
PARTS = {"lbfgs": 4, "sgd": 5, "pipeline": 10, "forward-resnet50": 4, "forward-vit": 4}
"""the steps in their order, each with its part of the seconds that are left"""


def main() -> int:
    """Run every step in a process of its own, and say in a line how each went."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=270.0, help="for all steps together")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--small", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument("--step", choices=PARTS, help="in this process, without a bound")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        show({"benchmark": "gpu", "skipped": "no GPU: torch.cuda.is_available() is False"})
        return 0
    if options.step:
        for line in STEPS[options.step](torch.device(options.device), options):
            show({"benchmark": f"gpu: {options.step}", **line, **provenance(options)})
        return 0
    return run_steps(options)


def run_steps(options: argparse.Namespace) -> int:
    """Each step within its part of what is left of the seconds; gives the exit status."""
    ends = time.monotonic() + options.seconds
    wanted = options.only.split(",")
    status = 0
    for number, step in enumerate(wanted):
        left = max(1.0, ends - time.monotonic())
        bound = left * PARTS[step] / sum(PARTS[each] for each in wanted[number:])
        failure = run_step(step, bound, options)
        if failure:
            show({"benchmark": f"gpu: {step}", "failed": failure, "bound_seconds": round(bound)})
            status = 1
    return status


def run_step(step: str, bound: float, options: argparse.Namespace) -> str:
    """Why a step failed; empty if it did not. Its lines go to stdout as they come."""
    missed = False
    with subprocess.Popen(
        command_of(step, bound, options), stdout=subprocess.PIPE, text=True
    ) as process:
        timer = threading.Timer(bound, process.kill)
        timer.start()
        for text in process.stdout or ():
            print(text, end="", flush=True)
            missed |= '"met": false' in text
        status = process.wait()
        late = not timer.is_alive()
        timer.cancel()
    if late and status:
        return f"it took more than its {bound:.0f} s, and was ended"
    if status:
        return f"it ended with status {status}"
    return "its target is missed" if missed else ""


def command_of(step: str, bound: float, options: argparse.Namespace) -> list[str]:
    """What runs one step in a process of its own."""
    words = [sys.executable, __file__, "--step", step, "--device", options.device]
    return [*words, "--seconds", str(bound), *(["--small"] if options.small else [])]


def show(line: Line) -> None:
    """Print a line of JSON."""
    print(json.dumps(line, ensure_ascii=False), flush=True)


def provenance(options: argparse.Namespace) -> Line:
    """Where and when, and with what."""
    machine = look(torch.device(options.device))
    return {
        "card": machine.gpu or machine.processor,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "small": options.small,
        "cores": machine.cores,
        "driver": machine.driver,
        "versions": machine.versions,
    }


def vit() -> Model:
    """A ViT-B/16 from a fixed seed."""
    from torchvision.models import vit_b_16

    with seeded():
        network = vit_b_16(weights=None)
    network.heads = torch.nn.Identity()
    return Model(network.eval(), preprocess=Preprocess(), name="vit_b_16-untrained")


def small_model() -> Model:
    """Two convolutions, for --small."""
    with seeded():
        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, 2), torch.nn.ReLU(), torch.nn.Conv2d(8, 16, 3, 2),
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        )  # fmt: skip
    return Model(network.eval(), preprocess=Preprocess(32, 32), name="small")


def forward_lines(
    make: Callable[[], Model], device: torch.device, options: argparse.Namespace
) -> Iterator[Line]:
    """Images a second by precision and order of images, then compiled."""
    model = (small_model() if options.small else make()).to(device)
    rows, seconds = (4, 0.05) if options.small else (256, 1.5)
    convolutions = sum(isinstance(part, torch.nn.Conv2d) for part in model.network.modules())
    orders = {"channels first": torch.contiguous_format}
    if convolutions > 1:
        orders["channels last"] = torch.channels_last
    fastest, best = "fp32", 0.0
    for precision in speed.precisions(device):
        line: Line = {"model": model.name, "batch": rows, "precision": precision}
        own = Forward(model, precision)
        line["order by default"] = next(
            (name for name, order in orders.items() if order is own.memory_format), "channels first"
        )
        for name, order in orders.items():
            forward = Forward(model, precision)
            forward.__dict__["memory_format"] = order  # in place of what it would find out
            rate = rows / rates.batch_seconds(forward, rows, seconds)
            line[f"images/s, {name}"] = rounded(rate)
            if rate > best:
                fastest, best = precision, rate
        yield line
    yield compiled_line(model, fastest, rows, seconds)


def compiled_line(model: Model, precision: str, rows: int, seconds: float) -> Line:
    """Images a second of the compiled network, and how long its first batch took."""
    line: Line = {"model": model.name, "batch": rows, "precision": precision, "compile": True}
    how = Extraction(device=str(model.device), precision=precision, compile=True, batch_size=rows)
    said: list[str] = []
    forward = forward_of(model, how, said.append)
    begun = time.perf_counter()
    try:
        forward(torch.zeros((rows, *model.preprocess.shape), dtype=torch.uint8))
    except CogError as error:  # no compiler on this machine
        return {**line, "refused": error.what}
    line["seconds to start"] = round(time.perf_counter() - begun, 1)
    return {**line, "images/s": rounded(rows / rates.batch_seconds(forward, rows, seconds))}


def pipeline_lines(device: torch.device, options: argparse.Namespace) -> Iterator[Line]:
    """Every step of extraction alone and all together."""
    model = (small_model() if options.small else untrained_resnet50()).to(device)
    seconds = 0.1 if options.small else 2.5
    with tempfile.TemporaryDirectory() as folder:
        images = drawn_images(Path(folder) / "images", 4 if options.small else 64)
        setting = speed.Setting(
            model,
            images,
            readable(images),
            usable_cores(),
            seconds,
            Path(folder),
            lambda text: None,
        )
        speeds = speed.measure(setting)
    yield {
        "model": model.name,
        "images/s": {
            "decode, one core": rounded(speeds.decode),
            "feed": {option: rounded(rate) for option, rate in speeds.feed.items()},
            "copy": None if speeds.copy is None else rounded(speeds.copy),
            "network": {option: rounded(rate) for option, rate in speeds.forward.items()},
            "together": {option: rounded(rate) for option, rate in speeds.together.items()},
        },
        "share": {option: round(share, 3) for option, share in shares(speeds).items()},
        "not measured": setting.refused,
    }


def probe_sizes(options: argparse.Namespace) -> tuple[int, int, int]:
    """Rows, dimension and classes of the features of ImageNet-1K under a ResNet-50."""
    return (3000, 32, 10) if options.small else (1_100_000, 2048, 1000)


def drawn_rows(rows: int, dim: int, classes: int, device: torch.device, seed: int) -> UnitFeatures:
    """Features float16 on the device: class means under stronger nuisance directions, rectified."""
    generator = torch.Generator(device).manual_seed(seed)
    same = torch.Generator(device).manual_seed(0)
    spectrum = torch.arange(1, dim + 1, device=device, dtype=torch.float32) ** -0.5
    apart = 0.45 * (512 / dim) ** 0.5  # so that neither all nor no test images are right
    means = apart * torch.randn(classes, dim, generator=same, device=device) * spectrum
    turn, _ = torch.linalg.qr(torch.randn(dim, dim, generator=same, device=device))
    labels = torch.arange(rows, device=device) % classes
    source = torch.empty(rows, dim, dtype=torch.float16, device=device)
    scale = torch.empty(rows, 1, device=device)
    for some in torch.split(torch.arange(rows, device=device), 65_536):
        noise = torch.randn(len(some), dim, generator=generator, device=device)
        x = ((means[labels[some]] + 2 * spectrum * noise) @ turn).clamp_(min=0)
        source[some] = x.half()
        scale[some] = 1 / source[some].float().norm(dim=1, keepdim=True).clamp_(min=1e-6)
    return UnitFeatures(source, scale, labels, torch.arange(rows, device=device))


def product_rate(device: torch.device, products: str, small: bool) -> float:
    """Additions and multiplications a second of a large matrix product of a type."""
    size = 256 if small else 8192
    kind = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(products, torch.float32)
    x = torch.randn(size, size, device=device).to(kind)

    def work() -> None:
        x @ x
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with tf32(matrices=products == "tf32", convolutions=False):
        return 2 * size**3 / rates.median_seconds(work, 0.1 if small else 1.0)


def lbfgs_lines(device: torch.device, options: argparse.Namespace) -> Iterator[Line]:
    """The whole path of decays, its search and final fit."""
    rows, dim, classes = probe_sizes(options)
    rate = product_rate(device, "float32", options.small)
    train = drawn_rows(rows, dim, classes, device, 1)
    test = drawn_rows(max(1000, rows // 22), dim, classes, device, 2)
    data = ProbeData(  # the features are on the device; these arrays are never read
        np.empty((rows, dim), np.float16), train.labels.cpu().numpy(),
        np.empty((len(test), dim), np.float16), test.labels.cpu().numpy(), classes,
    )  # fmt: skip
    data.on_device[str(device)] = train, test
    begun = time.perf_counter()
    result = logreg(data, ProbeSettings("lbfgs", None, SEEDS[0], RECIPE, str(device)))
    seconds = time.perf_counter() - begun
    evaluations = sum(int(trial["evaluations"]) for trial in result.trials)
    searched = rows * (1 - RECIPE.validation_share)
    operations = evaluations * 4 * searched * classes * (dim + 1) + 2 * searched * (dim + 1) ** 2
    yield {
        **sized(options),
        "seconds": round(seconds, 2),
        "share": round(operations / seconds / rate, 3),
        "products/s": rate,
        "decays": len(result.trials),
        "evaluations": evaluations,
        "top1": round(result.top1, 2),
        **target("lbfgs", seconds, device, options),
    }


def sgd_lines(device: torch.device, options: argparse.Namespace) -> Iterator[Line]:
    """Search and final fit, scaled up from an epoch of a round of heads and one of one head."""
    rows, dim, classes = probe_sizes(options)
    train = drawn_rows(rows, dim, classes, device, 1)
    per_round = RECIPE.trials_per_round
    lines = []
    for products in PRODUCTS if device.type == "cuda" else PRODUCTS[:1]:
        rate = product_rate(device, products, options.small)
        round_of, single = (
            epoch_seconds(train, heads, classes, products) for heads in (per_round, 1)
        )
        searched = 1 - RECIPE.validation_share  # of the rows
        rounds = RECIPE.trials / per_round
        seconds = RECIPE.epochs * (rounds * searched * round_of + single)
        operations = 4 * rows * classes * (dim + 1)  # of an epoch and head
        lines.append({
            **sized(options),
            "products": products,
            "seconds": round(seconds, 1),
            "epoch of ten heads": round(round_of, 3),
            "epoch of one": round(single, 3),
            "share": round(per_round * operations / round_of / rate, 3),
            "products/s": rate,
        })  # fmt: skip
        yield lines[-1]
    best = min(lines, key=lambda line: line["seconds"])
    yield {
        **sized(options), "fastest": best["products"], "seconds": best["seconds"],
        **target("sgd", best["seconds"], device, options),
    }  # fmt: skip


def epoch_seconds(features: UnitFeatures, heads: int, classes: int, products: str) -> float:
    """Seconds of an epoch: of three epochs, less those of one, which also prepares the fit."""
    lrs, wds = list(np.geomspace(0.1, 10, heads)), [1e-6] * heads
    taken = []
    for epochs in (1, 1, 3):  # the first warms up
        recipe = replace(RECIPE, epochs=epochs, products=products)
        begun = time.perf_counter()
        float(fit_sgd(features, lrs, wds, classes, recipe, SEEDS[0]).abs().sum())
        taken.append(time.perf_counter() - begun)
    return max(taken[2] - taken[1], 1e-6) / 2


def sized(options: argparse.Namespace) -> Line:
    """The sizes of the features."""
    rows, dim, classes = probe_sizes(options)
    return {"rows": rows, "dim": dim, "classes": classes, "dtype": "float16"}


def target(step: str, seconds: float, device: torch.device, options: argparse.Namespace) -> Line:
    """The target of a step, and whether it is met on the cards that it is for."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    meant = any(name in card for name in CARDS) and not options.small
    return {"target": TARGETS[step], "met": seconds <= TARGETS[step] if meant else None}


def rounded(rate: float) -> float:
    """A rate with as many digits as mean something."""
    return round(rate, 1 if rate < 100 else None)


STEPS: dict[str, Callable[[torch.device, argparse.Namespace], Iterator[Line]]] = {
    "forward-resnet50": lambda device, options: forward_lines(untrained_resnet50, device, options),
    "forward-vit": lambda device, options: forward_lines(vit, device, options),
    "pipeline": pipeline_lines,
    "lbfgs": lbfgs_lines,
    "sgd": sgd_lines,
}


if __name__ == "__main__":
    sys.exit(main())
