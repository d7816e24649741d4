"""Who makes what: shares of numbered work, and the devices that make one worker's share at once.

In: the numbers of chunks (or cells), a worker's place among the workers, devices. Out: the numbers
that are whose, and the items that several devices give.

- Worker r of w has the numbers that are r modulo w. The devices of a worker divide its numbers by
  the same rule. Nobody asks anybody: there are no locks and no coordinator, a worker that died is
  started again with the same place, and one without a place makes whatever is missing.
- Devices are threads of one process, each with its own copy of the models; networks let go of the
  interpreter's lock while they compute.
- A cluster (cog/features/executors/ray_cluster.py) divides into ranges: chunks are the same bytes
  whoever makes them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

import torch

from cog.errors import CogError
from cog.features.forward import Forward
from cog.models.model import Model
from cog.progress import Progress

Item = TypeVar("Item")


@dataclass(frozen=True)
class Device:
    """A device with the models that it was given so far."""

    place: torch.device | None  # None: wherever a model is
    precision: str
    notify: Callable[[str], None]
    copies: bool = False
    forwards: dict[Model, Forward] = field(default_factory=dict)

    def forward(self, model: Model) -> Forward:
        """The forward pass of a model on this device, always the same.

        Raises:
            CogError: a network that cannot be copied.
        """
        if model not in self.forwards:
            placed = self._placed(model)
            self.forwards[model] = Forward(placed, self.precision, self.notify)
        return self.forwards[model]

    def _placed(self, model: Model) -> Model:
        if not self.copies:
            return model
        try:
            return copy.deepcopy(model).to(self.place or model.device)
        except CogError:
            raise
        except Exception as error:  # whatever a stranger's network raises
            raise CogError(
                f"{model.name} cannot be copied to {self.place}: {type(error).__name__}: {error}",
                f"give one device, --device {model.device}, and --worker r/w to a process for each",
            ) from error


def devices_for(
    places: Sequence[torch.device], precision: str, progress: Progress
) -> tuple[Device, ...]:
    """What makes features: the `places`, or without any the place where each model is.

    The first uses the models themselves, which are there already; the others have copies.
    """
    if len(places) < 2:
        return (Device(None, precision, progress.notify),)
    return tuple(
        Device(place, precision, progress.notify, copies=number > 0)
        for number, place in enumerate(places)
    )


def merged(iterators: Sequence[Generator[Item, None, None]]) -> Iterator[Item]:
    """What several iterators give, as it comes; each runs on a thread, a single one on none.

    What one of them raises is raised here. Then, and when this iterator is closed, all are stopped
    at their next item and waited for.
    """
    if len(iterators) == 1:
        yield from iterators[0]
        return
    given: SimpleQueue[Item | _End] = SimpleQueue()
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
    """The end of an iterator, or what it raised."""

    error: BaseException | None = None


def _drain(
    iterator: Generator[Item, None, None], given: SimpleQueue[Item | _End], stop: Event
) -> None:
    """Pass on what an iterator gives until it ends, raises, or is to stop."""
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
