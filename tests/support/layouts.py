"""A published weights file: its content with random weights, and the features that it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """`content`: what the file holds; `features`: what prepared images [b, 3, h, w] give."""

    content: Any
    features: Callable[[Tensor], Tensor]


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that tell every tensor apart, and batch statistics unlike those of a new network."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(1 + 0.2 * noise.abs())
            elif tensor.ndim < 2:
                tensor.copy_(tensor + 0.1 * noise)
            else:
                tensor.copy_(noise / tensor[0].numel() ** 0.5)
    return network.eval()


def tensors_of(network: nn.Module) -> Tensors:
    return dict(network.state_dict())  # shared: the largest network fills a quarter of the memory


def some(**shapes: tuple[int, ...]) -> Tensors:
    """Random tensors that a published file holds beside the network; __ stands for a dot."""
    generator = torch.Generator().manual_seed(1)
    return {
        name.replace("__", "."): torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }


def prefixed(tensors: Tensors, prefix: str) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def without(tensors: Tensors, start: str) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(start)}


OPTIMIZER = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.03}]}
