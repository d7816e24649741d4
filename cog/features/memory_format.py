"""In which order the numbers of a batch lie on a GPU: channel by channel, or pixel by pixel.

cuDNN's convolutions are faster on channels_last, pixel by pixel, in reduced precision, which tensor
cores multiply. In full float32 they are not: an H100 takes 3,418 images a second through a
ResNet-50 channel by channel, and 2,857 pixel by pixel (in bf16 8,957 and 12,400; 2026-11-26). A
convolution takes the order of its input for its output, whatever that of its weights; so the input
alone is reordered, and the user's network stays as it is. Other sums, in another order, are part of
it: where they change features by more than 10⁻⁵ of their size, images stay channel by channel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cog.features.precision import computing
from cog.models.model import Model

CLOSE = 1e-5  # of the length of a row of features
ROWS = 8


def pick_memory_format(model: Model, precision: str) -> torch.memory_format:
    """The order for a model's images on its device, the same in every process on such a device.

    On a CPU, in full float32, and for networks of fewer than two convolutions: as they are.
    """
    convolutions = sum(isinstance(part, nn.Conv2d) for part in model.network.modules())
    if model.device.type != "cuda" or precision == "fp32" or convolutions < 2:
        return torch.contiguous_format
    return torch.channels_last if _same_features(model) else torch.contiguous_format


def _same_features(model: Model) -> bool:
    """Whether both orders give the same features of a few random images, in full float32."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(
        256, (ROWS, *model.preprocess.shape), generator=generator, dtype=torch.uint8
    )
    try:
        with computing(model.device, "fp32"):
            x = model.preprocess.normalise(pixels.to(model.device))
            usual = model.compute(x).double()
            other = model.compute(x.contiguous(memory_format=torch.channels_last)).double()
    except Exception:  # a network may raise anything, such as that a view is not possible
        return False
    return within(usual, other, CLOSE)


def within(usual: Tensor, other: Tensor, share: float) -> bool:
    """Whether no row of `other` [m, d] differs from that of `usual` by more than a share of it."""
    return bool(((other - usual).norm(dim=1) <= share * usual.norm(dim=1)).all())
