"""The published files of transformers, and their features by the formulas of reference_networks."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import Tensor, nn

from tests.support.layouts import OPTIMIZER, Layout, Tensors, prefixed, some, tensors_of
from tests.support.reference_networks import beit, layer_norm, vit

BLOCKS: int | None = None
"""at most so many blocks, where a test needs a file quickly"""


def random_vit(  # noqa: C901 — one list of what a ViT may hold
    dim: int, patch: int, *, depth: int = 12, side: int | None = None, cls: bool = True,
    norm: bool = True, distilled: bool = False, layer_scale: bool = False, registers: int = 0,
    positions: bool = True, qkv_bias: bool = True,
) -> Tensors:  # fmt: skip
    """Tensors of a ViT under the names that DeiT, DINO, MAE and most others use."""
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int, scale: float | None = None) -> Tensor:
        return torch.randn(shape, generator=generator) * (scale or shape[-1] ** -0.5)

    depth = min(depth, BLOCKS or depth)
    side = side or 224 // patch
    tokens = side**2 + cls + distilled
    tensors: Tensors = {"cls_token": draw(1, 1, dim)} if cls else {}
    if distilled:
        tensors["dist_token"] = draw(1, 1, dim)
    if registers:
        tensors["register_tokens"] = draw(1, registers, dim)
    if positions:
        tensors["pos_embed"] = draw(1, tokens, dim)
    tensors["patch_embed.proj.weight"] = draw(dim, 3, patch, patch, scale=0.02)
    tensors["patch_embed.proj.bias"] = draw(dim)
    norms = [f"blocks.{number}.norm{which}" for number in range(depth) for which in (1, 2)]
    for name in [*norms, *(["norm"] if norm else [])]:
        tensors[f"{name}.weight"] = 1 + draw(dim, scale=0.1)
        tensors[f"{name}.bias"] = draw(dim, scale=0.1)
    for number in range(depth):
        block = f"blocks.{number}"
        for name, outputs, inputs in (
            ("attn.qkv", 3 * dim, dim), ("attn.proj", dim, dim),
            ("mlp.fc1", 4 * dim, dim), ("mlp.fc2", dim, 4 * dim),
        ):  # fmt: skip
            tensors[f"{block}.{name}.weight"] = draw(outputs, inputs)
            if qkv_bias or name != "attn.qkv":
                tensors[f"{block}.{name}.bias"] = draw(outputs, scale=0.1)
        if layer_scale:
            tensors[f"{block}.ls1.gamma"] = draw(dim, scale=0.3)
            tensors[f"{block}.ls2.gamma"] = draw(dim, scale=0.3)
    return tensors


def random_beit(*, absolute: bool, heads: int = 12, dim: int = 768) -> Tensors:
    """Tensors of a BEiT-B: layer scale, no bias of keys, absolute or shared relative positions."""
    tensors = random_vit(dim, 16, positions=absolute, layer_scale=True, qkv_bias=False)
    generator = torch.Generator().manual_seed(3)
    for number in range(min(12, BLOCKS or 12)):
        for name in ("q_bias", "v_bias"):
            tensors[f"blocks.{number}.attn.{name}"] = 0.1 * torch.randn(dim, generator=generator)
        for which in (1, 2):
            scale = tensors.pop(f"blocks.{number}.ls{which}.gamma")
            tensors[f"blocks.{number}.gamma_{which}"] = scale
    if not absolute:
        table = torch.randn(27**2 + 3, heads, generator=generator)
        tensors["rel_pos_bias.relative_position_bias_table"] = table
    return tensors


def vit_layout(
    wrap: Callable[[Tensors], Any], heads: int, dim: int, patch: int = 16, *, pool: str = "cls",
    norm: bool = True, positions: Callable[[Tensor], Tensor] | None = None, **options: Any,
) -> Layout:  # fmt: skip
    """A published ViT: its file by `wrap`, its features by the formulas of reference_networks."""
    tensors = random_vit(dim, patch, norm=norm, **options)

    def features(x: Tensor) -> Tensor:
        table = positions(tensors["pos_embed"]) if positions else None
        tokens = vit(tensors, x, heads=heads, norm=norm, positions=table)
        return tokens[:, 0] if pool == "cls" else tokens.mean(1)

    return Layout(wrap(tensors), features)


def beit_layout(wrap: Callable[[Tensors], Any], *, absolute: bool = False) -> Layout:
    tensors = random_beit(absolute=absolute)
    return Layout(wrap(tensors), lambda x: beit(tensors, x, heads=12)[:, 0])


def deit(dim: int, *, distilled: bool, side: int = 14) -> Layout:
    heads = some(head__weight=(1000, dim), head__bias=(1000,))
    if distilled:
        heads |= some(head_dist__weight=(1000, dim), head_dist__bias=(1000,))
    return vit_layout(
        lambda tensors: {"model": tensors | heads},
        dim // 64, dim, distilled=distilled, side=side,
    )  # fmt: skip


def dinov2(dim: int, registers: int) -> Layout:
    """Positions of 37 × 37 patches, resampled at 224 pixels as the authors' forward pass does."""
    return vit_layout(
        lambda tensors: tensors | some(mask_token=(1, dim)),
        dim // 64, dim, 14, side=37, layer_scale=True, registers=registers,
        positions=lambda table: resampled(table, 37, antialias=bool(registers)),
    )  # fmt: skip


def resampled(table: Tensor, side: int, *, antialias: bool) -> Tensor:
    """Positions of side × side patches at 224 pixels, as DINOv2's forward pass has them."""
    dim = table.shape[-1]
    plane = table[:, 1:].reshape(1, side, side, dim).permute(0, 3, 1, 2)
    if antialias:
        plane = nn.functional.interpolate(plane, size=(16, 16), mode="bicubic", antialias=True)
    else:
        scale = float(16 + 0.1) / side
        plane = nn.functional.interpolate(
            plane, scale_factor=(scale, scale), mode="bicubic", antialias=False
        )
    return torch.cat([table[:, :1], plane.permute(0, 2, 3, 1).reshape(1, 256, dim)], 1)


def deit3(dim: int, depth: int = 12) -> Layout:
    """DeiT III: layer scales `gamma_1`, and positions of the patches alone."""
    tensors = {
        re.sub(r"ls([12])\.gamma$", r"gamma_\1", name): tensor
        for name, tensor in random_vit(dim, 16, depth=depth, layer_scale=True).items()
    }
    tensors["pos_embed"] = tensors["pos_embed"][:, 1:].clone()
    heads = some(head__weight=(1000, dim), head__bias=(1000,))

    def features(x: Tensor) -> Tensor:
        positions = torch.cat([torch.zeros(1, 1, dim), tensors["pos_embed"]], 1)
        return vit(tensors, x, heads=dim // 64, positions=positions)[:, 0]

    return Layout({"model": tensors | heads}, features)


def dbot_finetuned() -> Layout:
    """The mean of the patches, and then a norm; the class token has none."""
    tensors = random_vit(768, 16, norm=False)
    tensors |= {"fc_norm.weight": 1 + tensors["cls_token"][0, 0], "fc_norm.bias": torch.ones(768)}
    content = {
        "model": tensors | some(head__weight=(1000, 768), head__bias=(1000,)),
        "optimizer": OPTIMIZER,
        "scaler": {"scale": 65536.0},
        "epoch": 99,
        "args": Namespace(model="vit_base_patch16"),
    }

    def features(x: Tensor) -> Tensor:
        tokens = vit(tensors, x, heads=12, norm=False)
        return layer_norm(tensors, "fc_norm", tokens[:, 1:].mean(1), 1e-6)

    return Layout(content, features)


def unic_large() -> Layout:
    """UNIC-L after training at 336 pixels: 24 × 24 patches."""
    return vit_layout(
        unic, 16, 1024, 14, depth=24, side=24,
        positions=lambda table: resampled(table, 24, antialias=False),
    )  # fmt: skip


def dinov3(name: str) -> Layout:
    """Meta's names, filled into timm's network by timm's own renaming: the reference."""
    from timm.models.eva import checkpoint_filter_fn

    depth = {"depth": BLOCKS} if BLOCKS else {}
    network: Any = timm.create_model(name, img_size=224, num_classes=0, **depth)
    network.eval()
    generator = torch.Generator().manual_seed(4)
    content: Tensors = {}
    for timm_name, tensor in tensors_of(network).items():
        values = torch.randn(tensor.shape, generator=generator) * tensor.shape[-1] ** -0.5
        if tensor.ndim == 1:
            values = 1 + 0.1 * values
        new = timm_name.replace("reg_token", "storage_tokens")
        new = new.replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma")
        for theirs, ours in (("w1", "fc1_g"), ("w2", "fc1_x")):
            new = new.replace(f"mlp.{ours}.", f"mlp.{theirs}.")
        if "fc1_g" in " ".join(network.state_dict()):
            new = new.replace("mlp.fc2.", "mlp.w3.")
        if new.endswith("q_bias"):
            block = new.removesuffix("q_bias")
            content[f"{block}qkv.bias"] = torch.cat([values, values + 1, values * 2])
            content[f"{block}qkv.bias_mask"] = torch.ones(3 * len(values))
        elif not new.endswith("v_bias"):
            content[new] = values
    content |= some(mask_token=(1, 8), rope_embed__periods=(16,))
    network.load_state_dict(checkpoint_filter_fn(dict(content), network))
    return Layout(content, lambda x: network.forward_features(x)[:, 0])


def mim_head(dim: int = 768) -> Tensors:
    return some(mask_token=(1, 1, dim), lm_head__weight=(8, dim), lm_head__bias=(8,))


def teacher(tensors: Tensors) -> Any:
    """DINO's full checkpoint."""
    return {
        "student": prefixed(tensors, "module.backbone."),
        "teacher": prefixed(tensors, "backbone.") | some(head__mlp__0__weight=(8, 8)),
        "optimizer": OPTIMIZER,
        "epoch": 100,
        "args": Namespace(arch="vit_small"),
    }


def moco_v3(tensors: Tensors) -> Any:
    base = prefixed(tensors, "module.base_encoder.")
    extra = some(
        module__base_encoder__head__0__weight=(8, 8),
        module__momentum_encoder__norm__weight=(8,),
        module__predictor__0__weight=(8, 8),
    )
    return {"epoch": 300, "arch": "vit", "state_dict": base | extra, "optimizer": OPTIMIZER}


def msn(tensors: Tensors) -> Any:
    """The encoder differs from the target encoder, which is the one to take."""
    encoder = {name: tensor + 1 for name, tensor in tensors.items()}
    extra = some(module__fc__fc1__weight=(8, 8))
    return {
        "encoder": prefixed(encoder, "module.") | extra,
        "target_encoder": prefixed(tensors, "module.") | extra,
        "prototypes": torch.ones(4, 4),
        "opt": OPTIMIZER,
        "epoch": 800,
    }


def ijepa(tensors: Tensors) -> Any:
    encoder = {name: tensor + 1 for name, tensor in tensors.items()}
    return {
        "encoder": prefixed(encoder, "module."),
        "target_encoder": prefixed(tensors, "module."),
        "predictor": some(module__norm__weight=(8,)),
        "opt": OPTIMIZER,
        "scaler": None,
        "epoch": 300,
    }


def unic(tensors: Tensors) -> Any:
    chunked = {
        (name.replace("blocks.", "blocks.0.", 1) if name.startswith("blocks.") else name): tensor
        for name, tensor in tensors.items()
    }
    return {
        "model": prefixed(chunked, "module.encoder.")
        | some(module__lp__dino__weight=(8, 8), module__encoder__mask_token=(1, 768)),
        "args": Namespace(arch="vit_base"),
        "epoch": 400,
        "teacher_ft_stats": {"dino": {"cls": torch.ones(3)}},
    }


def um_mae_vit() -> Layout:
    """A fine-tuned network: the norm comes after the mean of the patches, then a classifier."""
    tensors = random_vit(768, 16)
    content = {
        (f"fc_{name}" if name.startswith("norm.") else name): tensor
        for name, tensor in tensors.items()
    } | some(head__weight=(1000, 768), head__bias=(1000,))

    def features(x: Tensor) -> Tensor:
        mean = vit(tensors, x, heads=12, norm=False)[:, 1:].mean(1)
        return layer_norm(tensors, "norm", mean, 1e-6)

    return Layout({"model": content, "args": Namespace(model="vit_base_patch16")}, features)


def cae(tensors: Tensors) -> Any:
    extra = some(
        alignment_encoder__blocks__0__norm1__weight=(8,), regresser__norm__weight=(8,),
        decoder__norm__weight=(8,), mask_token=(1, 1, 8), rd_pos_embed=(1, 8),
    )  # fmt: skip
    body = prefixed(tensors, "encoder.")
    return {"model": body | extra, "args": Namespace(model="cae_base"), "epoch": 1600}


class CfgNode(dict):
    """As yacs saves it: a dictionary with attributes, of a class that need not be installed."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        self.__dict__["__immutable__"] = False


CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"


def simmim(tensors: Tensors) -> Any:
    body = prefixed(tensors, "encoder.")
    extra = some(
        encoder__mask_token=(1, 1, 768), decoder__0__weight=(8, 8, 1, 1),
        encoder__rel_pos_bias__relative_position_index=(197, 197),
    )  # fmt: skip
    return {"model": body | extra, "optimizer": OPTIMIZER, "max_accuracy": 0.0, "epoch": 799}
