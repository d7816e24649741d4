"""EfficientNets of pycls: which of a file's two states to use, and timm's names for it.

Source: facebookresearch/pycls, pycls/models/effnet.py and pycls/core/checkpoint.py.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cog.models.weights.renames import StateDict, renamed, with_another_start

_FIXED = {
    "stem.conv.": "conv_stem.",
    "stem.bn.": "bn1.",
    "head.conv.": "conv_head.",
    "head.conv_bn.": "bn2.",
    "head.fc.": "classifier.",
}
_BLOCK = re.compile(r"s(\d+)\.b(\d+)\.(.*)")
_EXPANDED = {
    "exp.": "conv_pw.",
    "exp_bn.": "bn1.",
    "dwise.": "conv_dw.",
    "dwise_bn.": "bn2.",
    "lin_proj.": "conv_pwl.",
    "lin_proj_bn.": "bn3.",
    "se.f_ex.0.": "se.conv_reduce.",
    "se.f_ex.2.": "se.conv_expand.",
}
_UNEXPANDED = {  # the first stage has no expansion; timm counts its layers from the depthwise one
    "dwise.": "conv_dw.",
    "dwise_bn.": "bn1.",
    "lin_proj.": "conv_pw.",
    "lin_proj_bn.": "bn2.",
    "se.f_ex.0.": "se.conv_reduce.",
    "se.f_ex.2.": "se.conv_expand.",
}


def better_state(content: Mapping[str, Any]) -> str:
    """The entry to use: the running mean of the weights if its test error is lower.

    >>> better_state({"model_state": {}, "ema_state": {}, "test_err": 24.1, "ema_err": 23.9})
    'ema_state'
    >>> better_state({"model_state": {}})
    'model_state'
    """
    if "ema_state" in content and content.get("ema_err", 100) < content.get("test_err", 100):
        return "ema_state"
    return "model_state"


def rename(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """Names of timm's efficientnet_b1 and b4; an unknown name stays as it is.

    pycls trains with BGR images: the channels of the first layer are reversed here, so that the
    network takes RGB.
    """
    tensors = renamed(state_dict, _name)
    stem = tensors.get("conv_stem.weight")
    if stem is not None and stem.ndim == 4:  # the strict load refuses any other shape
        tensors["conv_stem.weight"] = stem.flip(1)
    return tensors


def _name(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    if not block:
        start, rest, names = "", name, _FIXED
    else:
        start, rest = f"blocks.{int(block[1]) - 1}.{int(block[2]) - 1}.", block[3]
        names = _UNEXPANDED if block[1] == "1" else _EXPANDED
    found = with_another_start(rest, names)
    return name if found is None else start + found
