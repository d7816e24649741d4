"""A device that does what it is asked as late as a CUDA device may, and keeps a list of it.

Copies to the device are made when another stream waits for them, copies back when the host does;
before that there is garbage. So whoever does not wait computes on garbage, and a test sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from cog.features.transfers import Cuda


class Stream:
    """Operations in their order, not done yet."""

    def __init__(self, name: str, said: list[str]) -> None:
        self.name, self.said = name, said
        self.waiting: list[Callable[[], None]] = []

    def wait_event(self, event: Event) -> None:
        self.said.append(f"{self.name} waits for {event.stream.name}")
        event.stream.run()

    def synchronize(self) -> None:
        self.said.append(f"host waits for all of {self.name}")
        self.run()

    def run(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


class Event:
    """The end of what is on a stream."""

    def __init__(self, stream: Stream, error: BaseException | None) -> None:
        self.stream, self.error = stream, error

    def synchronize(self) -> None:
        self.stream.said.append(f"host waits for {self.stream.name}")
        if self.error is not None:
            raise self.error
        self.stream.run()


class WatchedCuda(Cuda):
    """Put it in place of `cog.features.transfers.CUDA`; the networks stay on the CPU."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.computing = Stream("computing", self.said)
        self.now = self.computing
        self.errors: list[BaseException | None] = []  # of the next events on the computing stream

    def has(self, device):
        return True

    def stream(self, device):
        return Stream("copying", self.said)

    def current(self, device):
        return self.now

    @contextmanager
    def on(self, stream: Stream) -> Iterator[None]:
        before, self.now = self.now, stream
        try:
            yield
        finally:
            self.now = before

    def mark(self, stream):
        error = self.errors.pop(0) if self.errors and stream is self.computing else None
        return Event(stream, error)

    def pinned(self, tensor):
        self.said.append("pin")
        return tensor

    def copy_there(self, tensor, device):
        return self._copy(tensor, torch.full_like(tensor, 77), "to the device")

    def copy_back(self, tensor):
        return self._copy(tensor, torch.full_like(tensor, torch.nan), "to the host")

    def _copy(self, source: torch.Tensor, target: torch.Tensor, where: str) -> torch.Tensor:
        self.said.append(f"copy {where}, {self.now.name}")
        self.now.waiting.append(lambda: target.copy_(source))
        return target

    def used_on(self, tensor, stream):
        self.said.append(f"kept for {stream.name}")
