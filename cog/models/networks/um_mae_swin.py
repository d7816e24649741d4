"""UM-MAE's Swin at 256 pixels: windows of 16 × 16 whose relative positions go through a network.

It differs from Swin in more than the size: the bias of two patches is a small perceptron of the
logarithms of their offsets, sign(d) log(1 + |d|), so that a window may have any size; a stage
begins with a norm and a 2 × 2 convolution; patches are merged in the first block of the stage.
Sources: Li et al., "Uniform Masking", arXiv 2205.10063, and implus/UM-MAE (models_mae_swin.py for
the layers, models_swin.py for whole images).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers.mlp import Mlp
from torch import Tensor, nn

CLASSES = 1000


class _Merge(nn.Module):
    """Each 2 × 2 patches to one: [b, h, w, inputs] → [b, h / 2, w / 2, outputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(inputs, eps=1e-6)
        self.proj = nn.Conv2d(inputs, outputs, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """A norm, then the convolution."""
        merged: Tensor = self.proj(self.norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return merged


class _Patches(nn.Module):
    """float32[b, 3, h, w] → [b, h / 4, w / 4, dim]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 4, stride=4)
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution, then a norm."""
        patches: Tensor = self.norm(self.proj(x).permute(0, 2, 3, 1))
        return patches


class _Attention(nn.Module):
    """Attention in windows of side × side patches."""

    def __init__(self, dim: int, heads: int, side: int, position_dim: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.posmlp = nn.Sequential(
            nn.Conv2d(2, position_dim, 1), nn.ReLU(), nn.Conv2d(position_dim, heads, 1)
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Windows [b, windows, n, dim]; `mask` [windows, 1, n, n] is added to the logits."""
        b, windows, n, dim = x.shape
        split = self.qkv(x).reshape(b, windows, n, 3, self.heads, dim // self.heads)
        q, k, v = split.permute(3, 0, 1, 4, 2, 5)
        bias = self._bias(x)
        mixed = nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=bias if mask is None else bias + mask
        )
        out: Tensor = self.proj(mixed.transpose(2, 3).reshape(b, windows, n, dim))
        return out

    def _bias(self, x: Tensor) -> Tensor:
        """What is added to the logits of query i and key j: [heads, n, n]."""
        steps = torch.arange(1 - self.side, self.side, device=x.device)
        logs = (steps.sign() * steps.abs().log1p()).to(x.dtype)
        offsets = torch.stack(torch.meshgrid(logs, logs, indexing="ij"))
        table = self.posmlp(offsets[None])[0].flatten(1)  # by the offset of key from query
        lines = torch.arange(self.side, device=x.device)
        down, right = (grid.flatten() for grid in torch.meshgrid(lines, lines, indexing="ij"))
        rows, columns = (at[None, :] - at[:, None] + self.side - 1 for at in (down, right))
        bias: Tensor = table[:, rows * (2 * self.side - 1) + columns]
        return bias


class _Block(nn.Module):
    """One block on maps [b, h, w, dim]; windows of every other block are shifted by half."""

    def __init__(
        self, dim: int, heads: int, side: int, window: int, shifted: bool, position_dim: int,
        merges: int = 0,
    ) -> None:  # fmt: skip
        """`side`: of the map; `merges`: the width that is merged before, 0 for none."""
        super().__init__()
        self.window = min(window, side)
        self.shift = self.window // 2 if shifted and side > window else 0
        self.downsample = _Merge(merges, dim) if merges else nn.Identity()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = _Attention(dim, heads, self.window, position_dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Attention and perceptron, each with a shortcut."""
        x = self.downsample(x)
        b, h, w, dim = x.shape
        s, shift = self.window, self.shift
        shifted = torch.roll(self.norm1(x), (-shift, -shift), (1, 2))
        windows = shifted.reshape(b, h // s, s, w // s, s, dim).transpose(2, 3)
        mask = self._mask(h, w, x) if shift else None
        mixed = self.attn(windows.reshape(b, -1, s * s, dim), mask)
        mixed = mixed.reshape(b, h // s, w // s, s, s, dim).transpose(2, 3).reshape(b, h, w, dim)
        x = x + torch.roll(mixed, (shift, shift), (1, 2))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out

    def _mask(self, h: int, w: int, x: Tensor) -> Tensor:
        """−100 between patches that only the shift brings together: [windows, 1, n, n]."""
        s = self.window
        rows, columns = (
            (torch.arange(length, device=x.device) >= length - self.shift).int()
            for length in (h, w)
        )
        part = 2 * rows[:, None] + columns[None, :]
        parts = part.reshape(h // s, s, w // s, s).transpose(1, 2).reshape(-1, 1, s * s)
        apart = parts.transpose(1, 2) != parts
        return torch.where(apart, -100.0, 0.0).to(x.dtype)[:, None]


class UmMaeSwin(nn.Module):
    """float32[b, 3, side, side] → the mean of the patches [b, 8 dim], or class scores."""

    num_prefix_tokens = 0

    def __init__(
        self, dim: int = 96, depths: Sequence[int] = (2, 2, 6, 2), position_dim: int = 32,
        side: int = 256, window: int = 16, fine_tuned: bool = False,
    ) -> None:  # fmt: skip
        """A fine-tuned network has its norm after the mean, and a classifier."""
        super().__init__()
        self.patch_embed = _Patches(dim)
        self.blocks = nn.Sequential()
        for stage, depth in enumerate(depths):
            width = dim * 2**stage
            self.blocks.extend(
                _Block(
                    width, width // 32, side // 2 ** (stage + 2), window, index % 2 == 1,
                    position_dim, width // 2 if stage and not index else 0,
                )
                for index in range(depth)
            )  # fmt: skip
        norm = nn.LayerNorm(width, eps=1e-6)
        self.norm = nn.Identity() if fine_tuned else norm
        self.fc_norm = norm if fine_tuned else nn.Identity()
        self.head = nn.Linear(width, CLASSES) if fine_tuned else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        """The patches of the last block, after the norm of the pre-training: [b, n, 8 dim]."""
        patches: Tensor = self.norm(self.blocks(self.patch_embed(x))).flatten(1, 2)
        return patches

    def forward(self, x: Tensor) -> Tensor:
        """The mean of the patches; of a fine-tuned network, class scores [b, 1000]."""
        out: Tensor = self.head(self.fc_norm(self.forward_features(x).mean(1)))
        return out
