"""Resizing on any device: decoded images of many sizes to the input of a network.

In: buckets of decoded images, a geometry. Out: uint8 [n, 3, H, W], on the images' device.

Resizing is linear, first in each row and then in each column. So both passes are matrix products,
whose matrices hold the weights of all outputs that the crop keeps. Weights, whole grey levels after
each pass and offsets of the crop are those of torch's antialiased `interpolate` of uint8 on a CPU,
followed by torchvision's `center_crop`: the same pixels, but where a sum in float32 lies within its
error of a half (about one in a million).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cog.images.preprocess import Preprocess, crop_offsets

WORK = 1 << 28
"""bytes of float32 that resizing takes beside its input and output, or what one image takes"""

Send = Callable[[torch.Tensor], torch.Tensor]
"""brings a tensor from the CPU to the device, for what is enqueued there next"""

_HALF_WIDTH = {"bicubic": 2.0, "bilinear": 1.0}  # of the filter, in pixels of the coarser grid
_LARGEST = 32_767.5  # weights become whole numbers of 16 bits, as in torch
_MOST_BITS = 22


@dataclass(frozen=True)
class Bucket:
    """Images in a tensor of one size: `images` uint8 [n, 3, Hb, Wb], `sizes` int64 [n, 2].

    An image is at the top left; its height and width are in `sizes`. What lies beside it may be
    anything. The tensor may have its dimensions in any order in memory.
    """

    images: torch.Tensor
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class _Axis:
    """One axis of n images: lengths before and after resizing, and the first output of the crop.

    Outputs below 0 or beyond `resized` are black.
    """

    size: NDArray[np.int64]
    resized: NDArray[np.int64]
    first: NDArray[np.int64]
    outputs: int


@dataclass(frozen=True)
class _Taps:
    """The weights of the outputs of n images: float32 [n, outputs, taps], and where they belong.

    `index` int64 [n, outputs, taps]; -1 for a tap that does not count.
    """

    index: torch.Tensor
    weights: torch.Tensor

    def matrix(self, start: int, stop: int, inputs: int) -> torch.Tensor:
        """Float32 [stop - start, outputs, inputs] of some of the images."""
        index = self.index[start:stop] + 1  # column 0 takes the taps that do not count
        shape = *index.shape[:2], inputs + 1
        full = torch.zeros(shape, device=index.device).scatter_(2, index, self.weights[start:stop])
        return full[:, :, 1:]


def resize(
    buckets: Sequence[Bucket], geometry: Preprocess, send: Send = lambda tensor: tensor
) -> torch.Tensor:
    """Uint8 [n, 3, H, W] of the images of all buckets, one bucket after the other.

    Enqueues work on the device and waits for none of it, if `send` does not. Call it where float32
    products are exact: TF32 would round the weights.
    """
    device = buckets[0].images.device
    sizes = np.concatenate([bucket.sizes for bucket in buckets])
    where = torch.device("cpu") if device.type == "mps" else device  # which has no float64
    rows, columns = (
        _taps(axis, geometry.interpolation, where, send) for axis in _axes(sizes, geometry)
    )
    result = torch.empty((len(sizes), *geometry.shape), dtype=torch.uint8, device=device)
    start = 0
    for bucket in buckets:
        most = max(1, WORK // _bytes_an_image(bucket, geometry))
        for first in range(0, len(bucket.images), most):
            images = bucket.images[first : first + most]
            stop = start + len(images)
            down = rows.matrix(start, stop, images.shape[2])
            across = columns.matrix(start, stop, images.shape[3])
            result[start:stop] = _products(images, down, across)
            start = stop
    return result


def _products(images: torch.Tensor, down: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
    """Float32 [n, 3, H, W] of images [n, 3, Hb, Wb], matrices [n, H, Hb] and [n, W, Wb].

    Each pass is one product an image: its rows have their three channels one after the other.
    """
    n, _, height, width = images.shape
    x = images.transpose(1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    x = _whole_levels(torch.bmm(x.view(n, height * 3, width), across.transpose(1, 2)))
    x = _whole_levels(torch.bmm(down, x.view(n, height, -1)))
    return x.view(n, down.shape[1], 3, across.shape[1]).transpose(1, 2)


def _whole_levels(x: torch.Tensor) -> torch.Tensor:
    """Grey levels rounded to whole ones, halves upwards, within 0…255; the same tensor."""
    return x.add_(0.5).floor_().clamp_(0, 255)


def _bytes_an_image(bucket: Bucket, geometry: Preprocess) -> int:
    """Bytes of float32 that one image of a bucket takes: both inputs, both matrices, the result."""
    *_, rows, columns = bucket.images.shape
    _, height, width = geometry.shape
    inputs = 3 * rows * (columns + width)
    return 4 * (inputs + height * (rows + 1) + width * (columns + 1) + 3 * height * width)


def _axes(sizes: NDArray[np.int64], geometry: Preprocess) -> tuple[_Axis, _Axis]:
    """Rows and columns of images of these sizes [n, 2]."""
    resized = np.array([geometry.resized(*size) for size in sizes.tolist()], np.int64)
    _, *outputs = geometry.shape
    rows, columns = (
        _Axis(sizes[:, axis], resized[:, axis], _first(resized[:, axis], crop, geometry), crop)
        for axis, crop in enumerate(outputs)
    )
    return rows, columns


def _first(resized: NDArray[np.int64], crop: int, geometry: Preprocess) -> NDArray[np.int64]:
    """The first output of a crop of sides of these lengths [n]; below 0 it is black."""
    offsets = np.array(
        [crop_offsets(side, crop, geometry.rounding) for side in resized.tolist()], np.int64
    )
    first: NDArray[np.int64] = offsets[:, 0] - offsets[:, 1]
    return first


def _taps(axis: _Axis, interpolation: str, where: torch.device, send: Send) -> _Taps:
    """The weights of each output as whole numbers over a power of 2, as torch computes them.

    `where` they are computed; on a CPU, they are sent when they are done.
    """
    half = _HALF_WIDTH[interpolation]
    largest = float(np.max(axis.size / axis.resized, initial=1.0))
    numbers = torch.from_numpy(np.stack([axis.size, axis.resized, axis.first]))
    on_cpu = where.type == "cpu"
    size, resized, first = (numbers if on_cpu else send(numbers)).to(torch.float64)[:, :, None]
    # Output 0 comes too: the largest weight is often at an edge, and it decides the rounding.
    wanted = first + torch.arange(axis.outputs, device=where)
    output = torch.cat([torch.zeros_like(first), wanted], 1)
    scale = size / resized
    support = half * scale.clamp(min=1)
    centre = scale * (output + 0.5)
    begin = (centre - support + 0.5).trunc().clamp(min=0)
    end = torch.minimum((centre + support + 0.5).trunc(), size)
    index = begin[:, :, None] + torch.arange(2 * math.ceil(half * largest) + 1, device=where)
    x = (index - centre[:, :, None] + 0.5) * (1 / scale.clamp(min=1))[:, :, None]
    inside = (output >= 0) & (output < resized)
    counts = (index < end[:, :, None]) & inside[:, :, None]
    weights = _filter(x.abs_(), interpolation).mul_(counts)
    total = weights.sum(2, keepdim=True)
    weights /= torch.where(total == 0, 1, total)
    unit = _unit(weights.amax((1, 2)))[:, None, None]
    weights = (weights[:, 1:] * unit).add_(weights[:, 1:].sign(), alpha=0.5).trunc_() / unit
    index = torch.where(counts, index, -1)[:, 1:].to(torch.int64)
    weights = weights.to(torch.float32)
    return _Taps(send(index), send(weights)) if on_cpu else _Taps(index, weights)


def _unit(largest: torch.Tensor) -> torch.Tensor:
    """The power of 2 that weights are multiplied by before they are rounded to whole numbers."""
    bits = torch.log2(_LARGEST / largest).ceil_().sub_(1).clamp_(0, _MOST_BITS)
    return torch.exp2(bits)


def _filter(x: torch.Tensor, interpolation: str) -> torch.Tensor:
    """The filter at distances x ≥ 0: a triangle, or Keys' cubic (1981) with a = -1/2."""
    if interpolation == "bilinear":
        return (1 - x).clamp_(min=0)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))
