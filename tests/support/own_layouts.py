"""Published files of MViT-S and of UM-MAE's Swin and PVT, and their features by the formulas.

The names and sizes of the tensors are written from the papers and from what the authors' code
saves, and every forward pass with functions of torch on these names: nothing here comes from cog.
The sizes are those of the published networks unless smaller ones are asked for.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tests.support.layouts import OPTIMIZER, Layout, Tensors
from tests.support.reference_networks import layer_norm, mlp

Shapes = dict[str, tuple[int, ...]]


def drawn(shapes: Shapes, seed: int = 20) -> Tensors:
    """Random tensors that tell every name apart."""
    generator = torch.Generator().manual_seed(seed)
    tensors: Tensors = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            tensors[name] = 0.1 * noise + float(name.endswith("weight"))
        else:
            tensors[name] = noise / max(1, math.prod(shape[1:])) ** 0.5
    return tensors


def linear(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def conv(name: str, outputs: int, inputs: int, *kernel: int, bias: bool = True) -> Shapes:
    shapes: Shapes = {f"{name}.weight": (outputs, inputs, *kernel)}
    return shapes | ({f"{name}.bias": (outputs,)} if bias else {})


def norm(name: str, size: int) -> Shapes:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def apply(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def convolve(tensors: Tensors, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    weight = tensors[f"{name}.weight"]
    return functional.conv2d(x, weight, tensors.get(f"{name}.bias"), stride, padding)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    """Softmax attention over [b, heads, n, d], heads joined: [b, n, heads d]."""
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + bias).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


# --- MaskFeat's MViT-S -----------------------------------------------------------------------

MVIT_HEADS = (1, 2, 2, *[4] * 11, 8, 8)
MVIT_WIDENS = (0, 2, 13)  # blocks whose perceptron gives twice the width
MVIT_KEYS = (8, 4, 4, *[2] * 13)  # strides of keys and values; queries are halved in blocks 1 and 3


def mvit_shapes(dim: int = 96, side: int = 224, frames: int = 16) -> Shapes:
    shapes: Shapes = {"cls_token": (1, 1, dim), "mask_token": (1, 1, dim)}
    shapes |= conv("patch_embed.proj", dim, 3, 3, 7, 7)
    grid, width = side // 4, dim
    for number, (heads, stride) in enumerate(zip(MVIT_HEADS, MVIT_KEYS, strict=True)):
        name, wide = f"blocks.{number}", width * (2 if number in MVIT_WIDENS else 1)
        after = grid // 2 if number in (1, 3) else grid
        reach = 2 * max(after, grid // stride) - 1
        shapes |= norm(f"{name}.norm1", width) | norm(f"{name}.norm2", width)
        shapes |= linear(f"{name}.attn.qkv", 3 * width, width)
        shapes |= linear(f"{name}.attn.proj", width, width)
        for part in "qkv":
            shapes |= conv(f"{name}.attn.pool_{part}", width // heads, 1, 3, 3, 3, bias=False)
            shapes |= norm(f"{name}.attn.norm_{part}", width // heads)
        shapes |= {f"{name}.attn.rel_pos_{axis}": (reach, width // heads) for axis in "hw"}
        shapes[f"{name}.attn.rel_pos_t"] = (frames - 1, width // heads)
        shapes |= linear(f"{name}.mlp.fc1", 4 * width, width)
        shapes |= linear(f"{name}.mlp.fc2", wide, 4 * width)
        if wide != width:
            shapes |= linear(f"{name}.proj", wide, width)
        grid, width = after, wide
    shapes |= norm("pred_head.transforms.0.0", width) | linear(
        "pred_head.projections.0", 108, width
    )
    return shapes | {f"hogs.0.weight_{axis}": (3, 1, 3, 3) for axis in "xy"}


def mvit_layout(frames: int = 16, **sizes: int) -> Layout:
    tensors = drawn(mvit_shapes(frames=frames, **sizes))
    content = {
        "epoch": 299, "model_state": tensors, "optimizer_state": OPTIMIZER, "cfg": "MODEL: {}",
    }  # fmt: skip
    return Layout(content, lambda x: mvit_features(tensors, x, frames))


def mvit_features(tensors: Tensors, x: Tensor, frames: int) -> Tensor:
    clip = torch.stack([x] * frames, 2)
    weight, bias = (tensors[f"patch_embed.proj.{part}"] for part in ("weight", "bias"))
    patches = functional.conv3d(clip, weight, bias, (2, 4, 4), (1, 3, 3))
    size = tuple(patches.shape[2:])
    tokens = patches.flatten(2).transpose(1, 2)
    tokens = torch.cat([tensors["cls_token"].expand(len(x), -1, -1), tokens], 1)
    for number, (heads, keys) in enumerate(zip(MVIT_HEADS, MVIT_KEYS, strict=True)):
        name, queries = f"blocks.{number}", 2 if number in (1, 3) else 1
        normed = layer_norm(tensors, f"{name}.norm1", tokens, 1e-6)
        mixed, after = mvit_attention(tensors, f"{name}.attn", normed, heads, size, queries, keys)
        if queries > 1:
            plane = tokens[:, 1:].transpose(1, 2).unflatten(2, size)
            plane = functional.max_pool3d(plane, (1, 3, 3), (1, 2, 2), (0, 1, 1))
            tokens = torch.cat([tokens[:, :1], plane.flatten(2).transpose(1, 2)], 1)
        tokens, size = tokens + mixed, after
        normed = layer_norm(tensors, f"{name}.norm2", tokens, 1e-6)
        wide = apply(tensors, f"{name}.proj", normed) if number in MVIT_WIDENS else tokens
        tokens = wide + mlp(tensors, f"{name}.mlp", normed)
    return tokens[:, 1:].mean(1)


def mvit_attention(
    tensors: Tensors, name: str, x: Tensor, heads: int, size: tuple[int, ...], queries: int,
    keys: int,
) -> tuple[Tensor, tuple[int, ...]]:  # fmt: skip
    """Pooled queries, keys and values; a bias for each axis; pooled queries are added."""

    def pool(part: str, tokens: Tensor, stride: int) -> tuple[Tensor, tuple[int, ...]]:
        weight = tensors[f"{name}.pool_{part}.weight"]
        plane = tokens[:, :, 1:].flatten(0, 1).transpose(1, 2).unflatten(2, size)
        steps = (1, stride, stride)
        plane = functional.conv3d(plane, weight, None, steps, 1, groups=len(weight))
        patches = plane.flatten(2).transpose(1, 2).unflatten(0, tokens.shape[:2])
        joined = torch.cat([tokens[:, :, :1], patches], 2)
        return layer_norm(tensors, f"{name}.norm_{part}", joined, 1e-6), tuple(plane.shape[2:])

    split = apply(tensors, f"{name}.qkv", x).unflatten(2, (3, heads, -1))
    q, k, v = (split[:, :, part].transpose(1, 2) for part in range(3))
    (q, asked), (k, kept), (v, _) = pool("q", q, queries), pool("k", k, keys), pool("v", v, keys)
    bias = torch.zeros(*q.shape[:3], k.shape[2])
    asked_at, kept_at = (torch.cartesian_prod(*map(torch.arange, grid)) for grid in (asked, kept))
    for axis, letter in enumerate("thw"):
        here, there = asked[axis], kept[axis]
        table = tensors[f"{name}.rel_pos_{letter}"]
        apart = [
            [
                int(i * max(there / here, 1) + (there - 1 - j) * max(here / there, 1))
                for j in range(there)
            ]
            for i in range(here)
        ]
        by_key = torch.einsum(
            "bhnd,nkd->bhnk", q[:, :, 1:], table[torch.tensor(apart)][asked_at[:, axis]]
        )
        bias[:, :, 1:, 1:] += by_key[..., kept_at[:, axis]]
    logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + bias
    mixed = logits.softmax(-1) @ v
    mixed = torch.cat([mixed[:, :, :1], mixed[:, :, 1:] + q[:, :, 1:]], 2)
    return apply(tensors, f"{name}.proj", mixed.transpose(1, 2).flatten(2)), asked


# --- UM-MAE's Swin ---------------------------------------------------------------------------


def stages(depths: Sequence[int]) -> Iterator[tuple[int, int, bool]]:
    """Stage, index in the stage, and whether patches are merged before the block."""
    for stage, depth in enumerate(depths):
        for index in range(depth):
            yield stage, index, stage > 0 and index == 0


def swin_shapes(
    dim: int = 96, depths: Sequence[int] = (2, 2, 6, 2), position_dim: int = 32,
    fine_tuned: bool = False, **_: int,
) -> Shapes:  # fmt: skip
    shapes = conv("patch_embed.proj", dim, 3, 4, 4) | norm("patch_embed.norm", dim)
    for number, (stage, _index, merges) in enumerate(stages(depths)):
        name, width = f"blocks.{number}", dim * 2**stage
        shapes |= norm(f"{name}.norm1", width) | norm(f"{name}.norm2", width)
        shapes |= conv(f"{name}.attn.posmlp.0", position_dim, 2, 1, 1)
        shapes |= conv(f"{name}.attn.posmlp.2", width // 32, position_dim, 1, 1)
        shapes |= linear(f"{name}.attn.qkv", 3 * width, width)
        shapes |= linear(f"{name}.attn.proj", width, width)
        shapes |= linear(f"{name}.mlp.fc1", 4 * width, width)
        shapes |= linear(f"{name}.mlp.fc2", width, 4 * width)
        if merges:
            shapes |= norm(f"{name}.downsample.norm", width // 2)
            shapes |= conv(f"{name}.downsample.proj", width, width // 2, 2, 2)
    if fine_tuned:
        return shapes | norm("fc_norm", width) | linear("head", 1000, width)
    rest: Shapes = {"mask_token": (1, 1, 512), "vis_mask_token": (1, 1, dim)}
    rest |= {"decoder_pos_embed": (1, 256, 512), "decoder_blocks.0.norm1.weight": (512,)}
    return shapes | norm("norm", width) | rest | linear("decoder_embed", 2048, width)


def swin_layout(
    side: int = 256, window: int = 16, fine_tuned: bool = False, **sizes: Any
) -> Layout:
    tensors = drawn(swin_shapes(fine_tuned=fine_tuned, **sizes))
    depths = sizes.get("depths", (2, 2, 6, 2))
    whole = {"optimizer": OPTIMIZER, "epoch": 99, "scaler": {}, "args": Namespace(model="swin")}
    content = {"model": tensors} | (whole if fine_tuned else {})

    def features(x: Tensor) -> Tensor:
        last = swin_blocks(tensors, x, depths, window).flatten(1, 2)
        if fine_tuned:
            return layer_norm(tensors, "fc_norm", last.mean(1), 1e-6)
        return layer_norm(tensors, "norm", last, 1e-6).mean(1)

    return Layout(content, features)


def swin_blocks(tensors: Tensors, x: Tensor, depths: Sequence[int], window: int) -> Tensor:
    """Maps [b, h, w, d] of the last block."""
    x = convolve(tensors, "patch_embed.proj", x, 4).permute(0, 2, 3, 1)
    x = layer_norm(tensors, "patch_embed.norm", x, 1e-6)
    for number, (_stage, index, merges) in enumerate(stages(depths)):
        name = f"blocks.{number}"
        if merges:
            x = layer_norm(tensors, f"{name}.downsample.norm", x, 1e-6).permute(0, 3, 1, 2)
            x = convolve(tensors, f"{name}.downsample.proj", x, 2).permute(0, 2, 3, 1)
        side = x.shape[1]
        shift = window // 2 if index % 2 and side > window else 0
        normed = layer_norm(tensors, f"{name}.norm1", x, 1e-5)
        x = x + swin_windows(tensors, f"{name}.attn", normed, min(window, side), shift)
        x = x + mlp(tensors, f"{name}.mlp", layer_norm(tensors, f"{name}.norm2", x, 1e-5))
    return x


def swin_windows(tensors: Tensors, name: str, x: Tensor, window: int, shift: int) -> Tensor:
    """Window after window, each with the positions and the regions of its own patches."""
    b, side, _, d = x.shape
    out = torch.empty_like(x)
    heads = d // 32
    for top in range(0, side, window):
        for left in range(0, side, window):
            lines = [torch.arange(start, start + window) for start in (top, left)]
            at = torch.cartesian_prod(*[(line + shift) % side for line in lines])
            regions = [
                sum((line >= edge).int() for edge in (side - window, side - shift))
                for line in lines
            ]
            region = torch.cartesian_prod(*regions) if shift else torch.zeros(window**2, 2)
            apart = (region[:, None] != region[None, :]).any(-1)
            offsets = (at[None, :] - at[:, None]).float()
            logs = offsets.sign() * torch.log(1 + offsets.abs())
            weights = [tensors[f"{name}.posmlp.{layer}.weight"].flatten(1) for layer in (0, 2)]
            hidden = (logs @ weights[0].T + tensors[f"{name}.posmlp.0.bias"]).relu()
            bias = (hidden @ weights[1].T + tensors[f"{name}.posmlp.2.bias"]).permute(2, 0, 1)
            here = x[:, at[:, 0], at[:, 1]]
            split = apply(tensors, f"{name}.qkv", here).reshape(b, -1, 3, heads, d // heads)
            q, k, v = split.permute(2, 0, 3, 1, 4)
            mixed = attend(q, k, v, bias - 100.0 * apart)
            out[:, at[:, 0], at[:, 1]] = apply(tensors, f"{name}.proj", mixed)
    return out


# --- UM-MAE's PVT ----------------------------------------------------------------------------

PVT_DIMS, PVT_DEPTHS = (64, 128, 320, 512), (3, 4, 6, 3)


def pvt_shapes(
    dims: Sequence[int] = PVT_DIMS, depths: Sequence[int] = PVT_DEPTHS, side: int = 256
) -> Shapes:
    shapes = conv("patch_embed.proj", dims[0], 3, 4, 4)
    shapes["pos_embed"] = (1, side * side // 16, dims[0])
    for number, (stage, _index, merges) in enumerate(stages(depths)):
        name, width = f"blocks.{number}", dims[stage]
        hidden = width * (8, 8, 4, 4)[stage]
        for part in ("norm1", "norm2", "attn.norm"):
            shapes |= norm(f"{name}.{part}", width)
        shapes |= linear(f"{name}.attn.q", width, width)
        shapes |= linear(f"{name}.attn.kv", 2 * width, width)
        shapes |= linear(f"{name}.attn.proj", width, width)
        shapes |= conv(f"{name}.attn.sr", width, width, 1, 1)
        shapes |= linear(f"{name}.mlp.fc1", hidden, width)
        shapes |= linear(f"{name}.mlp.fc2", width, hidden)
        if merges:
            shapes |= conv(f"{name}.downsample.proj", width, dims[stage - 1], 2, 2)
    return shapes | norm("fc_norm", dims[-1]) | linear("head", 1000, dims[-1])


def pvt_layout(**sizes: Any) -> Layout:
    tensors = drawn(pvt_shapes(**sizes))
    content = {"model": tensors, "epoch": 99, "args": Namespace(model="pvt_small_256")}
    depths = sizes.get("depths", PVT_DEPTHS)
    return Layout(content, lambda x: pvt_features(tensors, x, depths))


def pvt_features(tensors: Tensors, x: Tensor, depths: Sequence[int]) -> Tensor:
    plane = convolve(tensors, "patch_embed.proj", x, 4)
    tokens = plane.flatten(2).transpose(1, 2) + tensors["pos_embed"]
    for number, (stage, _index, merges) in enumerate(stages(depths)):
        name, attn = f"blocks.{number}", f"blocks.{number}.attn"
        side = math.isqrt(tokens.shape[1])
        if merges:
            plane = tokens.transpose(1, 2).unflatten(2, (side, side))
            plane = convolve(tensors, f"{name}.downsample.proj", plane, 2)
            tokens, side = plane.flatten(2).transpose(1, 2), side // 2
        normed = layer_norm(tensors, f"{name}.norm1", tokens, 1e-5)
        square = (8, 4, 2, 1)[stage]
        few = normed.unflatten(1, (side // square, square, side // square, square)).mean((2, 4))
        few = few.flatten(1, 2) @ tensors[f"{attn}.sr.weight"][:, :, 0, 0].T
        few = layer_norm(tensors, f"{attn}.norm", few + tensors[f"{attn}.sr.bias"], 1e-5)
        q = apply(tensors, f"{attn}.q", normed).unflatten(2, (-1, 64)).transpose(1, 2)
        k, v = (
            half.unflatten(2, (-1, 64)).transpose(1, 2)
            for half in apply(tensors, f"{attn}.kv", few).chunk(2, 2)
        )
        tokens = tokens + apply(tensors, f"{attn}.proj", attend(q, k, v))
        normed = layer_norm(tensors, f"{name}.norm2", tokens, 1e-5)
        tokens = tokens + mlp(tensors, f"{name}.mlp", normed)
    return layer_norm(tensors, "fc_norm", tokens.mean(1), 1e-6)
