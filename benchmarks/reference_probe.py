"""The official probe as plain as can be: one head after another, for comparison only.

torch.nn.Linear, cross-entropy and torch.optim.SGD on features that lie on the device; batches by a
permutation of the rows; 30 trials proposed by TPE and the final fit. Nothing of cog is used, so
that the comparison is with the loop that the public code runs (logreg.py, iterators.py).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import optuna
import torch
from torch import Tensor
from torch.nn import functional

LR, WD = (1e-1, 1e2), (1e-12, 1e-4)
TRIALS, EPOCHS, BATCH, MOMENTUM = 30, 100, 1024, 0.9
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Outcome:
    """What the loop found: percent on the test rows, and the pair it chose."""

    top1: float
    lr: float
    wd: float


def probe(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    n_classes: int,
    seed: int,
    trials: int = TRIALS,
) -> Outcome:
    """The whole protocol: search on a split of the training rows, fit on all, score."""
    torch.manual_seed(seed)
    x, y = functional.normalize(train[0].float()), train[1]
    fitted, held = split(y)
    part, validation = (x[fitted], y[fitted]), (x[held], y[held])
    best = best_pair(part, validation, n_classes, seed, trials)
    model = fit(x, y, n_classes, best["lr"], best["wd"])
    return Outcome(top1(model, functional.normalize(test[0].float()), test[1]), **best)


def best_pair(
    part: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    n_classes: int,
    seed: int,
    trials: int,
) -> dict[str, float]:
    """The learning rate and decay that TPE finds, judged on validation rows."""

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", *LR, log=True)
        wd = trial.suggest_float("wd", *WD, log=True)
        return top1(fit(*part, n_classes, lr, wd), *validation)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.optimize(objective, n_trials=trials)
    return study.best_params


def split(y: Tensor) -> tuple[Tensor, Tensor]:
    """Rows to fit and rows to validate on: a fifth of every class, drawn at random."""
    held = torch.zeros(len(y), dtype=torch.bool)
    for label in y.unique():
        own = torch.nonzero(y == label).flatten()
        held[own[torch.randperm(len(own))[: int(len(own) * VALIDATION_SHARE)]]] = True
    return torch.nonzero(~held).flatten(), torch.nonzero(held).flatten()


def fit(x: Tensor, y: Tensor, n_classes: int, lr: float, wd: float) -> torch.nn.Linear:
    """One head for 100 epochs; the rate follows half a cosine and is set after each epoch."""
    model = torch.nn.Linear(x.shape[1], n_classes, device=x.device)
    optimiser = torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM, weight_decay=wd)
    for epoch in range(EPOCHS):
        for rows, labels in batches(x, y):
            optimiser.zero_grad()
            functional.cross_entropy(model(rows), labels).backward()
            optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * epoch / EPOCHS))
    return model


def batches(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """All rows once, in a random order."""
    order = torch.randperm(len(x), device=x.device)
    for start in range(0, len(x), BATCH):
        rows = order[start : start + BATCH]
        yield x[rows], y[rows]


@torch.no_grad()
def top1(model: torch.nn.Linear, x: Tensor, y: Tensor) -> float:
    """Percent of the rows whose class has the highest output."""
    return 100 * float((model(x).argmax(dim=1) == y).float().mean())
