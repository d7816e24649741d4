"""Networks as they are before training, from a fixed seed, without touching the global one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

SEED = 0
BARE_STD = 0.02  # the usual size of a transformer's positions and class token before training


@contextmanager
def seeded(seed: int = SEED) -> Iterator[None]:
    """Within it, torch's CPU generator starts at `seed`; afterwards it is where it was.

    Only the CPU's: networks are made there and moved later.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def reinitialise(network: nn.Module, seed: int = SEED) -> None:
    """Put `network` (in place) in the state of one that was never trained.

    - `reset_parameters()` of every part that has it; in a batch normalisation this forgets the
      statistics too;
    - the parameters of all other parts (class tokens, positions, scales) are drawn from a normal
      distribution of mean 0 and standard deviation 0.02;
    - statistics that are still there under the names of batch normalisation become 0 and 1.
    """
    with seeded(seed), torch.no_grad():
        for part in network.modules():
            reset: Any = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
            else:
                for parameter in part.parameters(recurse=False):
                    parameter.normal_(std=BARE_STD)
                _forget_statistics(part)


def _forget_statistics(part: nn.Module) -> None:
    for name, buffer in part.named_buffers(recurse=False):
        if name == "running_mean":
            buffer.zero_()
        elif name == "running_var":
            buffer.fill_(1.0)
