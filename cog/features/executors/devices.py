"""The devices of this machine: threads of one process, each with its own copy of the models.

In: work. Out: what the devices give, as it comes. Networks release the interpreter's lock while
they compute, so threads do.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Event, Thread

import torch

from cog.cores import usable_cores
from cog.features.executors.device import Bundle, Device, Item, Result, Work, duplicate, stay
from cog.features.forward import pick_device
from cog.features.precision import float32_products
from cog.features.settings import Extraction
from cog.models.model import Model
from cog.progress import Progress


@dataclass(frozen=True)
class Devices:
    """The executor of this machine."""

    devices: tuple[Device, ...]
    own_cores: bool = False

    @classmethod
    def of(
        cls, devices: Sequence[torch.device], settings: Extraction, progress: Progress
    ) -> Devices:
        """The `devices`. Models stay where they are for the first; the others get copies."""
        threads = settings.workers or usable_cores()
        here = pick_device(settings.device), settings, threads, progress
        copies = [Device(device, *here[1:], duplicate) for device in devices[1:]]
        return cls((Device(*here, stay), *copies))

    @property
    def at_once(self) -> int:
        """How many devices work at once."""
        return len(self.devices)

    def kind(self, model: Model) -> str:
        """The kind of device that a model is on: cpu, cuda or mps."""
        return model.device.type

    def spread(
        self, work: Work[Bundle, Item, Result], bundle: Bundle, items: Sequence[Item]
    ) -> Iterator[Result]:
        """Every device takes each n-th item, on a thread of its own, with its part of the cores."""
        count = self.at_once
        running = []
        for index, device in enumerate(self.devices):
            own = replace(device, threads=max(1, device.threads // count))
            running.append(work(bundle, items[index::count], own))
        with float32_products(self.devices[0].settings.precision):
            yield from merged(running)

    def each(
        self, work: Work[Bundle, Item, Result], bundles: Iterable[tuple[Bundle, Sequence[Item]]]
    ) -> Iterator[Result]:
        """One bundle after the other, whole, on the first device."""
        for bundle, items in bundles:
            yield from work(bundle, items, self.devices[0])


def merged(iterators: Sequence[Generator[Result, None, None]]) -> Iterator[Result]:
    """The items of several iterators as they come; each runs on a thread, a single one on none.

    An error in one of them is raised here. Then, and when this iterator is closed, all of them stop
    at their next item, and this waits for them.
    """
    if len(iterators) == 1:
        yield from iterators[0]
        return
    given: SimpleQueue[Result | _End] = SimpleQueue()
    stop = Event()
    threads = [Thread(target=_drain, args=(each, given, stop), daemon=True) for each in iterators]
    try:
        for thread in threads:
            thread.start()
        running = len(threads)
        while running:
            item = given.get()
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                running -= 1
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:  # it was started
                thread.join()


@dataclass(frozen=True)
class _End:
    """The end of an iterator, or the error that it raised."""

    error: BaseException | None = None


def _drain(
    iterator: Generator[Result, None, None], given: SimpleQueue[Result | _End], stop: Event
) -> None:
    """Put the items of an iterator into a queue until it ends, raises, or is to stop."""
    error: BaseException | None = None
    try:
        for item in iterator:
            given.put(item)
            if stop.is_set():
                break
        iterator.close()
    except BaseException as raised:
        error = raised
    given.put(_End(error))
