"""The precision of a network's arithmetic: its names, and what torch must be told for each.

- fp32: float32 throughout; nothing is rounded to TF32.
- tf32: float32 whose products a GPU rounds to TF32, in matrices and in convolutions.
- bf16, fp16: torch's autocast; what it leaves in float32 are products of matrices without TF32 and
  convolutions with it, as torch has them by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from cog.errors import CogError
from cog.tf32 import tf32

PRECISIONS: dict[str, torch.dtype | None] = {
    "fp32": None,
    "tf32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""the type of autocast, or None without it"""

_AMPERE = 8  # the first generation of NVIDIA's GPUs with TF32: compute capability 8.0


def require_precision(precision: str, device: torch.device) -> None:
    """Refuse a precision that a device does not have.

    Raises:
        CogError: TF32 on a CPU, on Apple's GPUs, or on an NVIDIA GPU without it.
    """
    if precision != "tf32":
        return
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= _AMPERE:
        return
    raise CogError(
        f"--precision tf32: the device {device} has no TF32",
        "give --precision fp32, or bf16 for speed; TF32 needs an NVIDIA GPU from Ampere (A100) on",
    )


@contextmanager
def process_switches(precision: str) -> Iterator[None]:
    """A context with torch's switches for a whole process as a precision wants them.

    Products of float32 as above; and cuDNN chooses its ways by what it knows, not by timing them,
    which would give other bits each time. Threads that enter and leave at different moments would
    switch for each other.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark
    with tf32(matrices=precision == "tf32", convolutions=precision != "fp32"):
        cudnn.benchmark = False
        try:
            yield
        finally:
            cudnn.benchmark = before


@contextmanager
def computing(device: torch.device, precision: str) -> Iterator[None]:
    """A context in which a network computes on a device in a precision.

    Raises:
        CogError: the device does not have the precision.
    """
    require_precision(precision, device)
    mixed = PRECISIONS[precision]
    here = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    cast = torch.autocast(device.type, dtype=mixed, enabled=mixed is not None)
    with here, process_switches(precision), cast:
        yield
