"""CLIP's ResNet-50 in half precision, as OpenAI's code loads it on a GPU.

Weights and biases of convolutions and linear layers are float16, and so are the images and the
feature. Batch norms have float32 parameters; positions are rounded where they are added.
Source: openai/CLIP at d05afc4, `convert_weights` and `AttentionPool2d` of clip/model.py.
"""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from cog.errors import CogError


def resnet50_clip_half(**options: Any) -> nn.Module:
    """timm's network of these tensors, which takes float32[b, 3, h, w] and gives float16[b, d]."""
    network: Any = timm.create_model("resnet50_clip", pretrained=False, **options)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.half()
    network.head.pos_embed.data = network.head.pos_embed.data.half()
    network.register_forward_pre_hook(_as_half)
    made: nn.Module = network
    return made


def _as_half(_: nn.Module, images: tuple[Tensor]) -> tuple[Tensor]:
    """The images in the network's type, which no other precision may replace.

    Raises:
        CogError: autocast would compute in another type.
    """
    if torch.is_autocast_enabled(images[0].device.type):
        raise CogError(
            "the published code computes CLIP in float16, and --precision asks for another type",
            "leave out --precision, or --official-quirks",
        )
    return (images[0].half(),)
