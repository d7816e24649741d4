"""Memory that a GPU may read while the host goes on: ordinary memory, registered as pinned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

_PORTABLE = 1  # cudaHostRegisterPortable: pinned for every device of this process


@contextmanager
def pinned(memory: torch.Tensor, device: torch.device) -> Iterator[bool]:
    """Register the memory of a CPU tensor as pinned for a block; gives whether it is.

    It may be memory of any kind, such as a mapped file that processes share. Where the device is
    not CUDA's, or CUDA refuses (the system may limit locked memory), nothing changes: copies then
    go through a buffer. At the end this waits for the device, so that the memory may go.
    """
    registered = device.type == "cuda" and _register(memory, device)
    try:
        yield registered
    finally:
        if registered:
            _unregister(memory, device)


def _runtime() -> Any:
    return torch.cuda.cudart()  # type: ignore[no-untyped-call]


def _register(memory: torch.Tensor, device: torch.device) -> bool:
    size = memory.numel() * memory.element_size()
    with torch.cuda.device(device):
        if size and int(_runtime().cudaHostRegister(memory.data_ptr(), size, _PORTABLE)) == 0:
            return True
        with suppress(RuntimeError):  # CUDA's last error would be raised by what is launched next
            torch.ones(1, device=device)
    return False


def _unregister(memory: torch.Tensor, device: torch.device) -> None:
    with suppress(RuntimeError), torch.cuda.device(device):  # an error of the device was raised
        torch.cuda.synchronize()
        _runtime().cudaHostUnregister(memory.data_ptr())
