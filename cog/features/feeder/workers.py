"""What loads the parts of batches: the tasks that are given out, what comes back, and threads.

Workers are `Threads` here, or `Processes` (processes.py). Their memory holds the slots.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cog.features.feeder.feeding import Feeding
from cog.features.feeder.part import BadImage, load_part
from cog.features.feeder.slots import Layout, private_memory
from cog.images.neighbours import Located

DEPTH = 3  # parts that wait for each worker, so that none is idle while the driver is busy


class Task(NamedTuple):
    """A part of a batch to be loaded."""

    batch: int
    first: int  # row of the batch
    slot: int
    images: Located


class Done(NamedTuple):
    """A part that is loaded, or the error that it raised."""

    batch: int
    first: int
    bad: list[BadImage]
    error: BaseException | None = None


class Workers(Protocol):
    """Workers that load parts into slots, for one feed."""

    @property
    def memory(self) -> NDArray[np.uint8]:
        """All slots, as the layout has them."""
        ...

    def has_room(self) -> bool:
        """Whether they take another part now."""
        ...

    def give(self, task: Task) -> None:
        """Take a part."""
        ...

    def done(self) -> list[Done]:
        """Wait until some of the parts that were given are done; gives those.

        Raises:
            CogError: a worker is gone.
        """
        ...

    def __enter__(self) -> Self:
        """Start."""
        ...

    def __exit__(self, kind: type[BaseException] | None, /, *_: object) -> None:
        """Stop; what is not done never will be."""
        ...


class Threads:
    """Threads of this process: the decoder does not hold the interpreter's lock."""

    def __init__(self, feeding: Feeding, layout: Layout) -> None:
        """The threads that a feeding asks for."""
        self.memory = private_memory(layout.bytes)
        self._feeding, self._layout = feeding, layout
        self._views = [layout.views(self.memory, slot) for slot in range(layout.slots)]
        self._pool = ThreadPoolExecutor(feeding.workers, thread_name_prefix="decode")
        self._results: SimpleQueue[Done] = SimpleQueue()
        self._stop = Event()
        self._given = 0

    def has_room(self) -> bool:
        """Whether fewer parts wait than `DEPTH` for each thread."""
        return self._given < DEPTH * self._feeding.workers

    def give(self, task: Task) -> None:
        """Take a part."""
        self._given += 1
        self._pool.submit(self._load, task)

    def done(self) -> list[Done]:
        """Wait for the next part."""
        self._given -= 1
        return [self._results.get()]

    def _load(self, task: Task) -> None:
        views = self._views[task.slot]
        self._results.put(
            loaded(task, views, self._layout, self._feeding, stopped=self._stop.is_set)
        )

    def __enter__(self) -> Self:
        """The threads start as parts come."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop after the images that are being decoded, and wait for the threads."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


def loaded(
    task: Task,
    views: list[NDArray[np.uint8]],
    layout: Layout,
    feeding: Feeding,
    stopped: Callable[[], bool] = lambda: False,
) -> Done:
    """A part, loaded into the views of its slot; an error is told, not raised."""
    try:
        bad = load_part(task.images, task.first, views, layout, feeding, stopped)
    except BaseException as error:
        return Done(task.batch, task.first, [], error)
    return Done(task.batch, task.first, bad)
