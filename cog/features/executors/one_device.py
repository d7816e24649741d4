"""One device of this machine: work in the program itself.

In: work. Out: what it gives, as it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cog.cores import usable_cores
from cog.features.executors.device import Bundle, Device, Item, Result, Work
from cog.features.forward import pick_device
from cog.features.settings import Extraction
from cog.models.model import Model
from cog.progress import Progress


@dataclass(frozen=True)
class OneDevice:
    """The executor of one device."""

    device: Device
    at_once: int = 1
    each_at_once: int = 1

    @classmethod
    def of(cls, settings: Extraction, progress: Progress) -> OneDevice:
        """The device of the settings, on which models stay where they are."""
        threads = settings.workers or usable_cores()
        device = pick_device(settings.device)
        return cls(Device(device, settings, threads, progress, moves=False))

    def kind(self, model: Model) -> str:
        """The kind of device that a model is on: cpu, cuda or mps."""
        return model.device.type

    def spread(
        self, work: Work[Bundle, Item, Result], bundle: Bundle, items: Sequence[Item]
    ) -> Iterator[Result]:
        """All items."""
        yield from work(bundle, items, self.device)

    def each(
        self, work: Work[Bundle, Item, Result], bundles: Iterable[tuple[Bundle, Sequence[Item]]]
    ) -> Iterator[Result]:
        """One bundle after the other."""
        for bundle, items in bundles:
            yield from work(bundle, items, self.device)
