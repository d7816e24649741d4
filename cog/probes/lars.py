"""A linear layer behind batch norm, fitted by LARS, for several learning rates at once.

In: unit features of n rows, h base rates. Out: one layer a rate, [h, c, d + 1], with batch norm in
it.
- Batch norm without weights: each batch is scaled by its own mean and variance; their running means
  (a tenth of each new batch, variances over b − 1 rows) scale images afterwards.
- Each step: mean cross-entropy over the batch; the gradient of the weights is multiplied by
  0.001 · |W| / |gradient|, that of the bias stays; momentum 0.9, no decay.
- The rate is base · batch / 256, with the batch of the recipe however many rows there are: small
  sets, whose batches are smaller, were then fitted best by the published base rate too. It grows
  evenly from 0 over the first epochs, then follows half a cosine down to 0, anew in every step.
- Each epoch goes through a fresh permutation of the rows; rows that fill no batch are left out.
  Fewer rows than a batch has are one batch.
- Weights start from a normal distribution with deviation 0.01, the bias from 0.
Source: the public code of MAE (He et al., CVPR 2022): main_linprobe.py, util/lars.py,
util/lr_sched.py; LARS is of You, Gitman & Ginsburg, arXiv:1708.03888; batch norm as
torch.nn.BatchNorm1d has it. Cost: 4·n·c·(d + 1) multiplications and additions an epoch and rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cog.probes.features import UnitFeatures
from cog.probes.sgd import batches, generator_of
from cog.recipe import Recipe

EPSILON = 1e-6  # of the variance
RUNNING = 0.1  # of a new batch in the running means
TRUST = 0.001
DEVIATION = 0.01  # of the first weights
PER = 256  # images that a base rate is for


def fit_lars(
    features: UnitFeatures, rates: Sequence[float], n_classes: int, recipe: Recipe, seed: int
) -> Tensor:
    """Fit a layer for each base rate: [h, c, d + 1], which takes features before batch norm.

    A layer that diverges is all NaN. Of the recipe, lars_epochs, lars_warmup, lars_batch and
    momentum are used. The seed is that of the start and of the batches.
    """
    size = min(recipe.lars_batch, len(features))
    steps = len(features) // size
    start = first_layer(n_classes, features.width, seed).to(features.scale)
    layers = start.repeat(len(rates), 1, 1)
    velocity = torch.zeros_like(layers)
    norm = RunningNorm.of(features)
    base = layers.new_tensor(rates) * recipe.lars_batch / PER
    for epoch in range(recipe.lars_epochs):
        several = batches(len(features), size, seed, epoch, layers.device)
        for step, batch in zip(range(steps), several, strict=False):  # the last may be short
            x, y = norm.normalised(*features.take(batch))
            gradient = gradient_of(layers, x, y)
            gradient[:, :, :-1] *= trust_of(layers[:, :, :-1], gradient[:, :, :-1])
            velocity.mul_(recipe.momentum).add_(gradient)
            now = share_of_rate(epoch + step / steps, recipe.lars_epochs, recipe.lars_warmup)
            layers.addcmul_(velocity, (base * now)[:, None, None], value=-1)
    folded = norm.folded(layers)
    alive = folded.isfinite().flatten(1).all(1)
    return folded.where(alive[:, None, None], torch.nan)


def first_layer(n_classes: int, width: int, seed: int) -> Tensor:
    """Where every layer starts: float32 [c, width], weights and in the last column zeros."""
    layer = torch.zeros(n_classes, width, dtype=torch.float32)
    layer[:, :-1].normal_(0, DEVIATION, generator=generator_of(seed, 0))
    return layer


def share_of_rate(epoch: float, epochs: int, warmup: int) -> float:
    """The learning rate at a time, in epochs from the start, as a share of the full one.

    >>> [share_of_rate(epoch, 90, 10) for epoch in (0, 5, 10, 50)]
    [0.0, 0.5, 1.0, 0.5]
    """
    if epoch < warmup:
        return epoch / warmup
    return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))


def gradient_of(layers: Tensor, x: Tensor, labels: Tensor) -> Tensor:
    """The gradients [h, c, d + 1] of the mean cross-entropy of b rows [b, d + 1], a layer each."""
    heads, n_classes, width = layers.shape
    error = (x @ layers.view(-1, width).T).view(-1, heads, n_classes).softmax(dim=2)
    right = labels[:, None, None].expand(-1, heads, 1)
    error.scatter_add_(2, right, error.new_full((1, 1, 1), -1.0).expand(right.shape))
    return (error.view(len(x), -1).T @ x).view_as(layers) / len(x)


def trust_of(weights: Tensor, gradient: Tensor) -> Tensor:
    """What LARS multiplies each layer's gradient by: [h, 1, 1]; 1 where one of both is zero."""
    of_weights, of_gradient = (
        torch.linalg.vector_norm(each, dim=(1, 2)) for each in (weights, gradient)
    )
    ratio: Tensor = TRUST * of_weights / of_gradient.where(of_gradient > 0, 1.0)
    return ratio.where((of_weights > 0) & (of_gradient > 0), 1.0)[:, None, None]


@dataclass
class RunningNorm:
    """Batch norm with its running means, which change with every batch."""

    mean: Tensor
    """[d]"""
    variance: Tensor
    """[d]"""

    @classmethod
    def of(cls, features: UnitFeatures) -> RunningNorm:
        """As it is before the first batch."""
        zeros = features.scale.new_zeros(features.width - 1)
        return cls(zeros, torch.ones_like(zeros))

    def normalised(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The rows [b, d + 1] of a batch, scaled, their last column as it is; and their labels."""
        variance, mean = torch.var_mean(x[:, :-1], dim=0, correction=0)
        unbiased = variance * (len(x) / max(1, len(x) - 1))
        self.mean = self.mean.lerp(mean, RUNNING)
        self.variance = self.variance.lerp(unbiased, RUNNING)
        scaled = (x[:, :-1] - mean) / (variance + EPSILON).sqrt()
        return torch.cat([scaled, x[:, -1:]], dim=1), labels

    def folded(self, layers: Tensor) -> Tensor:
        """Layers [h, c, d + 1] that take rows as they are before batch norm."""
        weights = layers[:, :, :-1].double() / (self.variance.double() + EPSILON).sqrt()
        bias = layers[:, :, -1].double() - weights @ self.mean.double()
        return torch.cat([weights, bias[:, :, None]], dim=2).to(layers)
