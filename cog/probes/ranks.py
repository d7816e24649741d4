"""The rank of an image's right class, 0 where it is first, and the classes that come first.

A class comes before another if its output is strictly higher; of equal outputs the class of lower
index comes first. The accuracies of a probe are made of these ranks (cog/probes/metrics.py); the
highest classes say what an image was taken for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cog.probes.data import HIGHEST
from cog.probes.features import UnitFeatures


@dataclass(frozen=True)
class Placed:
    """How a probe places the classes of m images."""

    ranks: NDArray[np.int64]
    """[m], how many classes come before the right one"""
    highest: NDArray[np.int64]
    """[m, min(5, c)], the classes that come first, in order; c for an output that is NaN"""


def layer_places(layer: Tensor, features: UnitFeatures) -> Placed:
    """How a linear layer [c, d + 1] places the classes of m images."""
    return image_places(lambda x: x @ layer.T, features, len(layer))


def image_places(
    outputs: Callable[[Tensor], Tensor], features: UnitFeatures, n_classes: int
) -> Placed:
    """`image_ranks` with the highest classes, made in the same blocks."""
    ranks, highest = [], []
    for x, y in features.blocks(n_classes):
        found = outputs(x)
        ranks.append(output_ranks(found, y).cpu())
        highest.append(highest_classes(found).cpu())
    return Placed(torch.cat(ranks).numpy(), torch.cat(highest).numpy())


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


def highest_classes(outputs: Tensor) -> Tensor:
    """The classes int64[b, min(5, c)] of the highest of outputs [b, c], in order.

    Where the output is NaN there is c, which is no class: with it the list agrees with
    `output_ranks` for every label.

    >>> highest_classes(torch.tensor([[0.1, 0.7, 0.7], [torch.nan, 0.2, 0.5]])).tolist()
    [[1, 2, 0], [3, 2, 1]]
    """
    n_classes = outputs.shape[1]
    values, classes = outputs.topk(min(HIGHEST + 1, n_classes), dim=1)
    classes = classes[:, :HIGHEST]
    equal = (values[:, 1:] == values[:, :-1]) | values[:, 1:].isnan()
    open_order = equal.any(dim=1)  # topk leaves the order of equals open
    if open_order.any():
        ordered = outputs[open_order].sort(dim=1, descending=True, stable=True).indices
        classes[open_order] = ordered[:, :HIGHEST]
    return classes.masked_fill(outputs.gather(1, classes).isnan(), n_classes)
