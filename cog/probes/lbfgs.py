"""Softmax regression by L-BFGS on all rows: a convex problem, run to its optimum.

In: features with a last column of ones, labels, a weight decay, where to start.
Out: the layer [c, d + 1] that minimises mean cross-entropy + wd/2 · (|W|² + |b|²).
- scipy's L-BFGS-B searches (its line search is the most tried one); torch computes the objective
  and its gradient, on the device of the features, in blocks of rows: no n × c matrix is made.
- Products are made in the type of the features, sums over rows in float64: the line search
  compares objectives that differ in the seventh digit.
- It stops when the largest entry of the gradient is `tolerance` times that of the gradient at zero
  weights (a scale of the data alone), or when no step lowers the objective by more than the type of
  the features can tell.
Source: ours (the official solver is SGD). Cost: 4·n·c·(d + 1) operations an evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from cog.probes.parts import BLOCK

HISTORY = 10
OUT_OF_ITERATIONS = 1  # scipy's status; 2 is a line search that finds nothing lower
NOISE = 0.01  # of the objective, in roundings of its type: the mean of many rows has less than one


@dataclass(frozen=True)
class Optimum:
    """Where L-BFGS ended."""

    layer: Tensor
    """[c, d + 1], the last column is the bias"""
    evaluations: int
    converged: bool
    """False if its iterations ran out"""


def fit_lbfgs(
    x: Tensor, y: Tensor, wd: float, start: Tensor, tolerance: float, iterations: int
) -> Optimum:
    """Minimise the objective from a start.

    Args:
        x: float32 or float64 [n, d + 1], the last column ones; on the device that does the work.
        y: int64[n], on the same device.
        wd: weight decay, for the bias too; at least 0.
        start: [c, d + 1].
        tolerance: on the gradient, relative to that at zero weights.
        iterations: at most so many, and twice as many evaluations.
    """
    evaluations = 0

    def evaluate(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The objective and its gradient for a flat layer."""
        nonlocal evaluations
        evaluations += 1
        value, gradient = objective(torch.from_numpy(weights).view(start.shape), x, y, wd)
        return value, gradient.numpy().ravel()

    _, gradient_at_zero = objective(torch.zeros_like(start), x, y, wd)
    wanted = tolerance * float(gradient_at_zero.abs().max())
    found = minimize(
        evaluate,
        start.double().cpu().numpy().ravel(),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxcor": HISTORY,
            "gtol": wanted,
            "ftol": NOISE * torch.finfo(x.dtype).eps,
            "maxiter": iterations,
            "maxfun": 2 * iterations,
        },
    )
    layer = torch.from_numpy(found.x).view(start.shape).to(x)
    return Optimum(layer, evaluations, found.status != OUT_OF_ITERATIONS)


def objective(layer: Tensor, x: Tensor, y: Tensor, wd: float) -> tuple[float, Tensor]:
    """Mean cross-entropy + wd/2 · |layer|², and its gradient: float64 [c, d + 1], on the CPU."""
    at = layer.to(x)
    loss = torch.zeros((), dtype=torch.float64, device=x.device)
    gradient = torch.zeros(at.shape, dtype=torch.float64, device=x.device)
    for rows, labels in zip(torch.split(x, BLOCK), torch.split(y, BLOCK), strict=True):
        log_p = (rows @ at.T).log_softmax(dim=1)
        loss -= log_p.gather(1, labels[:, None]).sum(dtype=torch.float64)
        error = log_p.exp_()
        error[torch.arange(len(labels), device=x.device), labels] -= 1
        gradient += error.T @ rows
    exact = layer.double().cpu()
    value = float(loss) / len(x) + 0.5 * wd * float(exact.square().sum())
    return value, gradient.cpu().div_(len(x)).add_(exact, alpha=wd)
