"""Untrained networks from a fixed seed; the global random state is not touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from cog.errors import CogError

SEED = 0
BARE_STD = 0.02  # usual for a transformer's positions and class token before training


@contextmanager
def seeded(seed: int = SEED) -> Iterator[None]:
    """Within it, torch's generator of the CPU starts at `seed`; afterwards it is as before.

    The generators of GPUs are left alone: networks are made on the CPU.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def reinitialise(network: nn.Module, seed: int = SEED) -> None:
    """Put `network`, in place, in the state of a network that was never trained.

    - Every part that has `reset_parameters()` is reset; batch normalisation forgets its statistics.
    - The parameters of all other parts (class tokens, positions, scales) are drawn from a normal
      distribution of mean 0 and standard deviation 0.02.
    - Their buffers `running_mean` and `running_var` become 0 and 1.

    Raises:
        CogError: a part that cannot be drawn anew.
    """
    with seeded(seed), torch.no_grad():
        for name, part in network.named_modules():
            try:
                _draw_anew(part)
            except Exception as error:  # the part is not ours
                raise CogError(
                    f"{name or 'the network'}, a {type(part).__name__}, cannot be drawn anew: "
                    f"{type(error).__name__}: {error}",
                    "give it a reset_parameters() without arguments, or leave it trained",
                ) from error


def _draw_anew(part: nn.Module) -> None:
    """Put one part, without those inside it, in its untrained state."""
    reset: Any = getattr(part, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    for parameter in part.parameters(recurse=False):
        parameter.normal_(std=BARE_STD)
    for name, buffer in part.named_buffers(recurse=False):
        if name in ("running_mean", "running_var"):
            buffer.fill_(name == "running_var")
