"""One device as work sees it: the models on it, its decoding threads, its progress.

In: a device. Out: the forward passes of models on it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from cog.features.forward import Forward, forward_of
from cog.features.settings import Extraction
from cog.models.model import Model
from cog.progress import Progress

Bundle = TypeVar("Bundle")
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Device:
    """A device that work runs on, with the models that it has got so far."""

    device: torch.device
    settings: Extraction
    threads: int  # that decode images
    progress: Progress
    moves: bool  # models come to the device; else each computes wherever it is
    forwards: dict[Model, Forward] = field(default_factory=dict)

    def forward(self, model: Model) -> Forward:
        """The forward pass of a model on this device, always the same object.

        Raises:
            CogError: the model cannot be moved here.
        """
        if model not in self.forwards:
            here = model.to(self.device) if self.moves else model
            self.forwards[model] = forward_of(here, self.settings, self.progress.notify)
        return self.forwards[model]

    def kind(self, model: Model) -> str:
        """The kind of device that a model computes on: cpu, cuda or mps."""
        return kind_on(model, self.device) if self.moves else model.device.type


Work = Callable[[Bundle, Sequence[Item], Device], Generator[Result, None, None]]
"""what executors run: a bundle, some of its items, a device → results"""


def kind_on(model: Model, device: torch.device) -> str:
    """The kind of device that a model is on once it is moved; without tensors it stays on a CPU."""
    tensors = (*model.network.parameters(), *model.network.buffers())
    return device.type if tensors else "cpu"
