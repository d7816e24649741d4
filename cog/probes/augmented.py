"""The linear probe of augmented images: SGD with a random view of each image in every epoch.

- Features of A views of each training image are made once (cog/images/views.py); an epoch takes one
  of them for each image, drawn anew. Validation and test images are centre crops.
- Momentum, batches, epochs and half a cosine of the recipe; no decay. The rate is the one of the
  recipe whose fit is best on the validation images; all are fitted at once and share their views.
Source: the linear probes of MoCo (He et al., CVPR 2020), DINO (Caron et al., ICCV 2021) and MAE (He
et al., CVPR 2022), which draw a fresh crop in each epoch, with the network in the loop: how far A
views are from that is in docs/protocols.md. Their rates are those of one network each; the search
is ours. Cost: as logreg with as many heads as there are rates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from cog.probes.cost import ProbeSize, seconds_of
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.features import UnitFeatures, unit_features
from cog.probes.ranks import layer_places, percent_right
from cog.probes.rates import refuse_divergence, try_rates
from cog.probes.rows import parts_of, work_device
from cog.probes.search import best_trial
from cog.probes.sgd import fit_sgd, free_memory, heads_that_fit

_STEPS_MEASURED = 4


def augmented(
    data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched
) -> ProbeResult:
    """Choose the rate on the centre crops of validation images, fit once more, score test images.

    Without views it learns from the centre crops. `progress` counts rates, and the final fit as as
    many.

    Raises:
        CogError: data that no probe can learn from, no image to validate on, or a final fit that
            diverges.
    """
    parts = parts_of(data, settings)
    recipe, seed, views = settings.recipe, settings.seed, parts.views
    total = 2 * len(recipe.augmented_rates)
    free = free_memory(parts.search.source.device)
    fitting = heads_that_fit(data.n_classes, parts.search.width, recipe.batch_size, free)

    def fit(features: UnitFeatures, rates: Sequence[float]) -> Tensor:
        """A layer for each rate: [h, c, d + 1]."""
        return fit_sgd(features, rates, [0.0] * len(rates), data.n_classes, recipe, seed, views)

    def score(rates: Sequence[float]) -> Sequence[float]:
        return percent_right(fit(parts.search, rates), parts.validation)

    trials = try_rates(recipe.augmented_rates, score, fitting, lambda done: progress(done, total))
    best = best_trial(trials)["lr"]
    (layer,) = fit(parts.final, [best])
    hint = "give --norm standard, which scales features"
    refuse_divergence([layer], f"rate of {best:g}", hint)
    placed = layer_places(layer, parts.test)
    progress(total, total)
    return parts.result(placed, {"lr": best}, trials, layer=layer)


def cost(size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds of a fit, roughly: those of a few steps of all rates times the number of steps."""
    recipe, some = settings.recipe, min(settings.recipe.batch_size, size.n_train)
    x = np.random.default_rng(0).random((some, size.dim), np.float32)
    features = unit_features(x, np.arange(some) % size.n_classes, work_device(settings.device))
    few = dataclasses.replace(recipe, epochs=_STEPS_MEASURED)  # of one batch each
    rates = recipe.augmented_rates
    wds = [0.0] * len(rates)
    fit = seconds_of(lambda: fit_sgd(features, rates, wds, size.n_classes, few, settings.seed))
    steps = math.ceil(size.n_train / some) * recipe.epochs * (1 + 1 / len(rates))
    return fit / _STEPS_MEASURED * steps
