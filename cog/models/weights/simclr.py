"""SimCLR-v2's ResNet-50: from the names of its converter to torchvision's.

The converter (Separius/SimCLRv2-Pytorch) calls the stem `net.0` and the stages `net.1` … `net.4`;
the projection shortcut in the first block of a stage has another name.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from torch import Tensor

from cog.models.weights.renames import StateDict, renamed, with_another_start

_STEM = {"net.0.0.": "conv1.", "net.0.1.0.": "bn1."}
_INNER = {
    "net.0.": "conv1.",
    "net.1.0.": "bn1.",
    "net.2.": "conv2.",
    "net.3.0.": "bn2.",
    "net.4.": "conv3.",
    "net.5.0.": "bn3.",
    "projection.shortcut.": "downsample.0.",
    "projection.bn.0.": "downsample.1.",
}
_BLOCK = re.compile(r"net\.([1-4])\.blocks\.(\d+)\.(.*)")


def rename(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """Names of torchvision's resnet50, `fc` included; an unknown name stays as it is.

    >>> import torch
    >>> list(rename({"net.2.blocks.0.net.3.0.bias": torch.ones(1)}))
    ['layer2.0.bn2.bias']
    """
    return renamed(state_dict, _name)


def _name(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    start, rest = (f"layer{block[1]}.{block[2]}.", block[3]) if block else ("", name)
    found = with_another_start(rest, _INNER if block else _STEM)
    return name if found is None else start + found
