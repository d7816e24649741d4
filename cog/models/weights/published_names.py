"""From the names of published files to those of the networks: `RENAMES`, by the names of zoo.csv.

A name that no pattern knows stays as it is, and the strict load refuses it.
Sources of the names that more than a few lines change: facebookresearch/pycls (pycls/models/
effnet.py), human-analysis/neural-architecture-transfer at 5aca00a (NAT-M4), facebookresearch/
SlowFast (slowfast/models/attention.py), LTH14/mage (models_mage.py), and the converter
Separius/SimCLRv2-Pytorch, whose stem is `net.0` and whose stages are `net.1` … `net.4`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from torch import Tensor

from cog.models.weights import dinov2
from cog.models.weights.renames import (
    StateDict,
    Substitutions,
    drop_tensors,
    renamed,
    with_layout_of,
)

DENSENET = {r"(denselayer\d+\.(?:norm|conv))\.(\d\.)": r"\1\2"}
"""torchvision's DenseNet files say `norm.1` where today's network says `norm1`"""

MOPRO = {r"^classifier\.": "fc."}
"""MoPro has another name for the classifier of its ResNet"""

LAYER_SCALE = {r"\.gamma_([12])$": r".ls\1.gamma"}
"""DeiT III has its layer scales beside attention and MLP, timm in modules of their own"""

UNIC = {r"^blocks\.\d+\.(\d+)\.": r"blocks.\1."}
"""UNIC saves its blocks in groups, `blocks.0.11`, all of them in the first"""

SWIN: Substitutions = {
    r"^layers\.(\d+)\.downsample\.": lambda old: f"layers.{int(old[1]) + 1}.downsample."
}
"""Swin's files end a stage with its downsampling; timm's network begins the next with it"""

CONVNEXT = {
    r"^downsample_layers\.0\.": "stem.",
    r"^downsample_layers\.(\d+)\.": r"stages.\1.downsample.",
    r"^stages\.(\d+)\.(\d+)\.": r"stages.\1.blocks.\2.",
    r"\.dwconv\.": ".conv_dw.",
    r"\.pwconv(\d)\.": r".mlp.fc\1.",
    r"^head\.": "head.fc.",
    r"^norm\.": "head.norm.",
}
DINOV3 = {
    "storage_tokens": "reg_token",
    r"ls([12])\.gamma": r"gamma_\1",
    r"mlp\.w1\.": "mlp.fc1_g.",
    r"mlp\.w2\.": "mlp.fc1_x.",
    r"mlp\.w3\.": "mlp.fc2.",
}
SIMCLR = {
    r"^net\.0\.0\.": "conv1.",
    r"^net\.0\.1\.0\.": "bn1.",
    r"^net\.([1-4])\.blocks\.(\d+)\.net\.0\.": r"layer\1.\2.conv1.",
    r"^net\.([1-4])\.blocks\.(\d+)\.net\.1\.0\.": r"layer\1.\2.bn1.",
    r"^net\.([1-4])\.blocks\.(\d+)\.net\.2\.": r"layer\1.\2.conv2.",
    r"^net\.([1-4])\.blocks\.(\d+)\.net\.3\.0\.": r"layer\1.\2.bn2.",
    r"^net\.([1-4])\.blocks\.(\d+)\.net\.4\.": r"layer\1.\2.conv3.",
    r"^net\.([1-4])\.blocks\.(\d+)\.net\.5\.0\.": r"layer\1.\2.bn3.",
    r"^net\.([1-4])\.blocks\.(\d+)\.projection\.shortcut\.": r"layer\1.\2.downsample.0.",
    r"^net\.([1-4])\.blocks\.(\d+)\.projection\.bn\.0\.": r"layer\1.\2.downsample.1.",
}
UNEXPANDED = {
    r"^(blocks\.0\.\d+)\.bn2\.": r"\1.bn1.",
    r"^(blocks\.0\.\d+)\.bn3\.": r"\1.bn2.",
    r"^(blocks\.0\.\d+)\.conv_pwl\.": r"\1.conv_pw.",
}
"""timm counts the layers of the first stage, which has no expansion, from the depthwise one"""

NAT_M4 = {
    r"^first_conv\.conv\.": "conv_stem.",
    r"^first_conv\.bn\.": "bn1.",
    r"^final_expand_layer\.conv\.": "blocks.20.0.conv.",
    r"^final_expand_layer\.bn\.": "blocks.20.0.bn1.",
    r"^feature_mix_layer\.conv\.": "conv_head.",
    r"^classifier\.linear\.": "classifier.",
    r"^(blocks\.\d+)\.mobile_inverted_conv\.(?=inverted_b|depth_c|point_l)": r"\1.0.",
    r"\.inverted_bottleneck\.conv\.": ".conv_pw.",
    r"\.inverted_bottleneck\.bn\.": ".bn1.",
    r"\.depth_conv\.conv\.": ".conv_dw.",
    r"\.depth_conv\.bn\.": ".bn2.",
    r"\.depth_conv\.se\.fc\.(reduce|expand)\.": r".se.conv_\1.",
    r"\.point_linear\.conv\.": ".conv_pwl.",
    r"\.point_linear\.bn\.": ".bn3.",
    **UNEXPANDED,
}
MASKFEAT_MVIT = {
    r"^patch_embed\.proj\.": "patch_embed.",
    r"\.attn\.pool_([qkv])\.": r".attn.pool_\1.pool.",
    r"\.attn\.norm_([qkv])\.": r".attn.pool_\1.norm_act.0.",
    r"\.attn\.proj\.": ".attn.project.0.",
    r"^(blocks\.\d+)\.proj\.": r"\1.project.",
    r"\.mlp\.fc1\.": ".mlp.0.",
    r"\.mlp\.fc2\.": ".mlp.3.",
}
"""torchvision's blocks have a pooling and its norm in one module"""

MAGE: Substitutions = {
    r"^vqgan\.quantize\.embedding\.": "codebook.",
    r"^vqgan\.encoder\.": "tokenizer.",
    r"^(tokenizer\.down\.\d+)\.block\.": r"\1.",
    r"^tokenizer\.mid\.block_(\d+)\.": lambda old: f"tokenizer.mid.{int(old[1]) - 1}.",
    r"^token_emb\.LayerNorm\.": "embedding.norm.",
    r"^token_emb\.": "embedding.",
}
PYCLS: Substitutions = {
    r"^stem\.conv\.": "conv_stem.",
    r"^stem\.bn\.": "bn1.",
    r"^head\.conv\.": "conv_head.",
    r"^head\.conv_bn\.": "bn2.",
    r"^head\.fc\.": "classifier.",
    r"^s(\d+)\.b(\d+)\.(?=exp|dwise|lin_proj|se\.)": (
        lambda old: f"blocks.{int(old[1]) - 1}.{int(old[2]) - 1}."
    ),
    r"\.exp\.": ".conv_pw.",
    r"\.exp_bn\.": ".bn1.",
    r"\.dwise\.": ".conv_dw.",
    r"\.dwise_bn\.": ".bn2.",
    r"\.lin_proj\.": ".conv_pwl.",
    r"\.lin_proj_bn\.": ".bn3.",
    r"\.se\.f_ex\.0\.": ".se.conv_reduce.",
    r"\.se\.f_ex\.2\.": ".se.conv_expand.",
    **UNEXPANDED,
}


def _dinov3(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """Names of timm's Eva, without the bias of the keys, which is masked.

    >>> import torch
    >>> list(_dinov3({"blocks.0.attn.qkv.bias": torch.ones(6)}))
    ['blocks.0.attn.q_bias', 'blocks.0.attn.v_bias']
    """
    tensors: dict[str, Tensor] = {}
    for name, value in state_dict.items():
        if name.endswith("attn.qkv.bias"):
            start = name.removesuffix("qkv.bias")
            tensors[f"{start}q_bias"], _, tensors[f"{start}v_bias"] = value.chunk(3)
        else:
            tensors[name] = value
    return renamed(with_layout_of(state_dict, tensors), DINOV3)


def _igpt(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """Names of `ImageGpt`, without the causal masks of old files."""
    tensors = drop_tensors(state_dict, ("?*.attn.bias", "?*.attn.masked_bias"))
    return renamed(tensors, {r"^(?!clusters$)": "transformer."})


def _pycls(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """Names of timm's EfficientNet, and RGB images where pycls trains with BGR."""
    tensors = renamed(state_dict, PYCLS)
    stem = tensors.get("conv_stem.weight")
    if stem is not None and stem.ndim == 4:  # the strict load refuses any other shape
        tensors["conv_stem.weight"] = stem.flip(1)
    return tensors


def _unic_l(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """The blocks without their groups, and positions on the grid of 224 pixels.

    UNIC resamples as DINOv2 without registers does, whose network it has.
    """
    return dinov2.rename(renamed(state_dict, UNIC))


RENAMES: dict[str, Callable[[StateDict], OrderedDict[str, Tensor]]] = {
    "convnext": partial(renamed, substitutions=CONVNEXT),
    "dinov2": dinov2.rename,
    "dinov2_reg": dinov2.rename_with_registers,
    "dinov3": _dinov3,
    "igpt": _igpt,
    "layer_scale": partial(renamed, substitutions=LAYER_SCALE),
    "mage": partial(renamed, substitutions=MAGE),
    "maskfeat_mvit": partial(renamed, substitutions=MASKFEAT_MVIT),
    "mopro": partial(renamed, substitutions=MOPRO),
    "nat_m4": partial(renamed, substitutions=NAT_M4),
    "pycls": _pycls,
    "simclr": partial(renamed, substitutions=SIMCLR),
    "swin": partial(renamed, substitutions=SWIN),
    "unic_l": _unic_l,
    "unchunk_blocks": partial(renamed, substitutions=UNIC),
}
"""the renaming functions by the names of zoo.csv, which also has `timm`: the library's own"""
