"""What the published weights files look like, with random weights, and the features they mean.

One entry a row of zoo.csv: the content of the file as its authors save it (wrappers, prefixes,
queues, optimisers, arguments), made from a reference network or tensors, and the features by a
forward pass that does not go through cog.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn

from tests.support import odd_layouts as odd
from tests.support.layouts import (
    OPTIMIZER,
    Layout,
    Tensors,
    prefixed,
    randomise,
    some,
    tensors_of,
    without,
)
from tests.support.mage_layout import mage_layout
from tests.support.own_layouts import mvit_layout, pvt_layout, swin_layout
from tests.support.resnet_layouts import resnet50_contents, resnet50_features
from tests.support.transformer_layouts import (
    beit_layout,
    cae,
    dbot_finetuned,
    deit,
    deit3,
    dinov2,
    dinov3,
    ijepa,
    mim_head,
    moco_v3,
    msn,
    simmim,
    teacher,
    um_mae_vit,
    unic,
    unic_large,
    vit_layout,
)


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
    "maskfeat_mvits": mvit_layout,
    "ummae-ft_vitb16": um_mae_vit,
    "ummae_swint": swin_layout,
    "ummae-ft_swint": lambda: swin_layout(fine_tuned=True),
    "ummae-ft_swinl": lambda: swin_layout(
        dim=192, depths=(2, 2, 18, 2), position_dim=64, fine_tuned=True
    ),
    "ummae-ft_pvts": pvt_layout,
    "mage_vitb16": mage_layout,
    "mage_vitl16": lambda: mage_layout(heads=16, dim=1024, depth=24),
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
    "unic_l_vitl14": unic_large,
    "deit3_vits16": lambda: deit3(384),
    "deit3_vitb16": lambda: deit3(768),
    "deit3_vitl16": lambda: deit3(1024, depth=24),
    "dbotft_vitb16": dbot_finetuned,
    "peco_vitb16": lambda: beit_layout(lambda tensors: {"model": tensors | mim_head()}),
    "peco_vitb16/bare": lambda: beit_layout(dict),
    "cim_vitb16": lambda: vit_layout(lambda tensors: {"model": tensors}, 12, 768),
}  # fmt: skip
"""row, or row/variant of its file → what the file holds and means"""
