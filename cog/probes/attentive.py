"""A probe on patch tokens: one learned query looks at them all, and a linear layer classifies.

- Tokens [T, d] pass a layer norm; one linear map makes their keys and values; in each head of 64
  numbers a learned query weighs the values by softmax(query · key / √64); the weighted values of
  all heads are the input of the linear layer.
- AdamW with betas 0.9 and 0.95; decay on weights, not on biases and the norm; a tenth of the steps
  warms up, then half a cosine. The rate is chosen on the validation images; all fits of a seed
  share their start and batches; a rate that diverges counts 0.
Source: the attention pooling of CAPI (Darcet et al., 2025; github.com/facebookresearch/capi,
eval_classification.py), with the layer norm of V-JEPA's cross-attention (Bardes et al., 2024;
github.com/facebookresearch/jepa, attentive_pooler.py), whose block has an output map and a
perceptron too. Both train on augmented images; here images are centre crops.
Cost: 12·n·(T·h·d + d²/2) operations an epoch for h heads (see `AttentivePool.outputs`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear

from cog.probes.cost import ProbeSize, seconds_for
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.descent import descend, epochs_with
from cog.probes.features import UnitFeatures
from cog.probes.metrics import percent_within
from cog.probes.ranks import Placed, highest_classes, output_ranks
from cog.probes.rates import refuse_divergence, try_rates
from cog.probes.rows import parts_of
from cog.probes.search import best_trial

HEAD = 64  # numbers of a head
_DEVIATION = 0.02  # of the start
_TINY = 1e-12  # beside the variance of a token, which features of length 1 make small
_WARM = 0.1  # of the steps
_BLOCK = 2**24  # numbers of tokens at once where images are scored


@dataclass(frozen=True)
class AttentivePool:
    """The weights of the probe."""

    heads: int
    norm: Tensor
    """[2, d], which multiplies and is then added"""
    query: Tensor
    """[d]"""
    maps: Tensor
    """[2d, d], to keys and values"""
    value_biases: Tensor
    """[d]; those of keys would add one number to all scores of a head, which softmax takes out"""
    layer: Tensor
    """[c, d]"""
    biases: Tensor
    """[c]"""

    @property
    def decayed(self) -> tuple[Tensor, ...]:
        """The weights that decay."""
        return self.query, self.maps, self.layer

    @property
    def kept(self) -> tuple[Tensor, ...]:
        """The weights that do not."""
        return self.norm, self.value_biases, self.biases

    def outputs(self, tokens: Tensor) -> Tensor:
        """Scores [b, c] of tokens [b, T, d].

        A query alone makes it cheap: query · (map x) is (query map) · x, and a mean of mapped
        tokens is the map of their mean. So only h numbers are made of each token, not 2d keys and
        values.
        """
        rows, _, dim = tokens.shape
        x = layer_norm(tokens, (dim,), self.norm[0], self.norm[1], _TINY)
        to_keys, to_values = self.maps.view(2, self.heads, -1, dim)
        query = self.query.view(self.heads, 1, -1)
        looked_for = (query @ to_keys).squeeze(1) / math.sqrt(query.shape[-1])
        weights = linear(x, looked_for).softmax(1)
        means = (weights.transpose(1, 2) @ x).transpose(0, 1)  # [h, b, d]
        values = (means @ to_values.transpose(1, 2)).transpose(0, 1).reshape(rows, dim)
        return linear(values + self.value_biases, self.layer, self.biases)


def attentive(
    data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched
) -> ProbeResult:
    """Choose the learning rate on validation images, fit once more, score the test images.

    `progress` counts percents of fits.

    Raises:
        CogError: data that no probe can learn from, no image to validate on, or a final fit that
            diverges.
    """
    parts = parts_of(data, settings)
    rates = settings.recipe.attentive_rates
    total, fits = 100 * (len(rates) + 1), count()

    def fit(features: UnitFeatures, rate: float) -> AttentivePool:
        before = next(fits)
        return _fit(features, rate, data, settings,
                    lambda share: progress(int(100 * (before + share)), total))  # fmt: skip

    def score(some: Sequence[float]) -> Iterator[float]:
        for rate in some:
            placed = _places(fit(parts.search, rate), parts.validation, data.tokens)
            yield percent_within(placed.ranks, 1)

    trials = try_rates(rates, score)
    best = best_trial(trials)["lr"]
    network = fit(parts.final, best)
    hint = "give smaller attentive_rates in the recipe"
    refuse_divergence((*network.decayed, *network.kept), f"rate of {best}", hint)
    return parts.result(_places(network, parts.test, data.tokens), {"lr": best}, trials)


def cost(size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds of a fit, roughly: the products of all epochs of all rates and of the final fit."""
    recipe, dim = settings.recipe, size.dim // size.tokens
    an_image = 12.0 * size.tokens * heads_of(dim) * dim + 6.0 * dim * (dim + size.n_classes)
    epochs = _epochs(size.n_train, settings)
    return seconds_for(
        an_image * size.n_train * epochs * (len(recipe.attentive_rates) + 1), settings
    )


def heads_of(dim: int) -> int:
    """How many heads tokens of `dim` numbers have: of 64 numbers, or of the next size that divides.

    >>> heads_of(768), heads_of(100), heads_of(12)
    (12, 1, 1)
    """
    return next(heads for heads in range(max(1, dim // HEAD), 0, -1) if dim % heads == 0)


def _epochs(rows: int, settings: ProbeSettings) -> int:
    recipe = settings.recipe
    least, epochs = recipe.attentive_least_steps, recipe.attentive_epochs
    return epochs_with(least, epochs, rows, recipe.batch_size)


def _fit(
    features: UnitFeatures,
    rate: float,
    data: ProbeData,
    settings: ProbeSettings,
    on_epoch: Callable[[float], None],
) -> AttentivePool:
    recipe = settings.recipe
    network = _start(features, data, settings.seed)
    groups = [
        {"params": network.decayed, "weight_decay": recipe.attentive_decay},
        {"params": network.kept, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))
    epochs, size = _epochs(len(features), settings), recipe.batch_size
    steps = epochs * math.ceil(len(features) / size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share_of(step, steps))

    def outputs(x: Tensor) -> Tensor:
        return network.outputs(_tokens(x, data.tokens))

    descend(outputs, features, optimizer, schedule, epochs, size, settings.seed, on_epoch)
    return network


def share_of(step: int, steps: int) -> float:
    """Which share of the rate a step has, counted from 0.

    >>> [round(share_of(step, 20), 2) for step in (0, 1, 2, 11, 19)]
    [0.5, 1.0, 1.0, 0.5, 0.01]
    """
    warm = max(1, round(_WARM * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _start(features: UnitFeatures, data: ProbeData, seed: int) -> AttentivePool:
    """Where every fit of a seed starts, from a generator of that alone."""
    dim, like = (features.width - 1) // data.tokens, features.scale
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        drawn = torch.empty(shape, dtype=torch.float32).normal_(0, _DEVIATION, generator=generator)
        return drawn.to(like).requires_grad_()

    def zeros(count: int) -> Tensor:
        return like.new_zeros(count).requires_grad_()

    norm = torch.stack([like.new_ones(dim), like.new_zeros(dim)]).requires_grad_()
    query, maps, layer = normal(dim), normal(2 * dim, dim), normal(data.n_classes, dim)
    return AttentivePool(heads_of(dim), norm, query, maps, zeros(dim), layer, zeros(data.n_classes))


def _tokens(x: Tensor, count: int) -> Tensor:
    """Tokens [b, T, d] of rows with their ones [b, T · d + 1]."""
    return x[:, :-1].view(len(x), count, -1)


@torch.no_grad()
def _places(network: AttentivePool, features: UnitFeatures, tokens: int) -> Placed:
    """How images are placed, in blocks that leave room for keys and values."""
    ranks, highest = [], []
    for x, y in _blocks(features):
        found = network.outputs(_tokens(x, tokens))
        ranks.append(output_ranks(found, y).cpu())
        highest.append(highest_classes(found).cpu())
    return Placed(torch.cat(ranks).numpy(), torch.cat(highest).numpy())


def _blocks(features: UnitFeatures) -> Iterator[tuple[Tensor, Tensor]]:
    every = torch.arange(len(features), device=features.source.device)
    for indices in torch.split(every, max(1, _BLOCK // features.width)):
        yield features.take(indices)
