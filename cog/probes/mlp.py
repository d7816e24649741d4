"""A perceptron with one hidden layer, for features that no linear layer can separate.

- Unit features, each number standardised by the mean and deviation of the images of the fit; a
  layer of 1,024 with ReLU; a linear layer.
- AdamW with decay 1e-2, batches of the recipe's size, 30 epochs but at least 300 steps (N shots
  make only one batch or two), half a cosine from the rate to nothing.
- The rate is chosen on the validation images. All fits of a seed share their start and batches; a
  rate that diverges counts 0.
Source: ours; no two papers have the same. The standardisation is that of MAE's linear probe (He et
al., CVPR 2022, appendix A.1: batch normalisation without an affine part); AdamW's betas and the
start of the layers are torch's. Cost: 6·n·h·(d + c) operations an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor
from torch.nn.functional import linear

from cog.probes.cost import ProbeSize, seconds_for
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.descent import descend, epochs_with
from cog.probes.features import UnitFeatures
from cog.probes.metrics import percent_within
from cog.probes.ranks import Placed, image_places
from cog.probes.rates import refuse_divergence, try_rates
from cog.probes.rows import parts_of
from cog.probes.search import best_trial


def mlp(data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched) -> ProbeResult:
    """Choose the learning rate on validation images, fit once more, score the test images.

    `progress` counts percents of fits.

    Raises:
        CogError: data that no probe can learn from, no image to validate on, or a final fit that
            diverges.
    """
    parts = parts_of(data, settings)
    rates = settings.recipe.mlp_rates
    total, fits = 100 * (len(rates) + 1), count()

    def fit(features: UnitFeatures, rate: float) -> _Network:
        before = next(fits)
        return _fit(features, rate, data.n_classes, settings,
                    lambda share: progress(int(100 * (before + share)), total))  # fmt: skip

    def score(some: Sequence[float]) -> Iterator[float]:
        for rate in some:
            placed = _places(fit(parts.search, rate), parts.validation)
            yield percent_within(placed.ranks, 1)

    trials = try_rates(rates, score)
    best = best_trial(trials)["lr"]
    network = fit(parts.final, best)
    hint = "give smaller mlp_rates in the recipe"
    refuse_divergence(network.weights, f"rate of {best}", hint)
    return parts.result(_places(network, parts.test), {"lr": best}, trials)


def cost(size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds of a fit, roughly: the products of all epochs of all rates and of the final fit."""
    recipe = settings.recipe
    an_image = 6.0 * recipe.mlp_hidden * (size.dim + size.n_classes)
    images = size.n_train * recipe.mlp_epochs * (len(recipe.mlp_rates) + 1)
    return seconds_for(an_image * images, settings)


@dataclass(frozen=True)
class _Network:
    """The two layers, and the mean and scale that standardise their input."""

    mean: Tensor  # [d]
    scale: Tensor  # [d]
    weights: tuple[Tensor, ...]  # [h, d], [h], [c, h], [c]

    def outputs(self, x: Tensor) -> Tensor:
        """Scores [b, c] of unit rows with their ones."""
        first, first_bias, second, second_bias = self.weights
        hidden = linear((x[:, :-1] - self.mean) * self.scale, first, first_bias).relu()
        return linear(hidden, second, second_bias)


def _fit(
    features: UnitFeatures,
    rate: float,
    n_classes: int,
    settings: ProbeSettings,
    on_epoch: Callable[[float], None],
) -> _Network:
    recipe = settings.recipe
    network = _start(features, recipe.mlp_hidden, n_classes, settings.seed)
    optimizer = torch.optim.AdamW(network.weights, lr=rate, weight_decay=recipe.mlp_decay)
    rows, size = len(features), recipe.batch_size
    epochs = epochs_with(recipe.mlp_least_steps, recipe.mlp_epochs, rows, size)
    steps = epochs * math.ceil(rows / size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    descend(network.outputs, features, optimizer, schedule, epochs, size, settings.seed, on_epoch)
    return network


def _start(features: UnitFeatures, hidden: int, n_classes: int, seed: int) -> _Network:
    """Layers as torch.nn.Linear draws them, from a generator of this seed alone."""
    mean, variance = _moments(features)
    scale = 1 / variance.sqrt().where(variance > 1e-12, 1.0)  # what never varies becomes 0
    like = features.scale
    generator = torch.Generator().manual_seed(seed)
    weights = []
    for n_outputs, n_inputs in ((hidden, features.width - 1), (n_classes, hidden)):
        for shape in ((n_outputs, n_inputs), (n_outputs,)):
            drawn = torch.rand(shape, generator=generator, dtype=torch.float32)
            uniform = (2 * drawn - 1) / math.sqrt(n_inputs)
            weights.append(uniform.to(like).requires_grad_())
    return _Network(mean.to(like), scale.to(like), tuple(weights))


def _moments(features: UnitFeatures) -> tuple[Tensor, Tensor]:
    """Mean and variance of each number of the unit features: float64 [d]."""
    total, squares = torch.zeros(
        2, features.width - 1, dtype=torch.float64, device=features.source.device
    )
    for x, _ in features.blocks(features.width):
        exact = x[:, :-1].double()
        total += exact.sum(0)
        squares += exact.square().sum(0)
    mean = total / len(features)
    return mean, (squares / len(features) - mean.square()).clamp_min(0)


@torch.no_grad()
def _places(network: _Network, features: UnitFeatures) -> Placed:
    """How images are placed, in blocks that leave room for the hidden layer."""
    widest = max(len(network.weights[0]), len(network.weights[2]))
    return image_places(network.outputs, features, widest)
