"""DINOv2's published positions, resampled from 37 × 37 patches to the 16 × 16 of 224 pixels.

The authors' network resamples in every forward pass; for a fixed size of images once is enough,
when the weights are loaded. Networks without registers are resampled bicubically without
antialiasing, with the scale of 16.1 patches; those with registers are antialiased, to exactly 16
patches. timm does the latter for both.
Source: facebookresearch/dinov2, dinov2/models/vision_transformer.py and hub.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import Tensor, cat
from torch.nn.functional import interpolate

from cog.models.weights.renames import StateDict, with_layout_of

GRID = 16  # patches per side at 224 pixels
OFFSET = 0.1  # added to the patches per side, only for the scale


def rename(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """The networks without registers; the class token keeps its own position."""
    tensors = dict(state_dict)
    if "pos_embed" in tensors:
        positions = tensors["pos_embed"]
        tensors["pos_embed"] = cat([positions[:, :1], _resampled(positions[:, 1:], False)], dim=1)
    return with_layout_of(state_dict, tensors)


def rename_with_registers(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """The networks with registers; timm's class token has no position, so it is added here."""
    tensors = dict(state_dict)
    if "register_tokens" in tensors:
        tensors["reg_token"] = tensors.pop("register_tokens")
    if "pos_embed" in tensors and "cls_token" in tensors:
        positions = tensors["pos_embed"]
        tensors["cls_token"] = tensors["cls_token"] + positions[:, :1]
        tensors["pos_embed"] = _resampled(positions[:, 1:], True)
    return with_layout_of(state_dict, tensors)


def _resampled(positions: Tensor, antialias: bool) -> Tensor:
    """Positions [1, s², d] of a square of patches as [1, GRID², d]."""
    side = math.isqrt(positions.shape[1])
    if side == GRID or side**2 != positions.shape[1]:  # the strict load refuses it by name
        return positions
    plane = positions.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if antialias:
        resampled = interpolate(plane, (GRID, GRID), mode="bicubic", antialias=True)
    else:
        scale = (GRID + OFFSET) / side
        resampled = interpolate(plane, scale_factor=(scale, scale), mode="bicubic")
    return resampled.permute(0, 2, 3, 1).reshape(1, GRID**2, -1)
