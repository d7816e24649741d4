"""A training script as it was before: what an evaluation in the middle of it must not change."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import nn

from cog.features.precision import computing


@contextmanager
def undisturbed(network: nn.Module, device: torch.device, seed: int) -> Iterator[None]:
    """A context for forward passes and probes on a device, after which all is as it was.

    Inside, arithmetic is that of fp32 (cog/features/precision.py), all generators of random numbers
    start from `seed`, gradients are made, as some probes want, and what torch.compile has compiled
    runs as it was written: nothing is compiled for the evaluation. Forward passes are those of
    `Model.compute`: in eval mode, without gradients. Afterwards these are as before:
    - buffers, also those that a forward pass changes in eval mode; parameters, their gradients,
      requires_grad and hooks are not touched;
    - the states of Python's, numpy's and torch's generators, on the CPU, CUDA and MPS;
    - whether gradients are made, autocast, and torch's switches for TF32 and cuDNN. Copies of
      parameters that autocast keeps are forgotten: before, as they may be of an earlier step, and
      afterwards, as versions of torch give those made without gradients to the next training step
      (https://github.com/pytorch/pytorch/issues/158232).
    """
    torch.clear_autocast_cache()
    with _random_states_kept(seed), _buffers_kept(network), _as_written():
        try:
            on_cpu, gradients = torch.autocast("cpu", enabled=False), torch.enable_grad()
            with torch.inference_mode(False), gradients, on_cpu, computing(device, "fp32"):
                yield
        finally:
            torch.clear_autocast_cache()


@contextmanager
def _random_states_kept(seed: int) -> Iterator[None]:
    """All generators start from a seed, and go on afterwards from where they were."""
    cuda: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    mps = torch.backends.mps.is_available()
    of_python, of_numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    of_cuda = torch.cuda.get_rng_state_all() if cuda else []
    of_mps = torch.mps.get_rng_state() if mps else None
    try:
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach CUDA later
        if cuda:
            torch.cuda.manual_seed_all(seed)
        if mps:
            torch.mps.manual_seed(seed)
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
        torch.set_rng_state(of_torch)
        if cuda:
            torch.cuda.set_rng_state_all(of_cuda)
        if of_mps is not None:
            torch.mps.set_rng_state(of_mps)


@contextmanager
def _buffers_kept(network: nn.Module) -> Iterator[None]:
    """Every buffer is the tensor that it was, with the numbers that it had."""
    before = [
        (part, name, buffer, buffer.clone())
        for part in network.modules()
        for name, buffer in part.named_buffers(recurse=False)
    ]
    try:
        yield
    finally:
        for part, name, buffer, numbers in before:
            if getattr(part, name) is not buffer:
                setattr(part, name, buffer)
            if not torch.equal(buffer, numbers):
                with torch.no_grad():
                    buffer.copy_(numbers)


def _as_written() -> AbstractContextManager[object]:
    """A context without torch.compile; nothing where this process has compiled nothing."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    context: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return context
