"""The official probe: logistic regression on frozen features, readable from top to bottom.

In: features and labels of training and test images, a seed, N shots or all.
Out: the ranks of the right classes on the test images, the chosen lr and wd, every trial.
- Every feature vector is scaled to length 1 (a zero vector stays zero); one linear layer with bias.
- A fifth of every class of the training images is laid aside for validation. With N shots, N
  images a class are then drawn from the rest.
- Search, solver "sgd": 30 trials (learning rate, weight decay) proposed by TPE, each fitted on what
  was not laid aside and judged by top-1 of its last epoch on the validation images. With
  `sgd_early_stop`, trials that lag behind in their round are given up.
  Solver "lbfgs": the optimum for a few decays from strong to weak, each started from the last,
  until the validation accuracy has fallen by more than its standard error.
- Final fit with the best: on all training images, validation included; with N shots, on the N of
  the search. Only then are the test images looked at.
Source: section 4 of the paper and the public code's logreg.py. Differences, each on purpose: the
trials of a seed share their start and batches (there each draws on from the global generator); a
trial that diverges counts 0 (there, its last accuracy); the shots of the final fit are those of the
search (there, N others from all training images); a small class keeps an image on each side of the
split.
Cost: sgd 31 fits of 100 epochs; lbfgs 5 to 20 passes over the features a decay.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from cog.errors import CogError, unknown_name
from cog.probes.cost import ProbeSize, seconds_of
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.features import UnitFeatures, unit_features
from cog.probes.halving import percent_right, race
from cog.probes.lbfgs import Optimum, fit_lbfgs, objective, second_moment
from cog.probes.ranks import layer_ranks
from cog.probes.rows import prepared, rows_to_fit, work_device
from cog.probes.search import SCORE, Settings, Trial, best_trial, search
from cog.probes.sgd import fit_sgd, free_memory, heads_that_fit

# For the estimate of the cost alone:
EVALUATIONS_A_DECAY = 8  # of L-BFGS, as measured on a few data sets
STEPS_MEASURED = 4  # of SGD
ROWS_MEASURED = 2048  # of L-BFGS


@dataclasses.dataclass(frozen=True)
class _Found:
    """What a search found."""

    trials: list[Trial]
    best: Trial
    refit: Callable[[UnitFeatures], Tensor]
    """the final fit with the best: layer [c, d + 1]"""
    total: int
    """the steps that `progress` counts, the final fit included"""
    notes: tuple[str, ...] = ()


def logreg(
    data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched
) -> ProbeResult:
    """Choose hyper-parameters on validation images, fit once more, score the test images.

    `progress` counts trials, and the final fit as one.

    Raises:
        CogError: data that no probe can learn from, an unknown solver, no image to validate on, or
            a final fit that diverges.
    """
    train, test = prepared(data, settings)
    if settings.solver not in _SOLVERS:
        raise unknown_name("solver", settings.solver, _SOLVERS)
    begun = time.perf_counter()
    rows = rows_to_fit(data.train_y, settings)
    found = _SOLVERS[settings.solver](
        train.only(rows.search), train.only(rows.validation), data.n_classes, settings, progress
    )
    layer = found.refit(train.only(rows.final))
    if not layer.isfinite().all():
        raise CogError(
            f"the final fit diverged with {found.best}",
            "narrow the ranges of lr and wd in the recipe",
        )
    ranks = layer_ranks(layer, test)
    progress(found.total, found.total)
    return ProbeResult(
        ranks=ranks,
        hyper={name: found.best[name] for name in ("lr", "wd") if name in found.best},
        trials=found.trials,
        n_train=len(rows.final),
        n_validation=len(rows.validation),
        seconds=time.perf_counter() - begun,
        notes=found.notes,
    )


def _by_sgd(
    search_on: UnitFeatures,
    validation: UnitFeatures,
    n_classes: int,
    settings: ProbeSettings,
    progress: OnProgress,
) -> _Found:
    """The official search; the final fit starts anew."""
    recipe, seed = settings.recipe, settings.seed
    if recipe.sgd_early_stop and recipe.trials_per_round < 2:
        raise CogError(
            "expected rounds of several trials, of which those that lag behind are given up; "
            "found rounds of one",
            "give --trials-per-round 10, or leave out --sgd-early-stop",
        )
    fitting = heads_that_fit(
        n_classes, search_on.width, recipe.batch_size, free_memory(search_on.source.device)
    )
    total = recipe.trials + 1
    epochs: list[int] = []

    def score(tried: Sequence[Settings]) -> list[float]:
        """The scores of one round, whose heads train as many at a time as fit in memory."""
        scores: list[float] = []
        for start in range(0, len(tried), fitting):
            some = tried[start : start + fitting]
            for top1, ran in race(search_on, validation, n_classes, settings, some):
                scores.append(top1)
                epochs.append(ran)
        return scores

    trials = search(
        score=score,
        ranges={"lr": (recipe.lr_low, recipe.lr_high), "wd": (recipe.wd_low, recipe.wd_high)},
        n_trials=recipe.trials,
        seed=seed,
        per_round=recipe.trials_per_round,
        progress=lambda done: progress(done, total),
    )
    if recipe.sgd_early_stop:
        trials = [{**trial, "epochs": ran} for trial, ran in zip(trials, epochs, strict=True)]
    best = best_trial(
        [trial for trial, ran in zip(trials, epochs, strict=True) if ran == recipe.epochs]
    )

    def refit(final: UnitFeatures) -> Tensor:
        return fit_sgd(final, [best["lr"]], [best["wd"]], n_classes, recipe, seed)[0]

    per_round = recipe.trials_per_round
    note = f"{fitting} of {per_round} heads fit in memory, so they train in turn"
    return _Found(trials, best, refit, total, (note,) if fitting < per_round else ())


def _by_lbfgs(
    search_on: UnitFeatures,
    validation: UnitFeatures,
    n_classes: int,
    settings: ProbeSettings,
    progress: OnProgress,
) -> _Found:
    """The path of optima from strong to weak decay; the final fit starts from the chosen one."""
    recipe = settings.recipe
    moment = second_moment(search_on)

    def fit(features: UnitFeatures, wd: float, start: Tensor) -> Optimum:
        """The optimum for a decay."""
        return fit_lbfgs(
            features, wd, start, recipe.lbfgs_tolerance, recipe.lbfgs_iterations, moment
        )

    trials: list[Trial] = []
    at = best_layer = torch.zeros(n_classes, search_on.width)
    best: Trial = {SCORE: -1.0}
    total = len(recipe.lbfgs_decays) + 1
    for wd in sorted(recipe.lbfgs_decays, reverse=True):
        optimum = fit(search_on, wd, at)
        at = optimum.layer
        (top1,) = percent_right(at[None], validation)
        trials.append({"wd": wd, SCORE: top1, "evaluations": optimum.evaluations,
                       "converged": optimum.converged})  # fmt: skip
        progress(len(trials), total)
        if top1 > best[SCORE]:
            best, best_layer = trials[-1], at
        elif recipe.lbfgs_early_stop and top1 < best[SCORE] - _error(best[SCORE], len(validation)):
            break
    return _Found(trials, best, lambda final: fit(final, best["wd"], best_layer).layer, total)


def _error(percent: float, count: int) -> float:
    """The standard error of an accuracy on so many images, in percent."""
    return math.sqrt(percent * (100 - percent) / count)


_SOLVERS = {"sgd": _by_sgd, "lbfgs": _by_lbfgs}


def cost(size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds of a fit, roughly: those of a few steps on random data times the number of steps."""
    recipe, solver, n_rows = settings.recipe, settings.solver, size.n_train
    some = min(recipe.batch_size if solver == "sgd" else ROWS_MEASURED, n_rows)
    x = np.random.default_rng(0).random((some, size.dim), np.float32)
    features = unit_features(x, np.arange(some) % size.n_classes, work_device(settings))
    if solver == "sgd":
        few = dataclasses.replace(recipe, epochs=STEPS_MEASURED)  # of one batch each
        heads = min(recipe.trials_per_round, recipe.trials)
        lrs, wds = [1.0] * heads, [0.0] * heads
        fit = seconds_of(lambda: fit_sgd(features, lrs, wds, size.n_classes, few, settings.seed))
        searched = n_rows if settings.shots else n_rows * (1 - recipe.validation_share)
        steps = recipe.trials * math.ceil(searched / some) + math.ceil(n_rows / some)
        return fit / heads / STEPS_MEASURED * steps * recipe.epochs
    layer = torch.zeros(size.n_classes, size.dim + 1)
    block = seconds_of(lambda: objective(layer, features, 0.0))
    return block * (n_rows / some) * EVALUATIONS_A_DECAY * (len(recipe.lbfgs_decays) + 1)
