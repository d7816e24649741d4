"""Softmax regression by SGD with momentum, for several heads (learning rate, decay) at once.

In: unit features of n rows, h learning rates and h weight decays.
Out: one layer a head, [h, c, d + 1]; the last column is the bias.
- Each epoch goes once through a fresh permutation of the rows in batches; the last may be short.
- Each step: mean cross-entropy over the batch; gradient + wd × layer (bias too) into the velocity;
  layer −= lr × velocity.
- The rate follows half a cosine over the epochs, one epoch late.
- Heads share batches and their start, and never mix: each gets what it would get alone.
- No step copies to the device: rows, rates and decays are there before an epoch begins. On a GPU
  the step is recorded once as a CUDA graph and replayed, and rows are filled up with zeros to whole
  16 bytes, without which matrix products take about twice the time.
Source: the public code's logreg.py and iterators.py (torch.nn.Linear, torch.optim.SGD).
Cost: 4·n·c·(d + 1) multiplications and additions an epoch and head.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from cog.probes.features import UnitFeatures
from cog.recipe import Recipe
from cog.tf32 import tf32

_START, _BATCHES, _VIEWS, _FITS = 0, 1, 2, 3  # purposes of the generators of one seed

_ROUNDED = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""the type to which this file rounds the factors of matrix products, by `Recipe.products`"""

_ALIGNED = 8  # numbers: 16 bytes of half precision, and 32 of float32

Step = Callable[[Tensor], None]


def fit_sgd(
    features: UnitFeatures,
    lrs: Sequence[float],
    wds: Sequence[float],
    n_classes: int,
    recipe: Recipe,
    seed: int,
    views: int = 1,
) -> Tensor:
    """Fit a layer for each pair of learning rate and weight decay: [h, c, d + 1] in all.

    A head that diverges is all NaN and does not change the others. Of the recipe, epochs,
    batch_size, momentum and products are used. The seed is that of the start and of the batches;
    on a CPU equal seeds give equal bits. With several `views` the features are those of each image
    one behind the other, and an epoch takes one of them for each image.
    """
    start = initial_layer(n_classes, features.width, seed).to(features.scale)
    start = pad(start, (0, width_of_layers(features) - features.width))
    layers = start.repeat(len(lrs), 1, 1)
    velocity = torch.zeros_like(layers)
    rates = layers.new_tensor(
        [[scheduled_lr(lr, epoch, recipe.epochs) for lr in lrs] for epoch in range(recipe.epochs)]
    )
    rate = torch.empty_like(rates[0])
    device = layers.device
    with tf32(matrices=recipe.products == "tf32", convolutions=False):
        full = step = make_step(layers, velocity, rate, wds, features, recipe)
        if device.type == "cuda" and len(features) // views >= recipe.batch_size:
            first = torch.arange(recipe.batch_size, device=device)
            full = recorded(step, first, (layers, velocity))
        for epoch, now in enumerate(rates):
            rate.copy_(now)
            for batch in batches(len(features), recipe.batch_size, seed, epoch, device, views):
                (full if len(batch) == recipe.batch_size else step)(batch)
    layers = layers[:, :, : features.width].contiguous()
    alive = layers.isfinite().flatten(1).all(1)  # what is not finite never becomes finite again
    return layers.where(alive[:, None, None], torch.nan)


def seed_of_fit(seed: int, number: int) -> int:
    """A seed for one of the fits of a seed, whose start and batches are its own."""
    return int(np.random.SeedSequence((seed, _FITS, number)).generate_state(1)[0])


def scheduled_lr(lr: float, epoch: int, epochs: int) -> float:
    """The learning rate of an epoch, counted from 0: half a cosine, one epoch late.

    The public code sets the rate of epoch e after epoch e has run, so the first two epochs run at
    the full rate: lr/2 · (1 + cos(π · max(e − 1, 0) / E)).

    >>> [round(scheduled_lr(1.0, epoch, 4), 3) for epoch in range(4)]
    [1.0, 1.0, 0.854, 0.5]
    """
    return lr * 0.5 * (1 + math.cos(math.pi * max(epoch - 1, 0) / epochs))


def initial_layer(n_classes: int, width: int, seed: int) -> Tensor:
    """Where every head starts: float32 [c, width], uniform in ±1/√d with d = width − 1.

    torch.nn.Linear draws its weights and its bias so.
    """
    generator = generator_of(seed, _START)
    uniform = torch.rand(n_classes, width, generator=generator, dtype=torch.float32)
    return (2 * uniform - 1) / math.sqrt(width - 1)


def width_of_layers(features: UnitFeatures) -> int:
    """Columns of the layers of a fit: d + 1, and on a GPU zeros up to a multiple of 8."""
    if features.source.device.type != "cuda":
        return features.width
    return -(-features.width // _ALIGNED) * _ALIGNED


def batches(
    n_rows: int,
    size: int,
    seed: int,
    epoch: int,
    device: torch.device | str = "cpu",
    views: int = 1,
) -> Iterator[Tensor]:
    """The batches of an epoch: int64 rows that together are a permutation of all rows.

    With several `views` it is a permutation of images, each with one of its rows, drawn at random:
    image i has the rows from i · views on. The CPU draws them, so that they are the same for every
    device.
    """
    order = torch.randperm(n_rows // views, generator=generator_of(seed, _BATCHES, epoch))
    if views > 1:
        draw = generator_of(seed, _VIEWS, epoch)
        order = order * views + torch.randint(views, order.shape, generator=draw)
    return iter(torch.split(order.to(device), size))


def heads_that_fit(n_classes: int, width: int, batch_size: int, free_bytes: int) -> int:
    """How many heads can train at once in so many bytes; at least one.

    A head needs its layer, velocity and gradient, and three arrays of a batch's outputs, all in
    float32.

    >>> heads_that_fit(n_classes=1000, width=2049, batch_size=1024, free_bytes=2**30)
    29
    """
    return max(1, free_bytes // (4 * 3 * n_classes * (width + batch_size)))


def free_memory(device: torch.device) -> int:
    """Bytes that heads may take: half of what is free, or 1 GiB where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) // 2
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return 2**30
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def generator_of(*key: int) -> torch.Generator:
    """A generator of the CPU that a seed and what it is for make: other keys, other numbers."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)  # torch takes signed seeds


def make_step(
    layers: Tensor,
    velocity: Tensor,
    rate: Tensor,
    wds: Sequence[float],
    features: UnitFeatures,
    recipe: Recipe,
) -> Step:
    """A step on the rows of a batch, which changes layers and velocity [h, c, w] in place.

    It reads `rate` [h] whenever it runs. Columns of the layers beyond the d + 1 of the features are
    zero and stay so. The gradient for the outputs is (softmax − one-hot) / b; all heads share one
    matrix product.
    """
    n_heads, n_classes, width = layers.shape
    flat, flat_velocity = layers.view(-1, width), velocity.view(-1, width)
    kind = _ROUNDED.get(recipe.products)
    decay = layers.new_tensor(wds)[:, None, None]

    def step(batch: Tensor) -> None:
        x, y = features.take(batch)
        if width > features.width:
            x = pad(x, (0, width - features.width))
        right = y[:, None, None].expand(-1, n_heads, 1)
        factor = x if kind is None else x.to(kind)
        outputs = factor @ flat.to(factor.dtype).T
        error = outputs.view(-1, n_heads, n_classes).softmax(dim=2, dtype=x.dtype)
        error.scatter_add_(2, right, error.new_full((1, 1, 1), -1.0).expand(right.shape))
        error = error.view(len(batch), -1).T.to(factor.dtype)
        _add_gradient(flat_velocity, error, factor, recipe.momentum)
        velocity.addcmul_(decay, layers)
        layers.addcmul_(velocity, rate[:, None, None], value=-1)

    return step


def _add_gradient(flat_velocity: Tensor, error: Tensor, x: Tensor, momentum: float) -> None:
    """From errors [h·c, b] and rows [b, w] of a batch: velocity [h·c, w] with its new gradient."""
    share = 1 / len(x)
    if error.dtype == flat_velocity.dtype:
        flat_velocity.addmm_(error, x, beta=momentum, alpha=share)
    elif x.is_cuda and hasattr(torch.ops.aten.addmm, "dtype_out"):  # in one pass
        kind = flat_velocity.dtype
        torch.addmm(flat_velocity, error, x, kind, beta=momentum, alpha=share, out=flat_velocity)
    else:
        flat_velocity.mul_(momentum).add_(error @ x, alpha=share)


def recorded(step: Step, batch: Tensor, state: Sequence[Tensor]) -> Step:
    """The step as a CUDA graph for batches of this size; the step itself if it cannot be recorded.

    The trial step before the recording changes the tensors in `state`; they are put back.
    """
    held, before = batch.clone(), [each.clone() for each in state]
    graph = torch.cuda.CUDAGraph()
    try:
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # libraries set themselves up on the first call
            step(held)
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(graph):
            step(held)
    except RuntimeError:
        return step
    finally:
        for each, old in zip(state, before, strict=True):
            each.copy_(old)

    def replay(batch: Tensor) -> None:
        held.copy_(batch)
        graph.replay()

    return replay
