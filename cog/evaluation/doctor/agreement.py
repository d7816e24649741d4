"""Whether a device computes what the CPU does: features, probes, the graph of SGD's step.

Each comparison is a function of its own, from which a `Check` is made with a tolerance; the tests
of tests/gpu use the same functions. Nothing is needed from outside: features are drawn.

Of two sets of rows counts the worst row: the length of the difference over the length of the row,
and the cosine. Tolerances are some ten times what was measured on CPUs with drawn images and an
untrained ResNet-50: fp32 0 to 1e-6, fp16 7e-4, bf16 5e-3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from cog.evaluation.doctor.checks import Check, not_tried, tried
from cog.probes.features import UnitFeatures, unit_features
from cog.probes.lbfgs import fit_lbfgs, objective
from cog.probes.ranks import percent_right
from cog.probes.sgd import fit_sgd, make_step, recorded, width_of_layers
from cog.recipe import Recipe
from cog.tf32 import tf32

Rows = NDArray[np.float32]

TOLERANCES = {"fp32": 1e-4, "tf32": 1e-2, "fp16": 1e-2, "bf16": 5e-2}  # of a feature's length
OBJECTIVE, TOP1 = 1e-3, 0.5  # of the objective; points of accuracy
STEPS, GRAPH = 12, 1e-5

_N, _DIM, _CLASSES, _DECAY, _RATE = 4000, 64, 20, 1e-4, 10.0
RECIPE = replace(Recipe(), epochs=10, batch_size=500)


@dataclass(frozen=True)
class Difference:
    """How far rows are from those that were expected, in the worst row."""

    length: float
    """of the difference, over that of the expected row"""
    cosine: float


def difference(found: Rows, expected: Rows) -> Difference:
    """How far features float [m, d] are from others; not finite ones are infinitely far."""
    a, b = found.astype(np.float64), expected.astype(np.float64)
    if not np.isfinite(a).all():
        return Difference(float("inf"), -1.0)
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    apart = np.linalg.norm(a - b, axis=1) / np.maximum(lengths[1], 1e-30)
    cosine = (a * b).sum(axis=1) / np.maximum(lengths[0] * lengths[1], 1e-30)
    return Difference(float(apart.max()), float(cosine.min()))


def check_features(name: str, precision: str, expected: Rows, make: Callable[[], Rows]) -> Check:
    """The features that `make` gives in a precision, against those of the CPU in fp32."""
    most = TOLERANCES[precision]
    words = f"a difference of at most {most:g} of the length"

    def check() -> Check:
        apart = difference(make(), expected)
        return Check(
            name,
            apart.length <= most,
            words,
            f"{apart.length:.1e}, cosine {apart.cosine:.7f}",
            f"use another --precision than {precision} here, and look at the driver and at the "
            "versions of torch and cuDNN",
        )

    return tried(name, words, check)


@dataclass(frozen=True)
class Fitted:
    """A layer that was fitted, judged on the CPU in float64."""

    objective: float
    top1: float
    """percent of the rows that were held back"""


@cache
def drawn_features(seed: int = 0) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Clusters that overlap, as features in float16, and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(_N) % _CLASSES
    centres = rng.normal(size=(_CLASSES, _DIM))
    x = centres[labels] + rng.normal(scale=3.0, size=(_N, _DIM))
    return x.astype(np.float16), labels


def _halves(device: torch.device, dtype: torch.dtype) -> tuple[UnitFeatures, UnitFeatures]:
    """Rows to fit on and rows held back."""
    x, y = drawn_features()
    cut = _N // 2
    return (
        unit_features(x[:cut], y[:cut], str(device), dtype),
        unit_features(x[cut:], y[cut:], str(device), dtype),
    )


def fit_probe(solver: str, device: torch.device, dtype: torch.dtype) -> Fitted:
    """One fit of a solver (lbfgs, sgd) of the drawn features on a device."""
    train, _ = _halves(device, dtype)
    if solver == "lbfgs":
        start = torch.zeros(_CLASSES, train.width, dtype=dtype)
        layer = fit_lbfgs(train, _DECAY, start, tolerance=1e-6, iterations=200).layer
    else:
        layer = fit_sgd(train, [_RATE], [_DECAY], _CLASSES, RECIPE, seed=22)[0]
    own_train, own_test = _halves(torch.device("cpu"), torch.float64)
    layer = layer.cpu().double()
    (top1,) = percent_right(layer[None], own_test)
    return Fitted(objective(layer, own_train, _DECAY)[0], top1)


def check_probe(solver: str, device: torch.device) -> Check:
    """A fit on a device in float32 against that of the CPU in float64."""
    name = f"probe, {solver}"
    expected = fit_probe(solver, torch.device("cpu"), torch.float64)
    words = (
        f"objective {expected.objective:.5f} (to {OBJECTIVE:g}), "
        f"top-1 {expected.top1:.2f} (to {TOP1:g} points)"
    )

    def check() -> Check:
        found = fit_probe(solver, device, torch.float32)
        return Check(
            name,
            alike(found, expected),
            words,
            f"objective {found.objective:.5f}, top-1 {found.top1:.2f}",
            "fit probes with --device cpu, and look at the driver and at the version of torch",
        )

    return tried(name, words, check)


def alike(found: Fitted, expected: Fitted) -> bool:
    """Whether two fits are the same within the tolerances; NaN is like nothing."""
    apart = abs(found.objective - expected.objective) / expected.objective
    return apart <= OBJECTIVE and abs(found.top1 - expected.top1) <= TOP1


@dataclass(frozen=True)
class Steps:
    """The layers after some steps of SGD, and whether they were a recorded graph."""

    layers: Tensor
    recorded: bool


def graph_steps(device: torch.device, products: str = "float32", record: bool = True) -> Steps:
    """Some steps of SGD with two heads, by the recorded graph of a step or by the plain step."""
    train, _ = _halves(device, torch.float32)
    recipe = replace(RECIPE, products=products)
    generator = torch.Generator().manual_seed(0)
    layers = torch.randn(2, _CLASSES, train.width, generator=generator).to(device) / 10
    layers = pad(layers, (0, width_of_layers(train) - train.width))
    velocity = torch.zeros_like(layers)
    rate = layers.new_tensor([_RATE, 1.0])
    plain = step = make_step(layers, velocity, rate, [_DECAY, 0.0], train, recipe)
    rows = torch.split(torch.arange(len(train), device=device), recipe.batch_size)
    with tf32(matrices=products == "tf32", convolutions=False):
        if record:
            step = recorded(plain, rows[0], (layers, velocity))
        for number in range(STEPS):
            step(rows[number % len(rows)])
    return Steps(layers.cpu(), step is not plain)


def largest_difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference of two tensors, over the largest number of the second."""
    return float((found - expected).abs().max() / expected.abs().max())


def check_graph(device: torch.device) -> Check:
    """The recorded step of SGD against the plain step."""
    name = "SGD's step as a CUDA graph"
    words = f"layers within {GRAPH:g} of the plain step's"
    if device.type != "cuda":
        return not_tried(name, words, "no GPU")

    def check() -> Check:
        plain, graph = (graph_steps(device, record=record) for record in (False, True))
        apart = largest_difference(graph.layers, plain.layers)
        return Check(
            name,
            graph.recorded and apart <= GRAPH,
            words,
            f"{apart:.1e} apart" if graph.recorded else "the step could not be recorded",
            "give --solver lbfgs, or fit probes with --device cpu; and look at the driver",
        )

    return tried(name, words, check)
