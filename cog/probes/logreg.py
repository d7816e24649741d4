"""The official probe: logistic regression on frozen features, readable from top to bottom.

In: features and labels of training and test pictures, a seed, N shots or all.
Out: top-1 and top-5 on the test pictures, the chosen hyper-parameters, every trial.
- Every feature vector is scaled to length 1 (a zero vector stays zero); one linear layer with bias.
- A fifth of every class of the training pictures is laid aside for validation. With N shots, N
  pictures a class are then drawn from the rest.
- Search, solver "sgd": 30 trials (learning rate, weight decay) proposed by TPE, each fitted on what
  was not laid aside and judged by top-1 of its last epoch on the validation pictures.
  Solver "lbfgs": the optimum for a few decays from strong to weak, each started from the last.
- Final fit with the best: on all training pictures, validation included; with N shots, on the N of
  the search. Then, for the first time, the test pictures.
Source: section 4 of the paper and the public code's logreg.py. Differences, each on purpose: the
trials of a seed share their start and batches (there each goes on where the last left the global
generator); a trial that diverges counts 0 (there, its last accuracy); the shots of the final fit
are those of the search (there, N others from all training pictures); a small class keeps a picture
on each side of the split.
Cost: sgd 31 fits of 100 epochs; lbfgs 20 to 100 passes over the features a decay.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cog.errors import CogError, unknown_name
from cog.probes.data import ProbeData, ProbeResult, ProbeSettings, Progress, check_probe_data
from cog.probes.lbfgs import Optimum, fit_lbfgs, objective
from cog.probes.parts import (
    BLOCK,
    Part,
    layer_ranks,
    layer_top1,
    make_part,
    rows_to_fit,
    work_device,
)
from cog.probes.sgd import fit_sgd
from cog.search import SCORE, Settings, Trial, best_trial, search

EVALUATIONS_A_DECAY = 80  # of L-BFGS, measured on a few data sets; for estimates only
STEPS_MEASURED = 4  # of SGD, likewise


_Refit = Callable[[Part], Tensor]  # the final fit with the best: layer [c, d + 1]


def logreg(
    data: ProbeData, settings: ProbeSettings, progress: Progress | None = None
) -> ProbeResult:
    """Choose hyper-parameters on validation pictures, fit once more, score the test pictures.

    `progress` is called with (done, total) after each trial and after the final fit.

    Raises:
        CogError: data that cannot be learnt from, an unknown solver, nothing to validate on, or a
            final fit that diverges.
    """
    check_probe_data(data)
    if settings.solver not in _SOLVERS:
        raise unknown_name("solver", settings.solver, _SOLVERS)
    begun = time.perf_counter()
    rows = rows_to_fit(data.train_y, settings)
    device = work_device(settings)
    trials, refit = _SOLVERS[settings.solver](
        make_part(data.train_x, data.train_y, rows.search, device),
        make_part(data.train_x, data.train_y, rows.validation, device),
        data.n_classes,
        settings,
        progress or (lambda done, total: None),
    )
    best = best_trial(trials)
    layer = refit(make_part(data.train_x, data.train_y, rows.final, device))
    if not layer.isfinite().all():
        raise CogError(
            f"the final fit diverged with {best}", "narrow the ranges of the recipe's lr and wd"
        )
    ranks = layer_ranks(layer, make_part(data.test_x, data.test_y, None, device))
    if progress:
        progress(len(trials) + 1, len(trials) + 1)
    return ProbeResult(
        ranks=ranks,
        hyper={name: best[name] for name in ("lr", "wd") if name in best},
        trials=trials,
        n_train=len(rows.final),
        n_validation=len(rows.validation),
        seconds=time.perf_counter() - begun,
    )


def _by_sgd(
    train: Part, validation: Part, n_classes: int, settings: ProbeSettings, progress: Progress
) -> tuple[list[Trial], _Refit]:
    """The official search; the final fit starts anew."""
    recipe = settings.recipe

    def fit(part: Part, tried: Sequence[Settings]) -> Tensor:
        """A layer for each of the settings."""
        lrs, wds = [each["lr"] for each in tried], [each["wd"] for each in tried]
        return fit_sgd(part.x, part.y, lrs, wds, n_classes, recipe, settings.seed)

    trials = search(
        score=lambda tried: [layer_top1(layer, validation) for layer in fit(train, tried)],
        ranges={"lr": (recipe.lr_low, recipe.lr_high), "wd": (recipe.wd_low, recipe.wd_high)},
        n_trials=recipe.trials,
        seed=settings.seed,
        per_round=recipe.trials_per_round,
        progress=lambda done: progress(done, recipe.trials + 1),
    )
    return trials, lambda part: fit(part, [best_trial(trials)])[0]


def _by_lbfgs(
    train: Part, validation: Part, n_classes: int, settings: ProbeSettings, progress: Progress
) -> tuple[list[Trial], _Refit]:
    """The path of optima from strong to weak decay; the final fit starts from the chosen one."""
    recipe = settings.recipe

    def fit(part: Part, wd: float, start: Tensor) -> Optimum:
        """The optimum for a decay."""
        return fit_lbfgs(part.x, part.y, wd, start, recipe.lbfgs_tolerance, recipe.lbfgs_iterations)

    trials: list[Trial] = []
    layers = [torch.zeros(n_classes, train.x.shape[1])]
    for wd in sorted(recipe.lbfgs_decays, reverse=True):
        optimum = fit(train, wd, layers[-1])
        layers.append(optimum.layer)
        top1 = layer_top1(optimum.layer, validation)
        trials.append({"wd": wd, SCORE: top1, "evaluations": optimum.evaluations,
                       "converged": optimum.converged})  # fmt: skip
        progress(len(trials), len(recipe.lbfgs_decays) + 1)
    best = best_trial(trials)
    chosen = layers[1 + trials.index(best)]
    return trials, lambda part: fit(part, best["wd"], chosen).layer


_SOLVERS = {"sgd": _by_sgd, "lbfgs": _by_lbfgs}


def estimate_seconds(n_rows: int, dim: int, n_classes: int, settings: ProbeSettings) -> float:
    """Seconds that one probe will take, roughly: a few steps on random data times their number.

    Args:
        n_rows: training pictures.
        dim: feature size.
        n_classes: classes.
        settings: their solver, recipe and device are used.
    """
    recipe = settings.recipe
    size = min(recipe.batch_size if settings.solver == "sgd" else BLOCK // 8, n_rows)
    x = torch.rand(size, dim + 1, device=work_device(settings))
    y = torch.arange(size, device=work_device(settings)) % n_classes
    layer = torch.zeros(n_classes, dim + 1)
    if settings.solver == "sgd":
        few = dataclasses.replace(recipe, epochs=STEPS_MEASURED)  # of one batch each
        fit = _measured(lambda: fit_sgd(x, y, [1.0], [0.0], n_classes, few, settings.seed))
        searched = n_rows if settings.shots else n_rows * (1 - recipe.validation_share)
        steps = recipe.trials * math.ceil(searched / size) + math.ceil(n_rows / size)
        return fit / STEPS_MEASURED * steps * recipe.epochs
    block = _measured(lambda: objective(layer, x, y, 0.0))
    return block * (n_rows / size) * EVALUATIONS_A_DECAY * (len(recipe.lbfgs_decays) + 1)


def _measured(work: Callable[[], object]) -> float:
    """Seconds of the faster of two goes; the first also warms up."""
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)
