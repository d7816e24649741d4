"""The loop by which a small network learns from features: batches, steps, epochs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from cog.probes.features import UnitFeatures
from cog.probes.sgd import batches


def epochs_with(steps: int, epochs: int, rows: int, batch_size: int) -> int:
    """So many epochs, or as many as have that many steps: few images make few batches.

    >>> epochs_with(300, 30, rows=1000, batch_size=100), epochs_with(300, 30, 50, 100)
    (30, 300)
    """
    return max(epochs, math.ceil(steps / math.ceil(rows / batch_size)))


def descend(
    outputs: Callable[[Tensor], Tensor],
    features: UnitFeatures,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    epochs: int,
    batch_size: int,
    seed: int,
    on_epoch: Callable[[float], None],
) -> None:
    """Lower the mean cross-entropy of some weights in batches.

    Args:
        outputs: of the weights: scores [b, c] of rows with their ones [b, d + 1].
        features: of the training images.
        optimizer: has the weights.
        schedule: of the rate, a step of it after each step of the optimizer.
        epochs: how often it sees each image.
        batch_size: images of a step.
        seed: of the batches.
        on_epoch: called after each epoch with the share that is done.
    """
    for epoch in range(epochs):
        for batch in batches(len(features), batch_size, seed, epoch, features.source.device):
            x, y = features.take(batch)
            loss = cross_entropy(outputs(x), y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        on_epoch((epoch + 1) / epochs)
