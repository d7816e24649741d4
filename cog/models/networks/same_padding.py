"""ResNet-50 with TensorFlow's SAME padding, for weights that were trained with it.

SAME pads a strided layer so that its output has ⌈side / stride⌉ pixels, with an odd pixel on the
right and below; torchvision pads all sides equally. The tensors are the same, so torchvision's
network loads them strictly and gives wrong features.
Sources: google-deepmind/deepmind-research byol (Haiku pads SAME by default);
google-research/simclr, tf2/resnet.py (its convolutions pad as torchvision's do, its max-pool pads
SAME).
"""

from __future__ import annotations

from typing import Any

from timm.layers.conv2d_same import Conv2dSame
from timm.layers.pool2d_same import MaxPool2dSame
from torch import nn
from torchvision.models import resnet50


def resnet50_same() -> nn.Module:
    """BYOL's: the stem, the max-pool and the three strided 3 × 3 convolutions pad SAME."""
    network = resnet50_same_pool()
    for name, old in list(network.named_modules()):
        size: Any = getattr(old, "kernel_size", None)
        if isinstance(old, nn.Conv2d) and old.stride == (2, 2) and size != (1, 1):
            same = Conv2dSame(old.in_channels, old.out_channels, size, stride=2, bias=False)
            same.weight = old.weight
            network.set_submodule(name, same)
    return network


def resnet50_same_pool() -> nn.Module:
    """SimCLR-v2's: the max-pool pads SAME, with −∞, which never is the maximum."""
    network: nn.Module = resnet50(weights=None)
    network.set_submodule("maxpool", MaxPool2dSame(3, 2))
    return network
