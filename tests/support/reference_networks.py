"""Transformers written from their formulas, on the tensors of a published file by their names.

They share nothing with cog or timm, so that a wrong number of heads, a norm too many or a position
table that is resampled otherwise shows in the features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

Tensors = dict[str, Tensor]


def patches(tensors: Tensors, x: Tensor) -> Tensor:
    """Patches as vectors [b, n, d]: unfold, then a linear layer."""
    weight = tensors["patch_embed.proj.weight"]
    side = weight.shape[-1]
    columns = functional.unfold(x, side, stride=side).transpose(1, 2)
    return columns @ weight.flatten(1).T + tensors["patch_embed.proj.bias"]


def layer_norm(tensors: Tensors, name: str, x: Tensor, eps: float) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    scaled = (x - mean) / torch.sqrt(variance + eps)
    return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def attention(tensors: Tensors, name: str, x: Tensor, heads: int, bias: Tensor | None) -> Tensor:
    """Softmax attention; `bias` [heads, n, n] is added to its logits."""
    b, n, d = x.shape
    projected = x @ tensors[f"{name}.qkv.weight"].T
    if f"{name}.qkv.bias" in tensors:
        projected = projected + tensors[f"{name}.qkv.bias"]
    elif f"{name}.q_bias" in tensors:  # BEiT: the keys have none
        query, value = tensors[f"{name}.q_bias"], tensors[f"{name}.v_bias"]
        projected = projected + torch.cat([query, torch.zeros(d), value])
    q, k, v = projected.reshape(b, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    logits = q @ k.transpose(-2, -1) / math.sqrt(d // heads)
    if bias is not None:
        logits = logits + bias
    mixed = (logits.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d)
    return mixed @ tensors[f"{name}.proj.weight"].T + tensors[f"{name}.proj.bias"]


def mlp(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    hidden = x @ tensors[f"{name}.fc1.weight"].T + tensors[f"{name}.fc1.bias"]
    hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
    return hidden @ tensors[f"{name}.fc2.weight"].T + tensors[f"{name}.fc2.bias"]


def blocks(
    tensors: Tensors, x: Tensor, heads: int, eps: float, bias: Tensor | None = None
) -> Tensor:
    """All blocks, with layer scale where the tensors have it under one of its two names."""
    depth = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))
    for number in range(depth):
        block = f"blocks.{number}"
        scales = [
            tensors.get(f"{block}.ls{which}.gamma", tensors.get(f"{block}.gamma_{which}", 1.0))
            for which in (1, 2)
        ]
        normed = layer_norm(tensors, f"{block}.norm1", x, eps)
        x = x + scales[0] * attention(tensors, f"{block}.attn", normed, heads, bias)
        x = x + scales[1] * mlp(
            tensors, f"{block}.mlp", layer_norm(tensors, f"{block}.norm2", x, eps)
        )
    return x


def vit(
    tensors: Tensors,
    x: Tensor,
    *,
    heads: int,
    eps: float = 1e-6,
    norm: bool = True,
    positions: Tensor | None = None,
) -> Tensor:
    """Tokens [b, n, d] after the norm; class, distillation and register tokens come first."""
    tokens = patches(tensors, x)
    table = tensors["pos_embed"] if positions is None else positions
    first = [
        tensors[name].expand(len(x), -1, -1)
        for name in ("cls_token", "dist_token")
        if name in tensors
    ]
    tokens = torch.cat([*first, tokens], 1) + table
    if "register_tokens" in tensors:
        registers = tensors["register_tokens"].expand(len(x), -1, -1)
        tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], 1)
    tokens = blocks(tensors, tokens, heads, eps)
    return layer_norm(tensors, "norm", tokens, eps) if norm else tokens


def beit(tensors: Tensors, x: Tensor, *, heads: int, eps: float = 1e-6) -> Tensor:
    """Tokens of a BEiT: absolute positions, or relative ones that all blocks share."""
    tokens = patches(tensors, x)
    tokens = torch.cat([tensors["cls_token"].expand(len(x), -1, -1), tokens], 1)
    if "pos_embed" in tensors:
        tokens = tokens + tensors["pos_embed"]
    table = tensors.get("rel_pos_bias.relative_position_bias_table")
    bias = None if table is None else relative_bias(table, math.isqrt(tokens.shape[1] - 1))
    return layer_norm(tensors, "norm", blocks(tensors, tokens, heads, eps, bias), eps)


def relative_bias(table: Tensor, side: int) -> Tensor:
    """Bias [heads, 1 + side², 1 + side²] by the offset of two patches.

    The last three rows of the table are for class to patch, patch to class, and class to class.
    """
    width = 2 * side - 1
    places = [(row, column) for row in range(side) for column in range(side)]
    index = torch.empty(1 + side**2, 1 + side**2, dtype=torch.long)
    index[0, :], index[:, 0], index[0, 0] = width**2, width**2 + 1, width**2 + 2
    grid = torch.tensor(places)
    offset = grid[:, None] - grid[None, :] + side - 1
    index[1:, 1:] = offset[..., 0] * width + offset[..., 1]
    return table[index].permute(2, 0, 1)
