"""The forward pass: images to features, on a device, in a precision.

In: decoded images, a model. Out: features float32 [b, d].

- `start` gives the device its work, and `result` waits for it. Between them the host may start the
  next batch: the device then goes from one to the other without a pause.
- Nothing in `start` waits for a CUDA device; so numbers are looked at in `result`, on the host, and
  errors of the device come up there. On other devices `start` computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from cog.errors import CogError, unknown_name
from cog.features.compiled import Compiled
from cog.features.failures import OutOfMemory, forward_failure
from cog.features.memory_format import pick_memory_format
from cog.features.precision import computing
from cog.features.settings import Extraction, batch_size
from cog.features.transfers import Fetched, Transfers
from cog.models.model import Model, sound
from cog.progress import Notify


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


def embed(model: Model, pixels: torch.Tensor, precision: str = "fp32") -> NDArray[np.float32]:
    """Features float32 [b, d] of uint8 images [b, 3, h, w], on the model's device.

    In fp32 no operation is rounded to TF32. The batch lies channel by channel in memory.

    Raises:
        OutOfMemory: the batch does not fit in the device's memory.
        CogError: the network fails in another way, or the device lacks the precision.
    """
    forward = Forward(model, precision)
    forward.memory_format = torch.contiguous_format
    return forward.launch(pixels).features()


def forward_of(model: Model, settings: Extraction, notify: Notify) -> Forward:
    """The forward pass of a model on its device, as the settings say."""
    rows = batch_size(model.device.type, settings) if settings.compile else None
    return Forward(model, settings.precision, notify, rows)


@dataclass(frozen=True)
class Launched:
    """Images [b, 3, h, w] whose features are on their way."""

    model: Model
    pixels: torch.Tensor
    output: Fetched

    def features(self) -> NDArray[np.float32]:
        """Wait for the features: float32 [b, d].

        Raises:
            OutOfMemory, CogError: as `embed`.
        """
        try:
            features: NDArray[np.float32] = sound(self.output.wait(), self.model.name).numpy()
            return features
        except CogError:
            raise
        except Exception as error:  # of the device, late
            raise forward_failure(self.model, len(self.pixels), error) from error


@dataclass(frozen=True)
class Pending:
    """A batch that was started: whole, or in parts where memory is short."""

    forward: Forward
    parts: Sequence[Launched]

    def result(self) -> NDArray[np.float32]:
        """Wait for the features of the batch: float32 [b, d].

        Raises:
            OutOfMemory: one image alone does not fit.
            CogError: the network fails in another way.
        """
        done = [self.forward.finished(part) for part in self.parts]
        return done[0] if len(done) == 1 else np.concatenate(done)


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
    compile_rows: int | None = None  # images in a batch of the compiled network; None: not compiled
    fits: int | None = None  # images, once a batch did not fit

    @cached_property
    def transfers(self) -> Transfers:
        """The copies to the device and back."""
        return Transfers(self.model.device)

    @cached_property
    def memory_format(self) -> torch.memory_format:
        """In which order images lie on the device."""
        return pick_memory_format(self.model, self.precision)

    @cached_property
    def _compiled(self) -> Compiled | None:
        if self.compile_rows is None:
            return None
        return Compiled(self.model, self.compile_rows, self.notify)

    def __call__(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        """Features float32 [b, d] of uint8 images [b, 3, h, w].

        Raises:
            OutOfMemory, CogError: as `Pending.result`.
        """
        return self.start(pixels).result()

    def start(self, pixels: torch.Tensor) -> Pending:
        """Start on uint8 images [b, 3, h, w], on the host or on the device.

        They must stay as they are until the result is there.

        Raises:
            OutOfMemory, CogError: as `Pending.result`; what is not known yet comes there.
        """
        parts: list[Launched] = []
        start = 0
        while start < len(pixels):
            part = self._try(pixels[start : start + (self.fits or len(pixels))])
            if part is not None:
                parts.append(part)
                start += len(part.pixels)
        return Pending(self, parts)

    def launch(self, pixels: torch.Tensor) -> Launched:
        """Start on images that must fit whole.

        Raises:
            OutOfMemory, CogError: as `embed`.
        """
        try:
            with computing(self.model.device, self.precision):
                output = self._compute(self.transfers.send(pixels))
                return Launched(self.model, pixels, self.transfers.fetch(output))
        except CogError:
            raise
        except (Exception, SystemExit) as error:  # a network may raise anything
            raise forward_failure(self.model, len(pixels), error) from error

    def _compute(self, pixels: torch.Tensor) -> torch.Tensor:
        """The output of the network, of images on its device."""
        rows = len(pixels)
        if self._compiled is not None:
            pixels = self._compiled.padded(pixels)
        if self.memory_format is torch.channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        x = self.model.preprocess.normalise(pixels)
        if self._compiled is None:
            return self.model.compute(x)
        return self.model.compute(x, self._compiled)[:rows]

    def finished(self, part: Launched) -> NDArray[np.float32]:
        """The features of a part, which is computed anew in smaller ones if it did not fit."""
        try:
            return part.features()
        except OutOfMemory:
            if len(part.pixels) == 1:
                raise
        self._shrink(len(part.pixels))
        return self(part.pixels)

    def finish(self) -> None:
        """Wait until no copy reads images of the host, so that their memory may go."""
        self.transfers.finish()

    def _try(self, pixels: torch.Tensor) -> Launched | None:
        """The images, launched; or None if they did not fit, and then `fits` is smaller."""
        try:
            return self.launch(pixels)
        except OutOfMemory:
            if len(pixels) == 1:
                raise
        # after the except block: the error held the tensors that the network had computed
        self._shrink(len(pixels))
        return None

    def _shrink(self, rows: int) -> None:
        """Take batches of half so many rows from now on."""
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.fits is None:
            self.notify(
                f"{self.model.name} runs out of memory on a batch of {rows}: smaller ones "
                "follow (the last bits of its features may differ; --batch-size sets the size)"
            )
        self.fits = min(rows // 2, self.fits or rows)
        if self._compiled is not None:
            self._compiled.rows = self.fits
