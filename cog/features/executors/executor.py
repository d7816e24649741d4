"""What every executor can do, and the one that the settings name.

In: settings, the devices of a plan. Out: an executor.

- Work is a function, a bundle that all its calls share, and a list of items. The function gets the
  bundle, some of the items and a device, and yields results; those come as they are made. Models
  belong in the bundle, which goes to a cluster once; items are small, such as indices.
- A worker's share (cog/features/executors/share.py) is not an executor: it says which items are the
  worker's, and any executor then works on those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch

from cog.features.executors.device import Bundle, Item, Result, Work
from cog.features.executors.one_device import OneDevice
from cog.features.executors.processes import Processes
from cog.features.executors.ray_cluster import Cluster
from cog.features.settings import Extraction
from cog.models.model import Model
from cog.progress import Progress


class Executor(Protocol):
    """Where work runs: a device of this machine, several, or a Ray cluster."""

    @property
    def at_once(self) -> int:
        """How many devices `spread` works on at once, each with its own part of the cores."""
        ...

    @property
    def each_at_once(self) -> int:
        """How many devices `each` works on at once."""
        ...

    def kind(self, model: Model) -> str:
        """The kind of device that a model computes on: cpu, cuda or mps."""
        ...

    def spread(
        self, work: Work[Bundle, Item, Result], bundle: Bundle, items: Sequence[Item]
    ) -> Iterator[Result]:
        """Divide the items of one bundle among all devices, in parts small enough to keep all busy.

        Raises:
            CogError: what `work` raises on any device; the others stop.
        """
        ...

    def each(
        self,
        work: Work[Bundle, Item, Result],
        bundles: Iterable[tuple[Bundle, Sequence[Item]]],
    ) -> Iterator[Result]:
        """Work on bundles, each with its items, in parts as large as possible.

        For work that costs much to begin, or that a machine does best one after the other.

        Raises:
            CogError: what `work` raises.
        """
        ...


@contextmanager
def executor_for(
    settings: Extraction, devices: Sequence[torch.device], progress: Progress
) -> Iterator[Executor]:
    """The executor that the settings name; what it has started ends with the context.

    `devices` make features on this machine; with one or none, each model stays where it is.

    Raises:
        CogError: Ray is not installed, cannot be reached, or has no such devices.
    """
    if settings.on_cluster:
        yield Cluster.connect(settings, progress.notify)
    elif len(devices) > 1:
        with Processes(devices, settings, progress) as processes:
            yield processes
    else:
        yield OneDevice.of(settings, progress)
