"""What the published weights files look like, with random weights, and the features they mean.

One entry a row of zoo.csv: the content of the file as its authors save it (wrappers, prefixes,
queues, optimisers, arguments), made from a reference network or tensors, and the features by a
forward pass that does not go through cog.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from torch import Tensor, nn

from tests.support import odd_layouts as odd
from tests.support.reference_networks import beit, vit

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


@cache
def resnet50() -> nn.Module:
    return randomise(torchvision.models.resnet50())


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


# --- ResNet-50 -------------------------------------------------------------------------------


def resnet50_features(x: Tensor) -> Tensor:
    """Global average pool by a hook on the reference network, whose classifier stays."""
    network = resnet50()
    found: list[Tensor] = []
    hook = network.fc.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    network(x)
    hook.remove()
    return found[0]


def resnet50_contents() -> dict[str, Callable[[], Any]]:
    """The files of all ResNet-50 whose tensors are torchvision's under other names."""
    full = tensors_of(resnet50())
    body = without(full, "fc.")
    moco = {
        **prefixed(body, "module.encoder_q."),
        **prefixed(body, "module.encoder_k."),
        **some(module__queue=(128, 8), module__queue_ptr=(1,)),
        **prefixed(some(weight=(2048, 2048), bias=(2048,)), "module.encoder_q.fc.0."),
    }
    mopro = {
        **prefixed(body, "module.encoder_q."),
        **prefixed(body, "module.encoder_k."),
        **prefixed(some(fc1__weight=(8, 2048), fc2__weight=(8, 8)), "module.encoder_q."),
        "module.encoder_q.classifier.weight": full["fc.weight"],
        "module.encoder_q.classifier.bias": full["fc.bias"],
        **some(module__queue=(128, 8), module__queue_ptr=(1,), module__prototypes=(1000, 128)),
    }
    swav = {
        **prefixed(body, "module."),
        **some(module__projection_head__0__weight=(8, 8)),
    }
    cutmix = {
        "epoch": 300,
        "arch": "resnet50",
        "state_dict": prefixed(full, "module."),
        "best_err1": np.float64(22.58),
        "best_err5": np.float64(6.4),
        "optimizer": OPTIMIZER,
    }
    wide_head = {"fc.weight": torch.ones(8192, 8), "fc.bias": torch.ones(8192)}
    robust = {
        **prefixed(full, "module.model."),
        **prefixed(full, "module.attacker.model."),
        **prefixed(some(new_mean=(3, 1, 1), new_std=(3, 1, 1)), "module.normalizer."),
        **prefixed(some(new_mean=(3, 1, 1), new_std=(3, 1, 1)), "module.attacker.normalize."),
    }
    mocov3 = {
        **prefixed(body, "module.base_encoder."),
        **prefixed(body, "module.momentum_encoder."),
        **some(module__base_encoder__fc__0__weight=(8, 8), module__predictor__0__weight=(8, 8)),
    }
    infomin = {
        **prefixed(body, "module.encoder."),
        **some(module__head__0__weight=(8, 8), module__head_jig__fc1__weight=(8, 8)),
    }
    teacher = {
        "teacher": {**prefixed(body, "backbone."), **some(head__mlp__0__weight=(8, 8))},
        "student": prefixed(body, "module.backbone."),
        "args": Namespace(arch="resnet50"),
    }
    return {
        "sup_resnet50": lambda: full,
        "mocov2_resnet50": lambda: {
            "epoch": 800, "arch": "resnet50", "state_dict": moco, "optimizer": OPTIMIZER
        },
        "mochi_resnet50": lambda: {"state_dict": moco},
        "infomin_resnet50": lambda: {
            "model": infomin,
            "model_ema": prefixed(body, "module.encoder."),
            "contrast": some(memory_1=(4, 4)),
            "optimizer": OPTIMIZER,
            "epoch": 800,
        },
        "obow_resnet50": lambda: {"network": body | wide_head},
        "swav_resnet50": lambda: swav | some(module__prototypes__weight=(3000, 8)),
        "dino_resnet50": lambda: body,
        "dino_resnet50/full": lambda: teacher,
        "barlow_resnet50": lambda: body,
        "compress_resnet50": lambda: {
            "opt": Namespace(lr=0.01),
            "model": prefixed(body | wide_head, "module."),
            "optimizer": OPTIMIZER,
            "epoch": 130,
        },
        "mixup_resnet50": lambda: cutmix,
        "manifold-mixup_resnet50": lambda: cutmix,
        "cutmix_resnet50": lambda: cutmix,
        "relabel_resnet50": lambda: {"state_dict": prefixed(full, "module.")},
        "relabel_resnet50/bare": lambda: full,
        "advrobust_resnet50": lambda: {
            "model": robust, "optimizer": OPTIMIZER, "schedule": None, "epoch": 89
        },
        "mealv2_resnet50": lambda: prefixed(full, "module."),
        "mopro_resnet50": lambda: {
            "epoch": 90, "arch": "resnet50", "state_dict": mopro, "optimizer": OPTIMIZER
        },
        "ssup_resnet50": lambda: full,
        "swsup_resnet50": lambda: full,
        "deepclusterv2_resnet50": lambda: swav
        | some(module__prototypes__prototypes0__weight=(30, 8)),
        "mocov3_resnet50": lambda: {"epoch": 1000, "state_dict": mocov3, "optimizer": OPTIMIZER},
        "vicreg_resnet50": lambda: body,
        "trex_resnet50": lambda: body,
        "trex_resnet50/full": lambda: {"model": prefixed(body, "module.")},
        "trexstar_resnet50": lambda: body,
    }  # fmt: skip


# --- other networks of torchvision and timm ------------------------------------------------------


def torchvision_layout(name: str, head: str, **options: Any) -> Layout:
    """A published file of torchvision itself; features at the input of its last layer."""
    network = randomise(torchvision.models.get_model(name, weights=None, **options))

    def features(x: Tensor) -> Tensor:
        found: list[Tensor] = []
        hook = network.get_submodule(head).register_forward_pre_hook(
            lambda _, inputs: found.append(inputs[0])
        )
        network(x)
        hook.remove()
        return found[0]

    return Layout(tensors_of(network), features)


def inception() -> Layout:
    """Inception rescales ImageNet's statistics to its own 0.5 inside: the reference lets it."""
    network = randomise(
        torchvision.models.inception_v3(
            weights=None, aux_logits=True, transform_input=True, init_weights=False
        )
    )
    network.fc, head = nn.Identity(), network.fc
    content = tensors_of(network) | prefixed(tensors_of(head), "fc.")
    mean = torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)
    std = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
    return Layout(content, lambda x: network(((x * 0.5 + 0.5) - mean) / std))


def clip_resnet50() -> Layout:
    """OpenAI's names, by an inverse of the names of timm's network that is written here."""
    network = randomise(timm.create_model("resnet50_clip", num_classes=1024))
    content: Tensors = {}
    for name, tensor in network.state_dict().items():
        parts = name.split(".")
        if parts[0] == "stem":  # stem.conv1.conv.weight, stem.conv1.bn.bias
            kind = {"conv": "conv", "bn": "bn"}[parts[2]]
            new = f"{kind}{parts[1][-1]}.{parts[3]}"
        elif (
            parts[0] == "stages"
        ):  # stages.0.1.conv2_kxk.bn.weight, stages.0.0.shortcut.conv.bn.bias
            place = f"layer{int(parts[1]) + 1}.{parts[2]}"
            if parts[3] == "shortcut":
                new = f"{place}.downsample.{'1' if parts[5] == 'bn' else '0'}.{parts[-1]}"
            else:
                new = f"{place}.{parts[4]}{parts[3][4]}.{parts[-1]}"
        else:  # head.q.weight, head.proj.bias, head.pos_embed
            inner = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "proj": "c_proj"}
            new = "attnpool." + (
                "positional_embedding"
                if parts[1] == "pos_embed"
                else f"{inner[parts[1]]}.{parts[2]}"
            )
        content[f"visual.{new}"] = tensor.clone()
    content |= some(
        transformer__resblocks__0__ln_1__weight=(8,), token_embedding__weight=(8, 8),
        positional_embedding=(8, 8), ln_final__weight=(8,), text_projection=(8, 8),
        logit_scale=(), input_resolution=(), context_length=(), vocab_size=(),
    )  # fmt: skip
    return Layout(content, network)


def timm_layout(name: str, features: str = "cls", **options: Any) -> Layout:
    """A file that holds timm's own names; features by timm's own forward pass."""
    network: Any = randomise(timm.create_model(name, **options))
    content = tensors_of(network)
    if features == "output":
        return Layout(content, network)
    if features == "cls":
        return Layout(content, lambda x: network.forward_features(x)[:, 0])
    return Layout(
        content, lambda x: network.forward_head(network.forward_features(x), pre_logits=True)
    )


def swin() -> Layout:
    """SimMIM's Swin-B: as Microsoft names it, a stage ends with its downsampling."""
    network: Any = randomise(
        timm.create_model("swin_base_patch4_window7_224", img_size=192, window_size=6)
    )
    body: Tensors = {}
    for name, tensor in without(tensors_of(network), "head.").items():
        parts = name.split(".")
        if parts[2:3] == ["downsample"]:
            parts[1] = str(int(parts[1]) - 1)
        body[".".join(["encoder", *parts])] = tensor
    body |= some(encoder__mask_token=(1, 1, 128), decoder__0__weight=(8, 8, 1, 1))
    return Layout({"model": body}, lambda x: network.forward_features(x).mean((1, 2)))


def convnext(name: str, classes: int) -> Layout:
    """Meta's ConvNeXt: downsampling in a list of its own, and a norm before the head."""
    network: Any = randomise(timm.create_model(name, num_classes=classes))
    content: Tensors = {}
    for timm_name, tensor in tensors_of(network).items():
        parts = timm_name.split(".")
        if parts[0] == "stem":
            new = f"downsample_layers.0.{'.'.join(parts[1:])}"
        elif parts[0] == "head":
            new = ".".join(["norm" if parts[1] == "norm" else "head", parts[-1]])
        elif parts[2] == "downsample":
            new = f"downsample_layers.{parts[1]}.{'.'.join(parts[3:])}"
        else:
            inner = {"conv_dw": "dwconv", "mlp.fc1": "pwconv1", "mlp.fc2": "pwconv2"}
            rest = ".".join(parts[4:])
            for ours, theirs in inner.items():
                rest = rest.replace(ours, theirs)
            new = f"stages.{parts[1]}.{parts[3]}.{rest}"
        content[new] = tensor
    return Layout(
        {"model": content},
        lambda x: network.forward_head(network.forward_features(x), pre_logits=True),
    )


# --- transformers ------------------------------------------------------------------------------


def random_vit(  # noqa: C901 — one list of what a ViT may hold
    dim: int, patch: int, *, depth: int = 12, side: int | None = None, cls: bool = True,
    norm: bool = True, distilled: bool = False, layer_scale: bool = False, registers: int = 0,
    positions: bool = True, qkv_bias: bool = True,
) -> Tensors:  # fmt: skip
    """Tensors of a ViT under the names that DeiT, DINO, MAE and most others use."""
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int, scale: float | None = None) -> Tensor:
        return torch.randn(shape, generator=generator) * (scale or shape[-1] ** -0.5)

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
    """Tensors of a BEiT-B: layer scale, keys without bias, absolute or shared relative places."""
    tensors = random_vit(dim, 16, positions=absolute, layer_scale=True, qkv_bias=False)
    generator = torch.Generator().manual_seed(3)
    for number in range(12):
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

    def positions(table: Tensor) -> Tensor:
        plane = table[:, 1:].reshape(1, 37, 37, dim).permute(0, 3, 1, 2)
        if registers:
            plane = nn.functional.interpolate(plane, size=(16, 16), mode="bicubic", antialias=True)
        else:
            scale = float(16 + 0.1) / 37
            plane = nn.functional.interpolate(
                plane, scale_factor=(scale, scale), mode="bicubic", antialias=False
            )
        return torch.cat([table[:, :1], plane.permute(0, 2, 3, 1).reshape(1, 256, dim)], 1)

    return vit_layout(
        lambda tensors: tensors | some(mask_token=(1, dim)),
        dim // 64, dim, 14, side=37, layer_scale=True, registers=registers, positions=positions,
    )  # fmt: skip


def dinov3(name: str) -> Layout:
    """Meta's names, filled into timm's network by timm's own renaming: the reference."""
    from timm.models.eva import checkpoint_filter_fn

    network: Any = timm.create_model(name, img_size=224, num_classes=0).eval()
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


# --- networks that no library has ------------------------------------------------------------


def t2t_vit() -> Layout:
    tensors = odd.t2t_tensors()
    content = {"state_dict_ema": prefixed(tensors, "module."), "args": Namespace(), "epoch": 300}
    return Layout(content, lambda x: odd.t2t_features(tensors, x))


def nat_m4() -> Layout:
    tensors = odd.nat_tensors()
    return Layout(tensors, lambda x: odd.nat_features(tensors, x))


def efficientnet(which: str, ema: bool = False) -> Layout:
    """The state that was tested to err less is the one to take."""
    tensors = odd.pycls_tensors(which)
    other = {name: tensor + 1 for name, tensor in tensors.items()}
    content = {"model_state": tensors, "optimizer_state": OPTIMIZER, "cfg": "MODEL: {}", "epoch": 1}
    if ema:
        content |= {"model_state": other, "ema_state": tensors, "test_err": 24.1, "ema_err": 23.9}
    return Layout(content, lambda x: odd.pycls_features(which, tensors, x))


def simclr() -> Layout:
    tensors = odd.resnet_tensors(odd.SIMCLR, odd.SIMCLR_BLOCK, counted=True)
    content = {"resnet": tensors, "head": some(layers__0__weight=(8, 8))}

    def features(x: Tensor) -> Tensor:
        return odd.resnet_features(tensors, x, odd.SIMCLR, odd.SIMCLR_BLOCK, same=False)

    return Layout(content, features)


def byol() -> Layout:
    tensors = odd.resnet_tensors(odd.TORCHVISION, odd.TORCHVISION_BLOCK, counted=False)

    def features(x: Tensor) -> Tensor:
        return odd.resnet_features(tensors, x, odd.TORCHVISION, odd.TORCHVISION_BLOCK, same=True)

    return Layout(tensors, features)


def igpt(size: str) -> Layout:
    """Hugging Face's names; colours by an exhaustive search, features by transformers itself."""
    import transformers

    dim, layers, heads = {"small": (512, 24, 8), "medium": (1024, 36, 8), "large": (1536, 48, 16)}[
        size
    ]
    config = transformers.ImageGPTConfig(n_embd=dim, n_layer=layers, n_head=heads)
    network: Any = randomise(transformers.ImageGPTForCausalImageModeling(config))
    content = tensors_of(network)
    content["transformer.h.0.attn.bias"] = torch.ones(1, 1, 4, 4)
    clusters = igpt_clusters()

    def features(x: Tensor) -> Tensor:
        pixels = x.permute(0, 2, 3, 1).reshape(len(x), -1, 1, 3)
        ids = (pixels - clusters).square().sum(-1).argmin(-1)
        ids = torch.cat([torch.full((len(x), 1), 512), ids[:, :-1]], 1)
        outcome = network.transformer(ids, output_hidden_states=True)
        normed = network.transformer.h[layers // 2].ln_1(outcome.hidden_states[layers // 2])
        return normed.mean(1)

    return Layout(content, features)


def igpt_clusters() -> Tensor:
    return torch.rand(512, 3, generator=torch.Generator().manual_seed(6)) * 2 - 1


LAYOUTS: dict[str, Callable[[], Layout]] = {
    "t2tvit_t14": t2t_vit,
    "nat_m4": nat_m4,
    "efficientnet_b1": lambda: efficientnet("b1"),
    "efficientnet_b1/ema": lambda: efficientnet("b1", ema=True),
    "efficientnet_b4": lambda: efficientnet("b4"),
    "simclrv2_resnet50": simclr,
    "byol_resnet50": byol,
    "igpt_small": lambda: igpt("small"),
    "igpt_medium": lambda: igpt("medium"),
    "igpt_large": lambda: igpt("large"),
    **{
        name: (lambda content=content: Layout(content(), resnet50_features))  # type: ignore[misc]
        for name, content in resnet50_contents().items()
    },
    "sup_resnet152": lambda: torchvision_layout("resnet152", "fc"),
    "sup_vgg19": lambda: torchvision_layout("vgg19_bn", "classifier.6"),
    "sup_inception-v3": inception,
    "deit_small": lambda: deit(384, distilled=False),
    "deit_small_distilled": lambda: deit(384, distilled=True),
    "deit_base_distilled_384": lambda: deit(768, distilled=True, side=24),
    "clip_resnet50": clip_resnet50,
    "clip_resnet50/timm": lambda: timm_layout("resnet50_clip", "output", num_classes=1024),
    "dino_vits16": lambda: vit_layout(dict, 6, 384),
    "dino_vits16/full": lambda: vit_layout(teacher, 6, 384),
    "dino_vits8": lambda: vit_layout(dict, 6, 384, 8),
    "dino_vitb16": lambda: vit_layout(dict, 12, 768),
    "dino_vitb8": lambda: vit_layout(dict, 12, 768, 8),
    "mae_vitb16": lambda: vit_layout(lambda tensors: {"model": tensors}, 12, 768),
    "mae_vitb16/full": lambda: vit_layout(
        lambda tensors: {
            "model": tensors | some(mask_token=(1, 1, 8), decoder_norm__weight=(8,)),
            "args": Namespace(model="mae_vit_base_patch16"),
        },
        12, 768,
    ),
    "mae_vitl16": lambda: vit_layout(lambda tensors: {"model": tensors}, 16, 1024, depth=24),
    "mae_vith14": lambda: vit_layout(lambda tensors: {"model": tensors}, 16, 1280, 14, depth=32),
    "beit_vitb16": lambda: beit_layout(
        lambda tensors: {
            "model": tensors | mim_head() | some(rel_pos_bias__relative_position_index=(197, 197))
        }
    ),
    "beitv2_vitb16": lambda: beit_layout(
        lambda tensors: {"model": tensors | mim_head() | some(cls_pt_layers__0__norm1__weight=(8,))}
    ),
    "mcbeit_vitb16": lambda: beit_layout(lambda tensors: {"model": tensors | mim_head()}),
    "simmim_vitb16": lambda: beit_layout(simmim),
    "simmim_swinb": swin,
    "cae_vitb16": lambda: beit_layout(cae, absolute=True),
    "maskfeat_vitb16": lambda: vit_layout(
        lambda tensors: {
            "model_state": tensors
            | some(mask_token=(1, 1, 768), pred_head__transforms__0__0__weight=(768,)),
            "optimizer_state": OPTIMIZER,
            "cfg": "MODEL: MaskMViT",
            "epoch": 1600,
        },
        12, 768, norm=False,
    ),
    "ummae_vitb16": lambda: vit_layout(
        lambda tensors: {"model": tensors | some(decoder_norm__weight=(8,))}, 12, 768
    ),
    "dinov2_vits14": lambda: dinov2(384, 0),
    "dinov2_vitb14": lambda: dinov2(768, 0),
    "dinov2_vitb14_reg": lambda: dinov2(768, 4),
    "dinov3_vits16": lambda: dinov3("vit_small_patch16_dinov3_qkvb"),
    "dinov3_vits16plus": lambda: dinov3("vit_small_plus_patch16_dinov3_qkvb"),
    "dinov3_vitb16": lambda: dinov3("vit_base_patch16_dinov3_qkvb"),
    "dinov3_vitl16": lambda: dinov3("vit_large_patch16_dinov3_qkvb"),
    "ibot_vits16": lambda: vit_layout(
        lambda tensors: {"state_dict": tensors | some(masked_embed=(1, 384))}, 6, 384
    ),
    "ibot_vits16/full": lambda: vit_layout(teacher, 6, 384),
    "ibot_vitb16": lambda: vit_layout(lambda tensors: {"state_dict": tensors}, 12, 768),
    "ibot_vitl16": lambda: vit_layout(
        lambda tensors: {"state_dict": tensors}, 16, 1024, depth=24
    ),
    "mocov3_vits16": lambda: vit_layout(moco_v3, 12, 384),
    "mocov3_vitb16": lambda: vit_layout(moco_v3, 12, 768),
    "msn_vits16": lambda: vit_layout(msn, 6, 384),
    "msn_vitb16": lambda: vit_layout(msn, 12, 768),
    "msn_vitl16": lambda: vit_layout(msn, 16, 1024, depth=24),
    "ijepa_vith14": lambda: vit_layout(ijepa, 16, 1280, 14, depth=32, cls=False, pool="avg"),
    "eva02_vitb14": lambda: timm_layout(
        "eva02_base_patch14_224", "head", num_classes=0
    ),
    "siglip_vitb16": lambda: timm_layout("vit_base_patch16_siglip_224", "head", num_classes=0),
    "siglip2_vitb16": lambda: timm_layout("vit_base_patch16_siglip_224", "head", num_classes=0),
    "openclip_vitb16": lambda: timm_layout("vit_base_patch16_clip_224", num_classes=512),
    "convnext_tiny": lambda: convnext("convnext_tiny", 1000),
    "convnext_base_22k": lambda: convnext("convnext_base", 21841),
    "aimv2_vitl14": lambda: timm_layout("aimv2_large_patch14_224", "head", num_classes=0),
    "pe_core_vitb16": lambda: timm_layout("vit_pe_core_base_patch16_224", "head", num_classes=1024),
    "unic_vitb16": lambda: vit_layout(unic, 12, 768),
}  # fmt: skip
"""row, or row/variant of its file → what the file holds and means"""
