"""Softmax regression by SGD with momentum, for several heads (learning rate, decay) at once.

In: features with a last column of ones, labels, h learning rates and weight decays.
Out: one layer a head, [h, c, d + 1]; the last column is the bias.
- Each epoch goes once through a fresh permutation of the rows in batches; the last may be short.
- Each step: mean cross-entropy over the batch; gradient + wd × layer (bias too) into the velocity;
  layer −= lr × velocity.
- The rate follows half a cosine over the epochs, one epoch late.
- Heads share batches and their start, and never mix: each gets what it would get alone.
Source: the public code's logreg.py and iterators.py (torch.nn.Linear, torch.optim.SGD).
Cost: 4·n·c·(d + 1) multiplications and additions an epoch and head.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from cog.recipe import Recipe

_START, _BATCHES = 0, 1  # purposes of the generators of one seed


def fit_sgd(
    x: Tensor,
    y: Tensor,
    lrs: Sequence[float],
    wds: Sequence[float],
    n_classes: int,
    recipe: Recipe,
    seed: int,
) -> Tensor:
    """Fit one layer for each pair of learning rate and weight decay.

    A head whose loss or weights stop being finite comes back as NaN, and disturbs no other.

    Args:
        x: float32 or float64 [n, d + 1], the last column ones; on the device that does the work.
        y: int64[n], on the same device.
        lrs: h learning rates.
        wds: h weight decays.
        n_classes: c.
        recipe: its epochs, batch_size and momentum are used.
        seed: of the start and of the batches; the same on a CPU gives the same bits.

    Returns:
        [h, c, d + 1], of the type and on the device of x.
    """
    start = initial_layer(n_classes, x.shape[1], seed).to(x)
    layers = start.repeat(len(lrs), 1, 1)
    velocity = torch.zeros_like(layers)
    alive = torch.ones(len(lrs), dtype=torch.bool, device=x.device)
    decay = x.new_tensor(wds)[:, None, None]
    for epoch in range(recipe.epochs):
        rate = x.new_tensor([scheduled_lr(lr, epoch, recipe.epochs) for lr in lrs])[:, None, None]
        for batch in batches(len(x), recipe.batch_size, seed, epoch):
            rows = batch.to(x.device)
            loss, gradient = _loss_and_gradient(layers, x[rows], y[rows])
            alive &= loss.isfinite()  # stays on the device: a step waits for nothing
            velocity.mul_(recipe.momentum).add_(gradient.addcmul_(decay, layers))
            layers.addcmul_(velocity, rate, value=-1)
    alive &= layers.isfinite().flatten(1).all(1)
    layers[~alive] = torch.nan
    return layers


def scheduled_lr(lr: float, epoch: int, epochs: int) -> float:
    """The learning rate of an epoch, counted from 0: half a cosine that lags one epoch.

    The public code sets the rate of epoch e after epoch e has run, so that the first two run at
    the full rate and the last at that of the one before: lr/2 · (1 + cos(π · max(e − 1, 0) / E)).

    >>> [round(scheduled_lr(1.0, epoch, 4), 3) for epoch in range(4)]
    [1.0, 1.0, 0.854, 0.5]
    """
    return lr * 0.5 * (1 + math.cos(math.pi * max(epoch - 1, 0) / epochs))


def initial_layer(n_classes: int, width: int, seed: int) -> Tensor:
    """Where every head starts: float32 [c, width], uniform in ±1/√d with d = width − 1.

    That is what torch.nn.Linear does, for its weights and for its bias.
    """
    uniform = torch.rand(n_classes, width, generator=_generator(seed, _START))
    return (2 * uniform - 1) / math.sqrt(width - 1)


def batches(n_rows: int, size: int, seed: int, epoch: int) -> Iterator[Tensor]:
    """The batches of an epoch: int64 rows that together are a permutation of all rows."""
    order = torch.randperm(n_rows, generator=_generator(seed, _BATCHES, epoch))
    return iter(torch.split(order, size))


def _generator(*key: int) -> torch.Generator:
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)  # torch takes signed seeds


def _loss_and_gradient(layers: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of each head [h] on a batch, and its gradient [h, c, width].

    The gradient for the outputs is (softmax − one-hot) / b; all heads make one matrix product.
    """
    heads, n_classes, width = layers.shape
    outputs = x @ layers.reshape(heads * n_classes, width).T
    log_p = outputs.view(len(x), heads, n_classes).log_softmax(dim=2)
    right = y[:, None, None].expand(-1, heads, 1)
    loss = -log_p.gather(2, right).mean(dim=(0, 2))
    error = log_p.exp_()
    error.scatter_add_(2, right, error.new_full((1, 1, 1), -1.0).expand_as(right))
    gradient = error.view(len(x), heads * n_classes).T @ x
    return loss, gradient.div_(len(x)).view(heads, n_classes, width)
