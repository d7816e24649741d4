"""Why a forward pass fails: the device's memory is short, or the network is wrong."""

from __future__ import annotations

import torch

from cog.errors import CogError
from cog.models.failures import failure
from cog.models.model import Model

_NO_MEMORY = ("out of memory", "can't allocate", "not enough memory", "alloc_failed")


class OutOfMemory(CogError):
    """A batch does not fit in the memory of its device."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error of any library says that memory is short."""
    said = " ".join(str(error).split()).lower()
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or any(
        words in said for words in _NO_MEMORY
    )


def forward_failure(model: Model, rows: int, error: BaseException) -> CogError:
    """The error for a network that raised `error` on a batch of `rows`."""
    if lacks_memory(error):
        return OutOfMemory(
            f"{model.name} runs out of memory on a batch of {rows}: {' '.join(str(error).split())}",
            "free memory of the device, or give --precision bf16 or another --device",
        )
    return failure(
        model.network,
        f"{model.name} fails on a batch of {rows}",
        error,
        "give a smaller --batch-size, or look with `cog models check`",
    )
