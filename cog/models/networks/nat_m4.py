"""NAT-M4: settings for timm's MobileNetV3.

Neural Architecture Transfer searches kernel, width and squeeze of every block, so each block is a
stage here. The blocks are those of NAT-M4's net.config (human-analysis/
neural-architecture-transfer at 5aca00a): kernel, stride, expansion of the input, channels out, and
squeeze-and-excitation. The activation is mish; the squeeze has ReLU and a hard sigmoid.
"""

from __future__ import annotations

from functools import partial

from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

BLOCKS = (
    "ds_r1_k3_s1_c24",
    "ir_r1_k3_s2_e3_c32",
    "ir_r1_k5_s1_e4_c32",
    "ir_r1_k3_s1_e3_c32",
    "ir_r1_k5_s2_e4_c48_se0.25",
    "ir_r1_k5_s1_e4_c48_se0.25",
    "ir_r1_k3_s1_e6_c48_se0.25",
    "ir_r1_k5_s1_e3_c48_se0.25",
    "ir_r1_k7_s2_e6_c96",
    "ir_r1_k5_s1_e6_c96",
    "ir_r1_k3_s1_e3_c96",
    "ir_r1_k5_s1_e4_c96",
    "ir_r1_k3_s1_e6_c136_se0.25",
    "ir_r1_k5_s1_e6_c136_se0.25",
    "ir_r1_k7_s1_e6_c136_se0.25",
    "ir_r1_k3_s1_e4_c136_se0.25",
    "ir_r1_k3_s2_e6_c192_se0.25",
    "ir_r1_k3_s1_e6_c192_se0.25",
    "ir_r1_k5_s1_e6_c192_se0.25",
    "ir_r1_k3_s1_e3_c192_se0.25",
    "cn_r1_k1_s1_c1152",
)


def nat_m4() -> nn.Module:
    """The untrained network with its 1000 classes, which take features of 1,536 numbers."""
    squeeze = partial(
        SqueezeExcite, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=_round
    )
    network: nn.Module = MobileNetV3(
        decode_arch_def([[block] for block in BLOCKS]),  # type: ignore[no-untyped-call]
        num_classes=1000,
        stem_size=24,
        fix_stem=True,
        num_features=1536,
        head_bias=False,
        act_layer=nn.Mish,
        norm_layer=partial(nn.BatchNorm2d, eps=1e-5),
        se_layer=squeeze,
        round_chs_fn=lambda channels, *_, **__: int(channels),
    )
    return network


def _round(channels: float) -> int:
    """The nearest multiple of 8, but not less than 90 % of the channels."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
