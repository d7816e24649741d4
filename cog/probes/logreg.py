"""The official probe: logistic regression on frozen features, readable from top to bottom.

- Every feature vector is scaled to length 1 (a zero vector stays zero); one linear layer with bias.
- A fifth of every class of the training images is laid aside for validation. With N shots, N
  images a class are then drawn from the rest.
- Search, solver "sgd": 30 trials (learning rate, weight decay) proposed by TPE, each fitted on what
  was not laid aside and judged by top-1 of its last epoch on the validation images.
  Solver "lbfgs": the optimum for a few decays, of which one is chosen (see lbfgs_search.py).
- Final fit with the best: on all training images, validation included; with N shots, on the N of
  the search. Only then are the test images looked at.
Source: section 4 of the paper and the public code's logreg.py. Differences, each on purpose: the
trials of a seed share their start and batches (there each draws on from the global generator); a
trial that diverges counts 0 (there, its last accuracy); the shots of the final fit are those of the
search (there, N others from all training images); a small class keeps an image on each side of the
split. `Recipe.few_shot_draw` "official" takes back the first and the third, for N shots.
Cost: sgd 31 fits of 100 epochs; lbfgs 5 to 20 passes over the features a decay.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from cog.errors import CogError, unknown_name
from cog.probes.cost import ProbeSize, seconds_of
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.features import UnitFeatures, unit_features
from cog.probes.lbfgs import objective
from cog.probes.lbfgs_search import n_trials, search_by_lbfgs
from cog.probes.ranks import layer_places, percent_right
from cog.probes.rows import ProbeParts, parts_of, work_device
from cog.probes.search import Found, Trial, best_trial, search
from cog.probes.sgd import fit_sgd, free_memory, heads_that_fit, seed_of_fit

# For the estimate of the cost alone:
EVALUATIONS_A_DECAY = 8  # of L-BFGS, as measured on a few data sets
STEPS_MEASURED = 4  # of SGD
ROWS_MEASURED = 2048  # of L-BFGS


def logreg(
    data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched
) -> ProbeResult:
    """Choose hyper-parameters on validation images, fit once more, score the test images.

    `progress` counts trials, and the final fit as one.

    Raises:
        CogError: data that no probe can learn from, an unknown solver, no image to validate on, or
            a final fit that diverges.
    """
    parts = parts_of(data, settings)
    if settings.solver not in _SOLVERS:
        raise unknown_name("solver", settings.solver, _SOLVERS)
    recipe = settings.recipe
    total = 1 + (recipe.trials if settings.solver == "sgd" else n_trials(recipe))
    trials, best, layer, notes = _SOLVERS[settings.solver](
        parts, data.n_classes, settings, lambda done: progress(done, total)
    )
    if not layer.isfinite().all():
        raise CogError(
            f"the final fit diverged with {best}", "narrow the ranges of lr and wd in the recipe"
        )
    placed = layer_places(layer, parts.test)
    progress(total, total)
    hyper = {name: value for name, value in best.items() if name in ("lr", "wd")}
    return parts.result(placed, hyper, trials, notes, layer)


def _by_sgd(
    parts: ProbeParts, n_classes: int, settings: ProbeSettings, progress: Callable[[int], None]
) -> Found:
    """The official search; the final fit starts anew."""
    recipe, seed, per_round = settings.recipe, settings.seed, settings.recipe.trials_per_round
    free = free_memory(parts.search.source.device)
    fitting = heads_that_fit(n_classes, parts.search.width, recipe.batch_size, free)
    alone = _fits_alone(settings)
    together = 1 if alone else fitting
    fits = 0

    def fit(features: UnitFeatures, tried: Sequence[Trial]) -> Tensor:
        """A layer for each setting: [h, c, d + 1]."""
        nonlocal fits
        lrs, wds = [each["lr"] for each in tried], [each["wd"] for each in tried]
        own = seed_of_fit(seed, fits) if alone else seed
        fits += 1
        return fit_sgd(features, lrs, wds, n_classes, recipe, own)

    def score(tried: Sequence[Trial]) -> list[float]:
        """The scores of one round, whose heads train as many at a time as may."""
        scores: list[float] = []
        for start in range(0, len(tried), together):
            layers = fit(parts.search, tried[start : start + together])
            scores += percent_right(layers, parts.validation)
        return scores

    ranges = {"lr": (recipe.lr_low, recipe.lr_high), "wd": (recipe.wd_low, recipe.wd_high)}
    trials = search(score, ranges, recipe.trials, seed, per_round, progress)
    best = best_trial(trials)
    (layer,) = fit(parts.final, [best])
    note = f"{fitting} of {per_round} heads fit in memory, so they train in turn"
    return Found(trials, best, layer, (note,) if fitting < per_round and not alone else ())


def _fits_alone(settings: ProbeSettings) -> bool:
    """Whether each fit of SGD has a start and batches of its own, as in the public code."""
    return settings.shots is not None and settings.recipe.few_shot_draw == "official"


_SOLVERS = {"sgd": _by_sgd, "lbfgs": search_by_lbfgs}


def cost(size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds of a fit, roughly: those of a few steps on random data times the number of steps."""
    recipe, solver, n_rows = settings.recipe, settings.solver, size.n_train
    some = min(recipe.batch_size if solver == "sgd" else ROWS_MEASURED, n_rows)
    x = np.random.default_rng(0).random((some, size.dim), np.float32)
    labels, where = np.arange(some) % size.n_classes, work_device(settings.device)
    features = unit_features(x, labels, where, dtype=getattr(torch, recipe.fit_dtype))
    if solver == "sgd":
        few = dataclasses.replace(recipe, epochs=STEPS_MEASURED)  # of one batch each
        heads = 1 if _fits_alone(settings) else min(recipe.trials_per_round, recipe.trials)
        lrs, wds = [1.0] * heads, [0.0] * heads
        fit = seconds_of(lambda: fit_sgd(features, lrs, wds, size.n_classes, few, settings.seed))
        searched = n_rows if settings.shots else n_rows * (1 - recipe.validation_share)
        steps = recipe.trials * math.ceil(searched / some) + math.ceil(n_rows / some)
        return fit / heads / STEPS_MEASURED * steps * recipe.epochs
    layer = torch.zeros(size.n_classes, size.dim + 1)
    block = seconds_of(lambda: objective(layer, features, 0.0))
    return block * (n_rows / some) * EVALUATIONS_A_DECAY * (n_trials(recipe) + 1)
