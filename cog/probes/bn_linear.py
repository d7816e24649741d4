"""The linear probe behind batch norm, as MAE has it: LARS, its learning rate by search.

- A share of every class validates. A layer is fitted for each base rate of the recipe (see
  lars.py); that with the best top-1 on the validation images, the middle one of equals, is the one
  of the final fit, on all training images.
- Batch norm is a part of the layer that is kept.
Source: He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022, appendix A.1; the
public code's main_linprobe.py, where the base rate is 0.1. The search is ours.
Cost: 90 epochs for each rate and the final fit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from cog.probes.cost import ProbeSize, seconds_of
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.features import unit_features
from cog.probes.lars import fit_lars
from cog.probes.ranks import layer_places, percent_right
from cog.probes.rates import refuse_divergence, try_rates
from cog.probes.rows import parts_of, work_device
from cog.probes.search import best_trial
from cog.probes.sgd import free_memory, heads_that_fit

EPOCHS_MEASURED = 4


def bn_linear(
    data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched
) -> ProbeResult:
    """Choose the base rate on validation images, fit once more, score the test images.

    `progress` counts rates, and the final fit as one.

    Raises:
        CogError: data that no probe can learn from, no image to validate on, or a final fit that
            diverges.
    """
    parts = parts_of(data, settings)
    recipe, seed, total = settings.recipe, settings.seed, len(settings.recipe.lars_rates) + 1
    free = free_memory(parts.search.source.device)
    rows = min(recipe.lars_batch, len(parts.search))
    together = heads_that_fit(data.n_classes, parts.search.width, rows, free)

    def score(rates: Sequence[float]) -> Sequence[float]:
        layers = fit_lars(parts.search, rates, data.n_classes, recipe, seed)
        return percent_right(layers, parts.validation)

    trials = try_rates(recipe.lars_rates, score, together, lambda done: progress(done, total))
    best = best_trial(trials, middle=True)["lr"]
    (layer,) = fit_lars(parts.final, [best], data.n_classes, recipe, seed)
    refuse_divergence([layer], f"base rate of {best:g}", "give lower lars_rates")
    placed = layer_places(layer, parts.test)
    progress(total, total)
    return parts.result(placed, {"lr": best}, trials, layer=layer)


def cost(size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds of a fit, roughly: those of a few epochs of one batch times the number of steps."""
    recipe = settings.recipe
    some = min(recipe.batch_size, size.n_train)
    x = np.random.default_rng(0).random((some, size.dim), np.float32)
    features = unit_features(x, np.arange(some) % size.n_classes, work_device(settings.device))
    few = dataclasses.replace(recipe, lars_epochs=EPOCHS_MEASURED, lars_warmup=1)
    rates = recipe.lars_rates
    fit = seconds_of(lambda: fit_lars(features, rates, size.n_classes, few, settings.seed))
    final = 1 + 1 / len(rates)
    return fit * size.n_train / some * recipe.lars_epochs / EPOCHS_MEASURED * final
