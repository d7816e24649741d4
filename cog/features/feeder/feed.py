"""Batches of images, decoded ahead of their use, once for all preprocessings.

In: an image list, slices of its rows, preprocessings, how images are fed. Out: a batch a slice.

- A batch is divided into parts (part.py). Workers, threads or processes, load parts into slots of
  memory (slots.py), ahead of the batch that is due. Only rows that are not whole come in words.
- The bytes of a batch do not depend on workers, their kind or their number.
- The last two batches that were given stay as they are; the slot of the one before is free.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from cog.features.feeder.batch import Batch
from cog.features.feeder.feeding import Feeding
from cog.features.feeder.part import PART, BadImage
from cog.features.feeder.slots import HELD, Layout, slots_for
from cog.features.feeder.workers import Done, Task, Threads, Workers
from cog.features.pinned import pinned
from cog.images.decoding import check_decoder
from cog.images.image_list import ImageList
from cog.images.neighbours import locate
from cog.images.packed import Packed
from cog.images.preprocess import Preprocess


def feed(
    images: ImageList,
    slices: Sequence[slice],
    preprocesses: Iterable[Preprocess],
    feeding: Feeding,
    part: int = PART,
) -> Generator[Batch, None, None]:
    """Read and decode the images of `slices` ahead of their use; `part`: rows that a worker takes.

    Memory: slots.py counts it; beside that, each worker has one image and what it read at once.

    Raises:
        CogError: the decoder is unknown or not installed, an image cannot be read from its disk, or
            a worker was killed.
    """
    check_decoder(feeding.decoder)
    wanted = set(preprocesses)
    geometries = tuple(sorted({preprocess.geometry for preprocess in wanted}, key=str))
    most = max((rows.stop - rows.start for rows in slices), default=0)
    if not most:
        return
    packed = feeding.resize_on == "device"
    slots = slots_for(feeding.workers, part, most)
    layout = Layout(geometries, most, slots, packed, 1 + feeding.views)
    workers = _workers(feeding, layout, len(images))
    with workers, pinned(torch.from_numpy(workers.memory), feeding.device):
        loading = _Loading(images, slices, part, layout, workers)
        views = [layout.views(workers.memory, slot) for slot in range(layout.slots)]
        for number, rows in enumerate(slices):
            bad = loading.wait_for(number)
            batch = _batch(rows, bad)
            arrays = views[number % layout.slots]
            if packed:
                slot = torch.from_numpy(arrays[0])
                how = most, len(batch.readable), geometries, feeding.truncated
                batch = replace(batch, packed=Packed(slot, *how))
            else:
                batch.pixels.update(_pixels(arrays, batch, geometries, wanted))
            loading.give_out(due=number + 1)
            yield batch


def _pixels(
    views: Sequence[NDArray[np.uint8]],
    batch: Batch,
    geometries: Sequence[Preprocess],
    wanted: Iterable[Preprocess],
) -> dict[Preprocess, torch.Tensor]:
    """The pixels of a batch, for each preprocessing that is wanted."""
    rows = len(batch.readable)
    pixels = {
        geometry: torch.from_numpy(view[:rows])
        for geometry, view in zip(geometries, views, strict=True)
    }
    return {each: pixels[each.geometry] for each in wanted}


def _workers(feeding: Feeding, layout: Layout, images: int) -> Workers:
    if feeding.kind_for(images) == "threads":
        return Threads(feeding, layout)
    from cog.features.feeder.processes import Processes  # not on every system

    return Processes(feeding, layout)


class _Loading:
    """Which parts of which batches are given out, done, or still to come."""

    def __init__(
        self,
        images: ImageList,
        slices: Sequence[slice],
        part: int,
        layout: Layout,
        workers: Workers,
    ) -> None:
        self._workers, self._slots = workers, layout.slots
        self._left = [-(-(rows.stop - rows.start) // part) for rows in slices]  # parts to come
        self._done: dict[int, list[Done]] = {number: [] for number in range(len(slices))}
        self._tasks = self._all_tasks(images, slices, part)
        self._next = next(self._tasks, None)

    def _all_tasks(self, images: ImageList, slices: Sequence[slice], part: int) -> Iterator[Task]:
        for number, rows in enumerate(slices):
            for first in range(0, rows.stop - rows.start, part):
                some = slice(rows.start + first, min(rows.start + first + part, rows.stop))
                yield Task(number, first, number % self._slots, locate(images, some))

    def give_out(self, due: int) -> None:
        """Give out parts while the workers have room, of batches whose slot is free.

        `due`: the batch that is given next; the `HELD` before it stay as they are.
        """
        last = due + self._slots - HELD - 1
        while self._next is not None and self._next.batch <= last and self._workers.has_room():
            self._workers.give(self._next)
            self._next = next(self._tasks, None)

    def wait_for(self, number: int) -> list[BadImage]:
        """Wait until a batch is loaded; gives its rows that are not whole.

        Raises:
            CogError: that of its first part that has one.
        """
        while True:
            self.give_out(number)
            if not self._left[number]:
                break
            for done in self._workers.done():
                self._left[done.batch] -= 1
                self._done[done.batch].append(done)
        parts = sorted(self._done.pop(number), key=lambda done: done.first)
        for done in parts:
            if done.error is not None:
                raise done.error
        return [bad for done in parts for bad in done.bad]


def _batch(rows: slice, bad: Sequence[BadImage]) -> Batch:
    """A batch without its pixels."""
    readable = np.ones(rows.stop - rows.start, np.bool_)
    readable[[each.row for each in bad if not each.readable]] = False
    return Batch(
        rows,
        {},
        readable,
        reasons={rows.start + each.row: each.why for each in bad if not each.readable},
        truncated={rows.start + each.row: each.why for each in bad if each.readable},
    )
