"""How much decay L-BFGS has: chosen on validation images, along a path or by TPE.

- Decays come as such, or as scikit-learn's C, the inverse of a penalty on the sum over rows: a fit
  on n rows then has the decay 1 / (C · n), so that the search and the final fit differ in it. With
  two classes scikit-learn has one vector of weights for both, whose penalty is half as great in
  two of them: the decay is then 2 / (C · n), and the optimum is the same.
- A path goes from strong to weak decay, each fit started from the last, until the validation
  accuracy has fallen by more than its standard error, if the recipe says so.
- TPE draws C log-uniformly between the two ends that the recipe has, one trial at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from cog.probes.data import ProbeSettings
from cog.probes.features import UnitFeatures
from cog.probes.lbfgs import Optimum, fit_lbfgs, second_moment
from cog.probes.ranks import percent_right
from cog.probes.rows import ProbeParts
from cog.probes.search import SCORE, Found, Trial, best_trial, search
from cog.recipe import Recipe


def search_by_lbfgs(
    parts: ProbeParts, n_classes: int, settings: ProbeSettings, progress: Callable[[int], None]
) -> Found:
    """Choose the decay, and fit once more with it, started from the best fit of the search."""
    search_of = _by_tpe if settings.recipe.lbfgs_c_ends else _along_path
    zeros = torch.zeros(n_classes, parts.search.width, dtype=torch.float32)
    fits = _Fits(parts, settings.recipe, zeros)
    trials = search_of(fits, settings, progress)
    best = best_trial(trials, middle=settings.recipe.lbfgs_ties == "middle")
    decay = fits.decay(best[fits.unit], parts.final)
    final = fits.fit(parts.final, decay, fits.best_layer)
    return Found(trials, {**best, "wd": decay}, final.layer, ())


def n_trials(recipe: Recipe) -> int:
    """How many fits a search makes at the most."""
    return recipe.trials if recipe.lbfgs_c_ends else len(recipe.lbfgs_c or recipe.lbfgs_decays)


STAGE = 50
"""iterations after which a fit begins again with a new guess of the Hessian, where classes can be
told apart without a mistake and decay is weak: measured on 400 × 640 features in 20 classes with
C = 1e3, 121 evaluations in place of more than 1,131"""


@dataclass
class _Fits:
    """Fits of one search, and the best of them so far."""

    parts: ProbeParts
    recipe: Recipe
    best_layer: Tensor
    best_score: float = -1.0
    moment: Tensor = field(init=False)
    classes: int = field(init=False)
    """of which there are training images"""

    def __post_init__(self) -> None:
        search = self.parts.search
        self.moment = second_moment(search)
        self.classes = len(np.unique(search.labels[search.rows].cpu().numpy()))

    @property
    def unit(self) -> str:
        """What a trial is called by: the decay, or C."""
        return "c" if self.recipe.lbfgs_c or self.recipe.lbfgs_c_ends else "wd"

    def decay(self, value: float, features: UnitFeatures) -> float:
        """The decay of a fit on these features, for a value in `unit`."""
        if self.unit == "wd":
            return value
        return (2 if self.classes == 2 else 1) / (value * len(features))

    def fit(self, features: UnitFeatures, wd: float, start: Tensor) -> Optimum:
        """A fit with that decay; for values of C begun again every `STAGE` iterations."""
        recipe = self.recipe
        most = recipe.lbfgs_iterations
        stage = most if self.unit == "wd" else STAGE
        at, evaluations = start, 0
        for done in range(0, most, stage):
            found = fit_lbfgs(
                features, wd, at, recipe.lbfgs_tolerance, min(stage, most - done), self.moment,
                recipe.lbfgs_bias_decays,
            )  # fmt: skip
            at, evaluations = found.layer, evaluations + found.evaluations
            if found.converged:
                break
        return replace(found, evaluations=evaluations)

    def trial(self, value: float, start: Tensor) -> tuple[Trial, Tensor]:
        """A fit on the images of the search, judged on the validation images; and its layer."""
        wd = self.decay(value, self.parts.search)
        optimum = self.fit(self.parts.search, wd, start)
        (top1,) = percent_right(optimum.layer[None], self.parts.validation)
        if top1 > self.best_score:
            self.best_score, self.best_layer = top1, optimum.layer
        named = {"c": value} if self.unit == "c" else {}
        return {**named, "wd": wd, SCORE: top1, "evaluations": optimum.evaluations,
                "converged": optimum.converged}, optimum.layer  # fmt: skip


def _along_path(
    fits: _Fits, settings: ProbeSettings, progress: Callable[[int], None]
) -> list[Trial]:
    """The optima from strong to weak decay."""
    recipe, at = settings.recipe, fits.best_layer
    trials: list[Trial] = []
    decays = sorted(recipe.lbfgs_decays, reverse=True)
    for value in sorted(recipe.lbfgs_c) if recipe.lbfgs_c else decays:
        trial, at = fits.trial(value, at)
        trials.append(trial)
        progress(len(trials))
        best = fits.best_score
        if recipe.lbfgs_early_stop and trial[SCORE] < best:
            error = math.sqrt(best * (100 - best) / len(fits.parts.validation))
            if trial[SCORE] < best - error:
                break
    return trials


def _by_tpe(fits: _Fits, settings: ProbeSettings, progress: Callable[[int], None]) -> list[Trial]:
    """The trials of TPE, each fit started from the best before it."""
    trials: list[Trial] = []

    def score(tried: Sequence[Trial]) -> list[float]:
        for each in tried:
            trials.append(fits.trial(each["c"], fits.best_layer)[0])
        return [trial[SCORE] for trial in trials[-len(tried) :]]

    recipe = settings.recipe
    ends = {"c": (recipe.lbfgs_c_ends[0], recipe.lbfgs_c_ends[1])}
    search(score, ends, recipe.trials, settings.seed, 1, progress, multivariate=False)
    return trials
