"""Features as they are stored, of which a batch or a block at a time becomes unit rows.

A data set is never copied as a whole: some rows are taken, made float32 and of length 1 (or scaled
by another norm of the recipe, or left as they are), and a one for the bias is appended. On a CPU
the caller's array itself is read; to another device it is copied once, in its own type.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cog.probes.data import Features

CPU_BLOCK = 1024  # rows, which stay in the cache of a core together with their outputs
_ROUNDING = 1e-7  # of float32, relative
DEVICE_BLOCK = 2**25  # numbers at once on other devices, 128 MiB: few and large products


@dataclass(frozen=True)
class UnitFeatures:
    """Some rows of stored features, with their labels, on the device that does the work."""

    source: Tensor
    """float16, float32 or float64 [m, d], which is only read"""
    scale: Tensor
    """1 / length of each row of the source, 1 for a zero row, and everywhere where rows keep their
    lengths: [m, 1] of the type of unit rows"""
    labels: Tensor
    """int64[m]"""
    rows: Tensor
    """int64[n], which rows of the source these are"""
    standard: tuple[Tensor, Tensor] | None = None
    """what is taken from each column, and then multiplied: two [d] of the type of unit rows"""

    def __len__(self) -> int:
        """How many rows there are: n."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Columns of a unit row, the one for the bias included: d + 1."""
        return self.source.shape[1] + 1

    def only(self, rows: NDArray[np.int64]) -> UnitFeatures:
        """Other rows of the same source, which is shared."""
        return replace(self, rows=torch.tensor(rows, device=self.source.device))

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Unit rows with a last column of ones [b, d + 1], and labels, of int64[b] of `rows`."""
        return self._unit(self.rows[indices])

    def blocks(self, n_classes: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All rows in order, in blocks small enough for `n_classes` outputs a row."""
        on_cpu = self.source.device.type == "cpu"
        size = CPU_BLOCK if on_cpu else max(DEVICE_BLOCK // max(n_classes, self.width), CPU_BLOCK)
        for rows in torch.split(self.rows, size):
            yield self._unit(rows)

    def _unit(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        x = self.scale.new_empty(len(rows), self.width)
        torch.mul(self.source[rows], self.scale[rows], out=x[:, :-1])
        if self.standard is not None:
            mean, factor = self.standard
            x[:, :-1].sub_(mean).mul_(factor)
        x[:, -1].fill_(1)
        return x, self.labels[rows]


def unit_features(
    x: Features | NDArray[np.float64],
    y: NDArray[np.int64],
    device: str,
    dtype: torch.dtype = torch.float32,
    to_length_1: bool = True,
) -> UnitFeatures:
    """All rows of an array [m, d] with labels [m]; on a CPU the array is not copied.

    >>> features = unit_features(np.array([[3, 4], [0, 0]], np.float16), np.array([1, 0]), "cpu")
    >>> x, y = features.take(torch.tensor([1, 0]))
    >>> x.tolist(), y.tolist()
    ([[0.0, 0.0, 1.0], [0.6000000238418579, 0.800000011920929, 1.0]], [0, 1])
    """
    with warnings.catch_warnings():  # of an array that is read-only, which is fine here
        warnings.simplefilter("ignore", UserWarning)
        source = torch.from_numpy(x).to(device)
    scale = torch.ones(len(x), 1, dtype=dtype, device=device)
    blocks = zip(torch.split(source, CPU_BLOCK), torch.split(scale, CPU_BLOCK), strict=True)
    for some, inverse in blocks if to_length_1 else ():
        length = torch.linalg.vector_norm(some, dim=1, keepdim=True, dtype=torch.float64)
        inverse.copy_(1 / length.where(length > 0, 1.0))
    rows = torch.arange(len(x), device=device)
    return UnitFeatures(source, scale, torch.tensor(y, device=device), rows)


def standardised(features: UnitFeatures, by: UnitFeatures) -> UnitFeatures:
    """Features of which each column is scaled as in `by` it would have mean 0 and variance 1.

    A column that does not vary in `by`, beyond the rounding of float32, is not multiplied.
    """
    wide = by.width - 1
    total = by.scale.new_zeros(wide, dtype=torch.float64)
    for x, _ in by.blocks(by.width):
        total += x[:, :-1].double().sum(0)
    mean = total / len(by)
    squares = torch.zeros_like(mean)
    for x, _ in by.blocks(by.width):
        squares += (x[:, :-1].double() - mean).square().sum(0)
    deviation = (squares / len(by)).sqrt()
    factor = 1 / deviation.where(deviation > _ROUNDING * mean.abs(), 1.0)
    return replace(features, standard=(mean.to(by.scale), factor.to(by.scale)))
