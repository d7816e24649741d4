"""The published file of MAGE, and its features by the formulas.

Names and sizes are those of the network that LTH14/mage saves (models_mage.py): the VQGAN, the
embedding of its codes, the encoder, the decoder, and parts of a ViT that it never uses.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tests.support.layouts import Layout, Tensors
from tests.support.own_layouts import Shapes, conv, convolve, drawn, linear, norm
from tests.support.reference_networks import blocks, layer_norm

LEVELS = (1, 1, 2, 2, 4)


def residual(name: str, inputs: int, outputs: int) -> Shapes:
    shapes = norm(f"{name}.norm1", inputs) | norm(f"{name}.norm2", outputs)
    shapes |= conv(f"{name}.conv1", outputs, inputs, 3, 3, bias=False)
    shapes |= conv(f"{name}.conv2", outputs, outputs, 3, 3, bias=False)
    if inputs != outputs:
        shapes |= conv(f"{name}.nin_shortcut", outputs, outputs, 1, 1, bias=False)
    return shapes


def mage_shapes(
    dim: int = 768, depth: int = 12, side: int = 256, channels: int = 128, code_dim: int = 256,
    **_: int,
) -> Shapes:  # fmt: skip
    tokens, widest = (side // 16) ** 2, channels * LEVELS[-1]
    shapes = conv("vqgan.encoder.conv_in", channels, 3, 3, 3, bias=False)
    before = channels
    for level, multiple in enumerate(LEVELS):
        for index in (0, 1):
            name = f"vqgan.encoder.down.{level}.block.{index}"
            shapes |= residual(name, before, channels * multiple)
            before = channels * multiple
    for index in (1, 2):
        shapes |= residual(f"vqgan.encoder.mid.block_{index}", widest, widest)
    shapes |= norm("vqgan.encoder.norm_out", widest)
    shapes |= conv("vqgan.encoder.conv_out", code_dim, widest, 1, 1)
    shapes |= conv("vqgan.decoder.conv_in", widest, code_dim, 3, 3)
    shapes["vqgan.quantize.embedding.weight"] = (1024, code_dim)
    shapes["token_emb.word_embeddings.weight"] = (2025, dim)
    shapes["token_emb.position_embeddings.weight"] = (tokens + 1, dim)
    shapes |= norm("token_emb.LayerNorm", dim) | {"token_emb.position_ids": (1, tokens + 1)}
    shapes |= {"cls_token": (1, 1, dim), "pos_embed": (1, tokens + 1, dim)}
    shapes |= conv("patch_embed.proj", dim, 3, 16, 16)
    for number in range(depth):
        name = f"blocks.{number}"
        shapes |= norm(f"{name}.norm1", dim) | norm(f"{name}.norm2", dim)
        shapes |= linear(f"{name}.attn.qkv", 3 * dim, dim) | linear(f"{name}.attn.proj", dim, dim)
        shapes |= linear(f"{name}.mlp.fc1", 4 * dim, dim)
        shapes |= linear(f"{name}.mlp.fc2", dim, 4 * dim)
    shapes |= norm("norm", dim) | linear("decoder_embed", dim, dim) | norm("decoder_norm", dim)
    shapes |= {"mask_token": (1, 1, dim), "decoder_pos_embed": (1, tokens + 1, dim)}
    shapes |= {"decoder_pos_embed_learned": (1, tokens + 1, dim), "mlm_layer.bias": (1, 1, 2025)}
    shapes |= norm("decoder_blocks.0.norm1", dim) | linear("decoder_pred", 768, dim)
    return shapes | linear("mlm_layer.fc", dim, dim) | norm("mlm_layer.ln", dim)


def mage_layout(heads: int = 12, **sizes: Any) -> Layout:
    tensors = drawn(mage_shapes(**sizes))
    content = {"model": tensors, "epoch": 1599, "args": Namespace(model="mage_vit_base_patch16")}
    return Layout(content, lambda x: mage_features(tensors, x, heads))


def group_norm(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    groups = x.reshape(len(x), 32, -1)
    mean = groups.mean(2, keepdim=True)
    variance = (groups - mean).square().mean(2, keepdim=True)
    scaled = ((groups - mean) / torch.sqrt(variance + 1e-6)).reshape(x.shape)
    weight, bias = (tensors[f"{name}.{part}"].view(-1, 1, 1) for part in ("weight", "bias"))
    return scaled * weight + bias


def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def widen(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    """A residual block, whose 1 × 1 shortcut starts from what the convolutions gave."""
    new = convolve(tensors, f"{name}.conv1", swish(group_norm(tensors, f"{name}.norm1", x)), 1, 1)
    new = convolve(tensors, f"{name}.conv2", swish(group_norm(tensors, f"{name}.norm2", new)), 1, 1)
    if f"{name}.nin_shortcut.weight" in tensors:
        return new + convolve(tensors, f"{name}.nin_shortcut", new)
    return new + x


def mage_codes(tensors: Tensors, x: Tensor) -> Tensor:
    """The nearest code of each of the vectors, row by row: int64[b, n]."""
    name = "vqgan.encoder"
    x = convolve(tensors, f"{name}.conv_in", x, 1, 1)
    for level in range(len(LEVELS)):
        if level:
            x = functional.avg_pool2d(x, 2)
        for index in (0, 1):
            x = widen(tensors, f"{name}.down.{level}.block.{index}", x)
    for index in (1, 2):
        x = widen(tensors, f"{name}.mid.block_{index}", x)
    x = convolve(tensors, f"{name}.conv_out", swish(group_norm(tensors, f"{name}.norm_out", x)))
    vectors = x.permute(0, 2, 3, 1).flatten(1, 2)
    codes = tensors["vqgan.quantize.embedding.weight"].expand(len(x), -1, -1)
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(vectors, codes, compute_mode=exact).argmin(2)


def mage_features(tensors: Tensors, x: Tensor, heads: int) -> Tensor:
    codes = mage_codes(tensors, x)
    words = torch.cat([torch.full((len(x), 1), 1100), codes], 1)
    embedded = tensors["token_emb.word_embeddings.weight"][words]
    embedded = embedded + tensors["token_emb.position_embeddings.weight"]
    tokens = layer_norm(tensors, "token_emb.LayerNorm", embedded, 1e-6)
    mean = blocks(tensors, tokens, heads, 1e-6)[:, 1:].mean(1)
    centred = mean - mean.mean(1, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(1, keepdim=True) + 1e-6)
