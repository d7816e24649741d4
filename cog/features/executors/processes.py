"""Several devices of this machine: a process for each, on its share of the items.

In: work. Out: what the processes give, as it comes.

- A process is started when there is work for it, and ends with the run: to import torch takes some
  two seconds of processor time, and CUDA is started once.
- A model is sent to it once, and is on no device here: probes have the first one's memory.
- Work, bundles and results cross as cloudpickle's bytes, through pipes and not shared memory, which
  is 64 MB in containers.
- One that dies, or raises an error, ends the others. Chunks that are finished stay.
"""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from cog.cores import usable_cores
from cog.errors import CogError
from cog.features.executors import one_process
from cog.features.executors.crossing import ToAll, dump, to_bytes
from cog.features.executors.device import Bundle, Device, Item, Result, Work, kind_on
from cog.features.executors.one_process import DONE, RESULTS, SAID, Sent, Setup, Task
from cog.features.executors.share import Share
from cog.features.feeder.slots import memory_file
from cog.features.settings import Extraction
from cog.models.model import Model
from cog.processes import GRACE_SECONDS, Process, end, how_it_ended, no_stream, start
from cog.progress import Progress

_LOOK_SECONDS = 1.0  # between two looks whether silent processes are still there


@dataclass(frozen=True)
class _Child:
    """The process of one device, and the pipes to it and from it."""

    device: torch.device
    process: Process
    messages: Connection
    told: Connection
    models: set[int] = field(default_factory=set)  # that it has got

    @classmethod
    def of(cls, setup: Setup, lock: int) -> _Child:
        """Start the process of a device; `lock`: of a file that all of them have."""
        messages, to_it, from_it, told = map(no_stream, (*os.pipe(), *os.pipe()))
        try:
            process = start(f"{one_process.__name__}:main", messages, told, lock)
        except BaseException:
            os.close(to_it)
            os.close(from_it)
            raise
        finally:
            os.close(messages)
            os.close(told)
        to, fro = Connection(to_it, readable=False), Connection(from_it, writable=False)
        return cls(setup.device, process, to, fro)

    def hear(self) -> tuple[str, Any]:
        """The next thing that the process tells.

        Raises:
            CogError: it is gone.
        """
        with suppress(EOFError, OSError):
            if self.process.poll() is None or self.told.poll():
                told: tuple[str, Any] = pickle.loads(self.told.recv_bytes())
                return told
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)
        raise CogError(
            f"the process for {self.device} {how_it_ended(self.process.poll())}",
            "run the same command to go on: finished chunks stay. Where memory is short, give a "
            "smaller --batch-size, fewer --workers, or fewer devices",
        )


class Processes:
    """The executor of several devices."""

    each_at_once = 1

    def __init__(
        self, devices: Sequence[torch.device], settings: Extraction, progress: Progress
    ) -> None:
        """Nothing is started yet; use it as a context, whose end ends the processes."""
        self.at_once = count = len(devices)
        self._progress = progress
        threads = settings.workers or usable_cores()
        share, cores = max(1, threads // count), max(1, torch.get_num_threads() // count)
        self._setups = [Setup(device, settings, share, cores, count) for device in devices]
        self._children: dict[int, _Child] = {}
        self._numbers: dict[Model, int] = {}
        self._here = Device(devices[0], settings, threads, progress, moves=True)

    def __enter__(self) -> Processes:
        """Itself."""
        self._lock = no_stream(memory_file(0))
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self._end()
        os.close(self._lock)

    def kind(self, model: Model) -> str:
        """The kind of device that a model computes on: cpu, cuda or mps."""
        return kind_on(model, self._here.device)

    def spread(
        self, work: Work[Bundle, Item, Result], bundle: Bundle, items: Sequence[Item]
    ) -> Iterator[Result]:
        """Every process takes each n-th item, as workers do, with its part of the cores."""
        done = False
        try:
            children = [self._child(index) for index in range(min(len(items), self.at_once))]
            self._send_work(children, Task(work, bundle))
            for index, child in enumerate(children):
                own = Share(index, self.at_once).of(items)
                self._send(to_bytes(own, "the work"), [child])
            yield from self._results(children)
            done = True
        finally:
            if not done:
                self._end()

    def each(
        self, work: Work[Bundle, Item, Result], bundles: Iterable[tuple[Bundle, Sequence[Item]]]
    ) -> Iterator[Result]:
        """One bundle after the other, whole, in the program itself, for the first device."""
        for bundle, items in bundles:
            yield from work(bundle, items, self._here)

    def _child(self, index: int) -> _Child:
        """The process of a device, which is started if it is not there."""
        if index not in self._children:
            self._children[index] = child = _Child.of(self._setups[index], self._lock)
            self._send(to_bytes(self._setups[index], "the setup"), [child])
        return self._children[index]

    def _send_work(self, children: Sequence[_Child], task: Task) -> None:
        """Send work to some processes, after the models of its bundle that they have not got."""
        used: dict[int, Model] = {}

        def number(model: Model) -> int:
            found = self._numbers.setdefault(model, len(self._numbers))
            used[found] = model
            return found

        data = to_bytes(task, "the work", number)
        for found, model in used.items():
            lacking = [child for child in children if found not in child.models]
            if lacking:
                to = ToAll([child.messages for child in lacking])
                dump(Sent(found, model), model.name, to)
                self._refuse_gone(lacking, to)
            for child in lacking:
                child.models.add(found)
        self._send(data, children)

    def _send(self, data: bytes, children: Sequence[_Child]) -> None:
        to = ToAll([child.messages for child in children])
        to.write(data)
        self._refuse_gone(children, to)

    def _refuse_gone(self, children: Sequence[_Child], to: ToAll) -> None:
        """Raise the error of a process that does not read what it is sent."""
        for child in children:
            if child.messages not in to.pipes:
                for _ in self._results([child]):
                    pass

    def _results(self, children: Sequence[_Child]) -> Iterator[Any]:
        """What processes give until all of them are done; lines for the user are passed on.

        Raises:
            Exception: what a process raised, or a CogError where one is gone.
        """
        working = list(children)
        while working:
            ready = wait([child.told for child in working], _LOOK_SECONDS)
            for child in tuple(working):
                if child.told not in ready and (ready or child.process.poll() is None):
                    continue
                kind, value = child.hear()
                if kind == RESULTS:
                    yield from value
                elif kind == SAID:
                    self._progress.notify(value)
                elif kind == DONE:
                    working.remove(child)
                else:
                    raise value

    def _end(self) -> None:
        """End all processes."""
        children, self._children = list(self._children.values()), {}
        for child in children:
            child.messages.close()  # one that waits for work ends by itself
        end([child.process for child in children])
        for child in children:
            child.told.close()
