"""The forward pass: images to features, on a device, in a precision.

In: decoded images, a model. Out: features float32 [b, d].
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cog.errors import CogError, unknown_name
from cog.models.failures import failure
from cog.models.model import Model
from cog.progress import Notify

PRECISIONS: dict[str, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
_NO_MEMORY = ("out of memory", "can't allocate", "not enough memory", "alloc_failed")


class OutOfMemory(CogError):
    """A batch does not fit in the memory of its device."""


def pick_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:1` or `mps`; the first of several with commas.

    Raises:
        CogError: this machine has no such device.
    """
    name = name.partition(",")[0].strip()
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


def pick_devices(names: str) -> tuple[torch.device, ...]:
    """The devices that make features: all GPUs for `auto`, or those of `cuda:0,cuda:1`.

    Raises:
        CogError: this machine lacks one of them.
    """
    if names == "auto" and torch.cuda.device_count() > 1:
        names = ",".join(f"cuda:{number}" for number in range(torch.cuda.device_count()))
    return tuple(pick_device(name) for name in names.split(","))


def exact_products(precision: str) -> AbstractContextManager[None]:
    """A context in which no operation of fp32 is rounded to TF32.

    The switch belongs to the whole process, and threads that enter and leave at different moments
    would switch it for each other. So enter it before threads start: then they change nothing.
    """
    mixed = PRECISIONS[precision] is not None
    exact: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, allow_tf32=mixed)
    return exact


def embed(model: Model, pixels: torch.Tensor, precision: str = "fp32") -> NDArray[np.float32]:
    """Features float32 [b, d] of uint8 images [b, 3, h, w], on the model's device.

    In fp32 no operation is rounded to TF32.

    Raises:
        OutOfMemory: the batch does not fit in the device's memory.
        CogError: the network fails in another way.
    """
    device, mixed = model.device, PRECISIONS[precision]
    here = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    cast = torch.autocast(device.type, dtype=mixed, enabled=mixed is not None)
    try:
        with here, exact_products(precision), cast:
            x = model.preprocess.normalise(pixels.to(device, non_blocking=True))
            features = model.embed(x)
        return features.float().cpu().numpy()
    except CogError:
        raise
    except (Exception, SystemExit) as error:  # a network may raise anything
        raise _failure(model, len(pixels), error) from error


def _failure(model: Model, rows: int, error: BaseException) -> CogError:
    """The error for a network that raised `error` on a batch of `rows`."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or any(
        said in text.lower() for said in _NO_MEMORY
    ):
        return OutOfMemory(
            f"{model.name} runs out of memory on a batch of {rows}: {text}",
            "free memory of the device, or give --precision bf16 or another --device",
        )
    return failure(
        model.network,
        f"{model.name} fails on a batch of {rows}",
        error,
        "give a smaller --batch-size, or look with `cog models check`",
    )


@dataclass(eq=False)
class Forward:
    """Batches to features under one model on its device, in smaller parts where memory is short.

    A batch that does not fit is halved until it does, and later ones are cut to that size. The
    features stay in order and equal to a tolerance (1e-5 of their size in fp32), but another batch
    size may change their last bits: only whole batches give the same bytes again. `notify` gets a
    line the first time.
    """

    model: Model
    precision: str = "fp32"
    notify: Notify = lambda _: None
    fits: int | None = None  # images, once a batch did not fit

    def __call__(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        """Features float32 [b, d] of uint8 images [b, 3, h, w].

        Raises:
            OutOfMemory: one image alone does not fit.
            CogError: the network fails in another way.
        """
        done: list[NDArray[np.float32]] = []
        start = 0
        while start < len(pixels):
            part = pixels[start : start + (self.fits or len(pixels))]
            features = self._try(part)
            if features is not None:
                done.append(features)
                start += len(part)
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _try(self, pixels: torch.Tensor) -> NDArray[np.float32] | None:
        """The features, or None if the images did not fit; then `fits` is smaller."""
        try:
            return embed(self.model, pixels, self.precision)
        except OutOfMemory:
            if len(pixels) == 1:
                raise
        # after the except block: the error held the tensors that the network had computed
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.fits is None:
            self.notify(
                f"{self.model.name} runs out of memory on a batch of {len(pixels)}: smaller ones "
                "follow (the last bits of its features may differ; --batch-size sets the size)"
            )
        self.fits = len(pixels) // 2
        return None
