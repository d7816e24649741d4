"""Fits compute alike wherever they are called, as in the middle of a training script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_arithmetic() -> Iterator[None]:
    """A context with gradients, without autocast and inference mode, whatever is outside of it.

    Inside of autocast products would be of half precision, or of types that do not fit together.
    """
    cuda = torch.cuda.is_available()
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda" if cuda else "cpu", enabled=False),
    ):
        yield
