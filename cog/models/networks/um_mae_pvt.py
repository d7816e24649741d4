"""UM-MAE's PVT-S at 256 pixels: attention to a map that is averaged over squares of patches.

It differs from PVT in four things: keys and values are averaged and then go through a 1 × 1
convolution and a norm, in every stage; positions are added to the first stage alone; patches are
merged without a norm; there is no class token. Squares have 8, 4, 2 and 1 patches a side.
Sources: Li et al., "Uniform Masking", arXiv 2205.10063, and implus/UM-MAE (models_mae_pvt.py for
the layers, models_pvt.py for whole images).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers.mlp import Mlp
from torch import Tensor, nn

CLASSES = 1000
HEAD = 64  # numbers of a head
SQUARES = (8, 4, 2, 1)
RATIOS = (8, 8, 4, 4)  # of the perceptrons' widths


class _Attention(nn.Module):
    """Attention from each patch to the squares of the map."""

    def __init__(self, dim: int, heads: int, square: int) -> None:
        super().__init__()
        self.heads, self.square = heads, square
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.sr = nn.Conv2d(dim, dim, 1)
        self.norm = nn.LayerNorm(dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [b, h, w, dim] → [b, h, w, dim]."""
        squares = nn.functional.avg_pool2d(x.permute(0, 3, 1, 2), self.square)
        squares = self.norm(self.sr(squares).flatten(2).transpose(1, 2))
        k, v = self.kv(squares).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q = self.q(x.flatten(1, 2)).unflatten(2, (self.heads, -1)).transpose(1, 2)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(x.shape))
        return out


class _Patches(nn.Module):
    """Each square of patches to one: [b, inputs, h, w] → [b, outputs, h / side, w / side]."""

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, side, stride=side)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution alone."""
        patches: Tensor = self.proj(x)
        return patches


class _Block(nn.Module):
    """One block on maps [b, h, w, dim]."""

    def __init__(self, dim: int, heads: int, square: int, ratio: int, merges: int = 0) -> None:
        """`merges`: the width that is merged before, 0 for none."""
        super().__init__()
        self.downsample = _Patches(merges, dim, 2) if merges else None
        self.norm1 = nn.LayerNorm(dim)
        self.attn = _Attention(dim, heads, square)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, ratio * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Attention and perceptron, each with a shortcut."""
        if self.downsample is not None:
            x = self.downsample(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class UmMaePvt(nn.Module):
    """float32[b, 3, side, side] → class scores [b, 1000]; the file is a fine-tuned network."""

    num_prefix_tokens = 0

    def __init__(
        self, dims: Sequence[int] = (64, 128, 320, 512), depths: Sequence[int] = (3, 4, 6, 3),
        side: int = 256,
    ) -> None:  # fmt: skip
        """Widths that are multiples of 64, the width of a head."""
        super().__init__()
        self.patch_embed = _Patches(3, dims[0], 4)
        self.pos_embed = nn.Parameter(torch.zeros(1, (side // 4) ** 2, dims[0]))
        self.blocks = nn.Sequential()
        for stage, (dim, depth) in enumerate(zip(dims, depths, strict=True)):
            before = dims[stage - 1] if stage else 0
            self.blocks.extend(
                _Block(dim, dim // HEAD, SQUARES[stage], RATIOS[stage], 0 if index else before)
                for index in range(depth)
            )
        self.fc_norm = nn.LayerNorm(dims[-1], eps=1e-6)
        self.head = nn.Linear(dims[-1], CLASSES)

    def forward_features(self, x: Tensor) -> Tensor:
        """The patches of the last block, before the norm: [b, n, dims[-1]]."""
        patches = self.patch_embed(x).permute(0, 2, 3, 1)
        tokens: Tensor = self.blocks(patches + self.pos_embed.reshape(1, *patches.shape[1:]))
        return tokens.flatten(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """The head on the norm of the mean of the patches."""
        out: Tensor = self.head(self.fc_norm(self.forward_features(x).mean(1)))
        return out
