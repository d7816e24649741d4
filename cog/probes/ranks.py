"""The rank of the right class of each image under a fitted layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cog.probes.features import UnitFeatures


def layer_ranks(layer: Tensor, features: UnitFeatures) -> NDArray[np.int64]:
    """The place of the right class of each image under a layer [c, d + 1], in blocks."""
    return image_ranks(lambda x: x @ layer.T, features, len(layer))


def image_ranks(
    outputs: Callable[[Tensor], Tensor], features: UnitFeatures, n_classes: int
) -> NDArray[np.int64]:
    """The place of the right class of each image, in blocks: no n × c matrix is made.

    `outputs` takes unit rows with their ones [b, d + 1] and gives [b, c].
    """
    blocks = features.blocks(n_classes)
    ranks: NDArray[np.int64] = (
        torch.cat([output_ranks(outputs(x), y) for x, y in blocks]).cpu().numpy()
    )
    return ranks


def output_ranks(outputs: Tensor, labels: Tensor) -> Tensor:
    """What `label_ranks` says, where the outputs [b, c] are: int64[b].

    NaN, which a fit that diverged gives, comes before the right class, and is never right.

    >>> output_ranks(torch.tensor([[0.1, 0.7], [torch.nan, 0.2]]), torch.tensor([0, 1])).tolist()
    [1, 1]
    """
    own = outputs.gather(1, labels[:, None])
    later = torch.arange(outputs.shape[1], device=labels.device) >= labels[:, None]
    return (~((outputs < own) | ((outputs == own) & later))).sum(dim=1)
