"""Networks that the tests on GPUs make themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SmallTransformer(nn.Module):
    """Patches of 16 pixels, two layers, the mean of tokens: [b, 3, s, s] → [b, width]."""

    def __init__(self, side: int, width: int = 96) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (side // 16) ** 2, width))
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        mean: Tensor = self.layers(tokens).mean(1)
        return mean


def small_transformer(side: int) -> nn.Module:
    """A transformer of random weights for images of a side."""
    return SmallTransformer(side)
