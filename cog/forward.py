"""The forward pass: a device, a precision, and pictures to features on them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cog.errors import CogError, unknown_name
from cog.models import Model

PRECISIONS: dict[str, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def pick_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        CogError: no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdigit()):
        raise unknown_name("device", name, ("auto", "cpu", "cuda", "mps"))
    found = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not found[kind]:
        raise CogError(f"no device {name} on this machine", "give --device auto or --device cpu")
    return torch.device(name)


def embed(model: Model, pixels: torch.Tensor, precision: str = "fp32") -> NDArray[np.float32]:
    """Features float32 [b, d] of uint8 pictures [b, 3, h, w], on the model's device.

    In fp32 no operation is rounded to TF32: mixed precision comes only on request.
    """
    device = model.device
    mixed = PRECISIONS[precision]
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=mixed is not None)
    try:
        with exact, torch.autocast(device.type, dtype=mixed, enabled=mixed is not None):
            x = model.preprocess.normalise(pixels.to(device, non_blocking=True))
            features = model.embed(x)
    except CogError:
        raise
    except Exception as error:  # out of memory, or whatever a stranger's network raises
        text = " ".join(str(error).split())
        raise CogError(
            f"{model.name} fails on a batch of {len(pixels)}: {type(error).__name__}: {text}",
            "give a smaller --batch-size, or look with `cog models check`",
        ) from error
    return features.float().cpu().numpy()
