"""MaskFeat's MViT-S: a transformer of videos with pooled attention, given a still image.

It is torchvision's MViTv2-S but for three settings of the pre-training: the width grows in the
perceptron, not in the attention; the last stage keeps the 14 × 14 grid; there is no final norm. The
network was trained on clips of 16 frames, so an image is repeated 16 times. The feature is the mean
of the patches of block 16, as the authors' fine-tuning takes it before a norm of its own.
Sources: Wei et al., CVPR 2022; Li et al., "MViTv2", CVPR 2022; and facebookresearch/SlowFast
(configs/masked_ssl/k400_MVITv2_S_16x4_MaskFeat_PT.yaml, slowfast/models/masked.py).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.video.mvit import MSBlockConfig, MultiscaleBlock

DEPTH = 16
DOUBLED = (1, 3, 14)  # blocks that have twice the width and twice the heads of the one before
HALVED = (1, 3)  # blocks whose queries have half the side of the grid
KEY_STRIDE = 8  # of the first block's keys and values; the queries' strides divide it
KERNEL = [3, 3, 3]


class MaskFeatMViT(nn.Module):
    """float32[b, 3, side, side] → float32[b, 8 dim]; `forward_features` gives tokens."""

    num_prefix_tokens = 1

    def __init__(self, dim: int = 96, side: int = 224, frames: int = 16) -> None:
        """`dim`: the width of the first block; `frames`: of a clip, of which each two are one."""
        super().__init__()
        self.frames = frames
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.patch_embed = nn.Conv3d(3, dim, (3, 7, 7), (2, 4, 4), (1, 3, 3))
        self.blocks = nn.ModuleList()
        size = [frames // 2, side // 4, side // 4]
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        for index in range(DEPTH):
            config = _block(dim, index)
            self.blocks.append(
                MultiscaleBlock(
                    size, config, residual_pool=True, residual_with_cls_embed=False,
                    rel_pos_embed=True, proj_after_attn=False, norm_layer=norm,
                )
            )  # fmt: skip
            size = [length // stride for length, stride in zip(size, config.stride_q, strict=True)]

    def forward_features(self, x: Tensor) -> Tensor:
        """The class token and the patches, each the mean over its frames: [b, 1 + n, 8 dim]."""
        clips = x[:, :, None].expand(-1, -1, self.frames, -1, -1)
        patches = self.patch_embed(clips)
        size = tuple(patches.shape[2:])
        tokens = patches.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1)
        for block in self.blocks:
            tokens, size = block(tokens, size)
        still = tokens[:, 1:].unflatten(1, size).mean(1).flatten(1, 2)
        return torch.cat([tokens[:, :1], still], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """The mean of the patches."""
        return self.forward_features(x)[:, 1:].mean(1)


def _block(dim: int, index: int) -> MSBlockConfig:
    """The settings of one block; the width doubles at the end of the block before."""
    inputs, outputs = (
        2 ** sum(start <= number for start in DOUBLED) for number in (index, index + 1)
    )
    shrunk = 2 ** sum(start <= index for start in HALVED)
    query, key = (2 if index in HALVED else 1), KEY_STRIDE // shrunk
    return MSBlockConfig(
        num_heads=inputs, input_channels=dim * inputs, output_channels=dim * outputs,
        kernel_q=KERNEL, kernel_kv=KERNEL,
        stride_q=[1, query, query], stride_kv=[1, key, key],
    )  # fmt: skip
