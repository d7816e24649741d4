"""How long a probe takes: each solver of cog, and the plain official loop in the same run.

    python benchmarks/probe.py [--rows 26000 --dim 512 --classes 100 --repeats 3] [--quick]
                               [--only speed,sklearn,accuracy,scaling,memory]

Synthetic features: class means under stronger nuisance directions, rectified, so that top-1 is 60
to 80 % and neither the weakest nor the strongest decay is best. JSON lines on stdout:
- speed: the methods take turns, `--repeats` times; `seconds` is the median. `ratio` is the time of
  the reference over that of the method in each turn: the median, the lowest and the highest;
  `processor_ratio` is the same of processor time, which other work on the machine changes less. The
  reference trains `scaled_from_trials` heads for all their epochs and is scaled up to 30 trials and
  the final fit, which has 1.25 times the rows; SGD runs one round, of ten trials or of one twice,
  and the final fit, and its search is scaled up to 30 trials.
- accuracy: whole runs over the official seeds, top-1 with its standard error over the seeds, and
  the difference to the first method seed by seed. The reference takes minutes a seed:
  `--reference-seeds` limits its seeds.
- sklearn: what a user of scikit-learn would pick otherwise; see sklearn_probes.py.
- scaling: the exponent of the cost in rows, dimension and classes over a factor of 16.
- memory: the peak of a process that loads features of 1 GB and probes them, above that of one that
  has only imported the same.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import reference_probe
import sklearn_probes
import torch
from numpy.typing import NDArray
from scipy.stats import sem

from cog.probes.cost import seconds_of
from cog.probes.data import ProbeData, ProbeResult, ProbeSettings
from cog.probes.features import unit_features
from cog.probes.lbfgs import objective
from cog.probes.logreg import logreg
from cog.probes.sgd import fit_sgd
from cog.recipe import SEEDS, Recipe

OFFICIAL = Recipe()
METHODS: dict[str, tuple[str, Recipe]] = {
    "lbfgs": ("lbfgs", OFFICIAL),
    "lbfgs, all decays": ("lbfgs", replace(OFFICIAL, lbfgs_early_stop=False)),
    "sgd, rounds of 10": ("sgd", OFFICIAL),
    "sgd, rounds of 1": ("sgd", replace(OFFICIAL, trials_per_round=1)),
}
Times = NDArray[np.float64]
FACTOR = 16  # of each size, in the measurement of scaling


def synthetic(
    rows: int, dim: int, classes: int, seed: int = 0, separation: float = 0.45
) -> ProbeData:
    """Features float32 [rows, dim], and 5,000 to test."""
    rng = np.random.default_rng([seed, 0])
    spectrum = np.arange(1, dim + 1) ** -0.5
    means = separation * rng.normal(size=(classes, dim)) * spectrum
    turn, _ = np.linalg.qr(rng.normal(size=(dim, dim)))

    def draw(y: NDArray[np.int64]) -> NDArray[np.float32]:
        hidden = means[y] + 2 * spectrum * rng.normal(size=(len(y), dim))
        return np.maximum(hidden @ turn, 0).astype(np.float32)

    train_y, test_y = np.arange(rows) % classes, np.arange(5000) % classes
    return ProbeData(draw(train_y), train_y, draw(test_y), test_y, classes)


def run(data: ProbeData, solver: str, recipe: Recipe, seed: int) -> ProbeResult:
    """One probe on all training rows."""
    return logreg(data, ProbeSettings(solver, None, seed, recipe, "cpu"))


def clock() -> Times:
    """Seconds on the wall and of the processor; the latter vary less on a busy machine."""
    return np.array([time.perf_counter(), time.process_time()])


def time_reference(data: ProbeData, trials: int) -> Times:
    """Times of the whole protocol, scaled up from a few full trials."""
    x = torch.nn.functional.normalize(torch.from_numpy(data.train_x))
    y = torch.from_numpy(data.train_y)
    torch.manual_seed(0)
    part, _ = reference_probe.split(y)
    x_part, y_part = x[part], y[part]
    begun = clock()
    for _ in range(trials):
        reference_probe.fit(x_part, y_part, data.n_classes, 3.0, 1e-6)
    return (clock() - begun) / trials * (reference_probe.TRIALS + len(y) / len(y_part))


def time_method(data: ProbeData, solver: str, recipe: Recipe, seed: int) -> Times:
    """Times of the whole probe; the search of SGD is scaled up from `trials_timed`."""
    few = replace(recipe, trials=trials_timed(recipe))
    begun = searched = clock()

    def on_progress(done: int, total: int) -> None:
        nonlocal searched
        if done < total:
            searched = clock()

    logreg(data, ProbeSettings(solver, None, seed, few, "cpu"), on_progress)
    scale = recipe.trials / few.trials if solver == "sgd" else 1
    return (searched - begun) * scale + clock() - searched


def trials_timed(recipe: Recipe) -> int:
    """One round, but at least two trials."""
    return max(recipe.trials_per_round, 2)


def measure_speed(data: ProbeData, repeats: int, reference_trials: int) -> Iterator[dict[str, Any]]:
    """Time the methods in turn, several times, after all of them have run once on little data."""
    little = synthetic(500, 16, 5)
    time_reference(little, 1)
    for solver, recipe in METHODS.values():
        time_method(little, solver, replace(recipe, epochs=60, batch_size=100), SEEDS[0])
    times: dict[str, list[Times]] = {name: [] for name in ("reference", *METHODS)}
    for turn in range(repeats):
        times["reference"].append(time_reference(data, reference_trials))
        for name, (solver, recipe) in METHODS.items():
            times[name].append(time_method(data, solver, recipe, SEEDS[turn % len(SEEDS)]))
        print({name: own[-1].round(1).tolist() for name, own in times.items()}, file=sys.stderr)
    for name, own in times.items():
        ratios = np.array(times["reference"]) / np.array(own)
        solver, recipe = METHODS.get(name, ("reference", OFFICIAL))
        scaled = {"reference": reference_trials, "sgd": trials_timed(recipe), "lbfgs": None}[solver]
        yield {
            "benchmark": "speed",
            "method": name,
            "seconds": round(float(np.median(own, axis=0)[0]), 2),
            **{
                f"{kind}{end}": round(float(pick(ratios[:, column])), 2)
                for column, kind in enumerate(("ratio", "processor_ratio"))
                for end, pick in (("", np.median), ("_lowest", np.min), ("_highest", np.max))
            },
            "repeats": repeats,
            "scaled_from_trials": scaled,
        }


def measure_accuracy(
    data: ProbeData, seeds: tuple[int, ...], reference_seeds: int
) -> Iterator[dict[str, Any]]:
    """Whole runs, one line a method."""
    first: list[float] = []
    for name, (solver, recipe) in METHODS.items():
        results = [run(data, solver, recipe, seed) for seed in seeds]
        found = [result.top1 for result in results]
        first = first or found
        line = accuracy_line(name, found, first)
        yield {**line, "hyper": [result.hyper for result in results]}
    train = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    test = torch.from_numpy(data.test_x), torch.from_numpy(data.test_y)
    classes, some = data.n_classes, seeds[:reference_seeds]
    if plain := [reference_probe.probe(train, test, classes, seed) for seed in some]:
        line = accuracy_line("reference", [each.top1 for each in plain], first)
        yield {**line, "hyper": [{"lr": each.lr, "wd": each.wd} for each in plain]}


def accuracy_line(name: str, found: list[float], first: list[float]) -> dict[str, Any]:
    """Mean and standard error over seeds, of top-1 and of the differences to the first method."""
    apart = [own - other for own, other in zip(found, first, strict=False)]
    return {
        "benchmark": "accuracy",
        "method": name,
        "top1": round(statistics.fmean(found), 3),
        "top1_se": error_of(found),
        "minus_first": round(statistics.fmean(apart), 3),
        "minus_first_se": error_of(apart),
        "seeds": len(found),
    }


def error_of(values: list[float]) -> float | None:
    """The standard error of the mean; None, which JSON has, for a single value."""
    return None if len(values) < 2 else round(float(sem(values)), 3)


def measure_scaling(rows: int, dim: int, classes: int) -> Iterator[dict[str, Any]]:
    """Exponents of an L-BFGS evaluation and of an SGD epoch of ten heads."""
    sizes = {"rows": rows, "dim": dim, "classes": classes}
    for grown in sizes:
        small, large = (
            costs_of(**{**sizes, grown: sizes[grown] * factor})
            for factor in (1 / math.sqrt(FACTOR), math.sqrt(FACTOR))
        )
        exponents = {name: round(math.log(large[name] / small[name], FACTOR), 2) for name in small}
        yield {"benchmark": "scaling", "grown": grown, "factor": FACTOR, "exponent": exponents}


def costs_of(rows: float, dim: float, classes: float) -> dict[str, float]:
    """Seconds of the unit of work of each solver: the best of three."""
    rng = np.random.default_rng(0)
    x = rng.random((int(rows), int(dim)), np.float32)
    features = unit_features(x, np.arange(len(x)) % int(classes), "cpu")
    layer, few = torch.zeros(int(classes), features.width), replace(OFFICIAL, epochs=1)
    work = {
        "lbfgs evaluation": lambda: objective(layer, features, 0.0),
        "sgd epoch": lambda: fit_sgd(features, [1.0] * 10, [0.0] * 10, int(classes), few, 22),
    }
    return {name: seconds_of(each, goes=3) for name, each in work.items()}


def measure_memory(gigabytes: float) -> Iterator[dict[str, Any]]:
    """Peaks of processes of their own."""
    for solver in ("lbfgs", "sgd"):
        for dtype in ("float32", "float16"):
            command = [sys.executable, __file__, "--memory-of", solver, dtype, str(gigabytes)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            yield json.loads(done.stdout)


def memory_of(solver: str, dtype: str, gigabytes: float) -> dict[str, Any]:
    """The peak of this process before there are features, and after a short probe."""
    bare, dim, classes = peak_bytes(), 512, 100
    rows = int(gigabytes * 1e9 / dim / np.dtype(dtype).itemsize)
    rng, x = np.random.default_rng(0), np.empty((rows, dim), dtype)
    for start in range(0, rows, 4096):
        x[start : start + 4096] = rng.random(x[start : start + 4096].shape, np.float32)
    y = np.arange(rows) % classes
    recipe = replace(OFFICIAL, epochs=1, trials=10, lbfgs_decays=(1e-4, 1e-5), lbfgs_iterations=2)
    run(ProbeData(x, y, x[:5000], y[:5000], classes), solver, recipe, seed=22)
    above = peak_bytes() - bare
    return {
        "benchmark": "memory",
        "method": f"{solver}, {dtype}",
        "features_bytes": x.nbytes,
        "peak_bytes_above_bare": above,
        "ratio": round(above / x.nbytes, 3),
    }


def peak_bytes() -> int:
    """The highest resident size of this process so far.

    Linux counts what the parent of a process had into its ru_maxrss, but not into VmHWM.
    """
    if platform.system() == "Linux":
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Measure what is asked for, a JSON line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for size, default in (("--rows", 26_000), ("--dim", 512), ("--classes", 100)):
        parser.add_argument(size, type=int, default=default)
    parser.add_argument("--separation", type=float, default=0.45, help="of the class means")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--reference-trials", type=int, default=2, help="timed in each repeat")
    parser.add_argument("--reference-seeds", type=int, default=1, help="of whole reference runs")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="of the accuracies")
    parser.add_argument("--only", default="speed,sklearn,accuracy,scaling,memory")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        solver, dtype, gigabytes = options.memory_of
        print(json.dumps(memory_of(solver, dtype, float(gigabytes))))
        return
    if options.quick:
        options.rows, options.dim, options.classes = 1500, 32, 10
        options.repeats = options.seeds = options.reference_trials = 1
    for line in lines(options):
        print(json.dumps({**line, "cpus": torch.get_num_threads()}), flush=True)


def lines(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The measurements asked for."""
    wanted = options.only.split(",")
    data = synthetic(options.rows, options.dim, options.classes, separation=options.separation)
    if "speed" in wanted:
        yield from measure_speed(data, options.repeats, options.reference_trials)
    if "accuracy" in wanted:
        yield from measure_accuracy(data, SEEDS[: options.seeds], options.reference_seeds)
    if "scaling" in wanted:
        yield from measure_scaling(options.rows, options.dim, options.classes)
    if "sklearn" in wanted:
        yield from sklearn_probes.measure(data, options.repeats, clock)
    if "memory" in wanted:
        yield from measure_memory(0.05 if options.quick else 1.0)


if __name__ == "__main__":
    main()
