"""The rank of an image's right class: how many classes come before it; 0 where it is first.

A class comes before another if its output is strictly higher; of equal outputs the class of lower
index comes first. All figures of a probe are made of these ranks (cog/probes/metrics.py).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cog.probes.features import UnitFeatures


def layer_ranks(layer: Tensor, features: UnitFeatures) -> NDArray[np.int64]:
    """The ranks int64[m] of images under a linear layer [c, d + 1]."""
    return image_ranks(lambda x: x @ layer.T, features, len(layer))


def image_ranks(
    outputs: Callable[[Tensor], Tensor], features: UnitFeatures, n_classes: int
) -> NDArray[np.int64]:
    """The ranks int64[m] of images, made in blocks: there is never an m × c matrix.

    `outputs` takes unit rows with their ones [b, d + 1] and gives [b, c].
    """
    blocks = features.blocks(n_classes)
    ranks: NDArray[np.int64] = (
        torch.cat([output_ranks(outputs(x), y) for x, y in blocks]).cpu().numpy()
    )
    return ranks


def percent_right(layers: Tensor, features: UnitFeatures) -> list[float]:
    """Top-1 in percent of each of the layers [h, c, d + 1]; 0 for one that diverged."""
    heads, n_classes, width = layers.shape
    right = torch.zeros(heads, dtype=torch.int64, device=layers.device)
    for x, y in features.blocks(heads * n_classes):
        outputs = (x @ layers.view(-1, width).T).view(-1, n_classes)
        ranks = output_ranks(outputs, y.repeat_interleave(heads))
        right += (ranks.view(-1, heads) == 0).sum(dim=0)
    return (100 * right.double() / len(features)).tolist()


def output_ranks(outputs: Tensor, labels: Tensor) -> Tensor:
    """The ranks int64[b] of images with outputs [b, c] and labels int64[b] in 0…c−1.

    NaN, which a fit that diverged gives, comes before the right class, and is never right.

    >>> output_ranks(torch.tensor([[0.1, 0.7], [torch.nan, 0.2]]), torch.tensor([0, 1])).tolist()
    [1, 1]
    """
    own = outputs.gather(1, labels[:, None])
    later = torch.arange(outputs.shape[1], device=labels.device) >= labels[:, None]
    return (~((outputs < own) | ((outputs == own) & later))).sum(dim=1)
