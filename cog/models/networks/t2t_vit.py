"""T2T-ViT_t-14: a vision transformer with overlapping tokens; its blocks are timm's.

The image, and then the map of tokens twice, is unfolded into overlapping squares; after the first
two times a transformer with one head reduces them to 64 numbers each. Two details decide the
features: the token transformers scale attention by the size of their input (147, 576), not of their
head, and their shortcut adds the values, not the input.
Source: Yuan et al., ICCV 2021, and yitu-opensource/T2T-ViT (models/t2t_vit.py,
token_transformer.py).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

NARROW = 64  # numbers per token between the three splits
DIM = 384


class _TokenAttention(nn.Module):
    """Attention with one head, from `inputs` to NARROW numbers, plus the values."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(inputs, 3 * NARROW, bias=False)
        self.proj = nn.Linear(NARROW, NARROW)
        self.scale = inputs**-0.5

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [b, n, inputs] → [b, n, NARROW]."""
        q, k, v = self.qkv(x).chunk(3, dim=2)
        mixed = nn.functional.scaled_dot_product_attention(
            q[:, None], k[:, None], v[:, None], scale=self.scale
        )
        attended: Tensor = v + self.proj(mixed[:, 0])
        return attended


class _Mlp(nn.Module):
    """Two linear layers of the same size."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(NARROW, NARROW)
        self.fc2 = nn.Linear(NARROW, NARROW)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [b, n, NARROW] → [b, n, NARROW]."""
        out: Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return out


class _TokenTransformer(nn.Module):
    """One block: [b, n, inputs] → [b, n, NARROW]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(inputs)
        self.attn = _TokenAttention(inputs)
        self.norm2 = nn.LayerNorm(NARROW)
        self.mlp = _Mlp()

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [b, n, inputs] → [b, n, NARROW]."""
        x = self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class _TokensToToken(nn.Module):
    """float32[b, 3, 224, 224] → [b, 196, 384]."""

    def __init__(self) -> None:
        super().__init__()
        self.soft_split0 = nn.Unfold(7, stride=4, padding=2)
        self.soft_split1 = nn.Unfold(3, stride=2, padding=1)
        self.soft_split2 = nn.Unfold(3, stride=2, padding=1)
        self.attention1 = _TokenTransformer(3 * 7 * 7)
        self.attention2 = _TokenTransformer(NARROW * 3 * 3)
        self.project = nn.Linear(NARROW * 3 * 3, DIM)

    def forward(self, x: Tensor) -> Tensor:
        """Images to tokens."""
        tokens = self.attention1(self.soft_split0(x).transpose(1, 2))
        tokens = self.attention2(self.soft_split1(_as_map(tokens)).transpose(1, 2))
        projected: Tensor = self.project(self.soft_split2(_as_map(tokens)).transpose(1, 2))
        return projected


class T2TViT(nn.Module):
    """T2T-ViT_t-14, with the names of the published 81.7_T2T_ViTt_14.pth.tar."""

    num_prefix_tokens = 1

    def __init__(self) -> None:
        """Make it untrained; the published file has the positions."""
        super().__init__()
        self.tokens_to_token = _TokensToToken()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, DIM))
        self.pos_embed = nn.Parameter(torch.zeros(1, 197, DIM), requires_grad=False)
        norm: Any = partial(nn.LayerNorm, eps=1e-5)
        self.blocks = nn.Sequential(
            *(Block(DIM, 6, mlp_ratio=3, qkv_bias=False, norm_layer=norm) for _ in range(14))
        )
        self.norm = nn.LayerNorm(DIM)
        self.head = nn.Linear(DIM, 1000)

    def forward_features(self, x: Tensor) -> Tensor:
        """Tokens [b, 197, 384] after the norm, the class token first."""
        tokens = self.tokens_to_token(x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1)
        out: Tensor = self.norm(self.blocks(tokens + self.pos_embed))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Class scores [b, 1000]."""
        out: Tensor = self.head(self.forward_features(x)[:, 0])
        return out


def _as_map(tokens: Tensor) -> Tensor:
    """Tokens [b, s², d] → a map [b, d, s, s]."""
    b, n, d = tokens.shape
    side = round(n**0.5)
    return tokens.transpose(1, 2).reshape(b, d, side, side)
