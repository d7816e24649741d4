"""What a fit will cost, for the dry run: counted operations, or a few steps that are timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from cog.probes.data import ProbeSettings
from cog.probes.rows import work_device


@dataclass(frozen=True)
class ProbeSize:
    """How large the data of a fit is."""

    n_train: int
    """training images of the final fit"""
    n_test: int
    dim: int
    n_classes: int
    tokens: int = 1
    """vectors that `dim` numbers are made of"""


def seconds_for(operations: float, settings: ProbeSettings) -> float:
    """Seconds for so many additions and multiplications, as fast as those of a matrix product."""
    return operations / products_a_second(work_device(settings.device))


@cache
def products_a_second(device: str) -> float:
    """Additions and multiplications a second of a float32 matrix product there, measured."""
    x = torch.rand(1024, 1024, device=device)
    return 2 * 1024**3 / seconds_of(lambda: float((x @ x).sum()), goes=3)


def seconds_of(work: Callable[[], object], goes: int = 2) -> float:
    """Seconds of the fastest of a few goes, the first of which also warms up."""
    seconds = []
    for _ in range(goes):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)
