"""One device as work sees it: the models on it, its decoding threads, its progress.

In: a device and a way to bring models there. Out: their forward passes on it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from cog.errors import CogError
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
    bring: Callable[[Model, torch.device], Model]
    """how a model gets here: `stay`, `duplicate` or `Model.to`"""
    forwards: dict[Model, Forward] = field(default_factory=dict)

    def forward(self, model: Model) -> Forward:
        """The forward pass of a model on this device, always the same object.

        Raises:
            CogError: the model cannot be brought here.
        """
        if model not in self.forwards:
            here = self.bring(model, self.device)
            self.forwards[model] = forward_of(here, self.settings, self.progress.notify)
        return self.forwards[model]


Work = Callable[[Bundle, Sequence[Item], Device], Generator[Result, None, None]]
"""what executors run: a bundle, some of its items, a device → results"""


def stay(model: Model, device: torch.device) -> Model:
    """The model itself, wherever it is."""
    return model


def duplicate(model: Model, device: torch.device) -> Model:
    """A copy of the model on the device.

    Raises:
        CogError: the network cannot be copied.
    """
    try:
        return copy.deepcopy(model).to(device)
    except CogError:
        raise
    except Exception as error:  # a network may raise anything
        raise CogError(
            f"{model.name} cannot be copied to {device}: {type(error).__name__}: {error}",
            f"give one device, --device {model.device}, and --worker r/w to a process for each",
        ) from error
