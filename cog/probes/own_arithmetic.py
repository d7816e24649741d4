"""Fits compute alike wherever they are called, as in the middle of a training script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def own_arithmetic() -> Iterator[None]:
    """A context with gradients, without autocast and inference mode, whatever is outside of it.

    Inside of autocast products would be of half precision, or of types that do not fit together.
    New tensors are on the CPU, whatever `torch.set_default_device` says.
    """
    cuda, cpu = torch.cuda.is_available(), torch.device("cpu")
    with (
        nullcontext() if torch.get_default_device() == cpu else cpu,
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda" if cuda else "cpu", enabled=False),
    ):
        yield
