"""Copies to a device and back. On a CUDA device they run beside its work, and nothing waits.

- To the device: on a stream of their own, so that the next batch is copied while this one is
  computed. The current stream, on which the network runs, waits for the copy; the host does not.
- Back: on the current stream, behind the network that makes the numbers; they are few. An event
  then says that they are there.
- Only pinned memory can be copied while the host goes on. What is not pinned goes through a pinned
  buffer of torch's, which torch keeps and does not use again before the copy is done.
- Memory of the device is used again in the order of the stream that it was taken on. What is copied
  on one stream and read on another is recorded on both: it stays until the reader is done.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class Cuda:
    """All that is asked of CUDA here; tests put a device that they watch there."""

    def has(self, device: torch.device) -> bool:
        """Whether copies to the device can run beside its work."""
        return device.type == "cuda"

    def stream(self, device: torch.device) -> Any:
        """A new stream."""
        return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def current(self, device: torch.device) -> Any:
        """The stream on which this thread computes."""
        return torch.cuda.current_stream(device)

    def on(self, stream: Any) -> AbstractContextManager[Any]:
        """A context in which operations go to a stream."""
        return torch.cuda.stream(stream)

    def mark(self, stream: Any) -> Any:
        """An event at the end of what is on a stream now; who waits for it sleeps."""
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(stream)
        return event

    def pinned(self, tensor: Tensor) -> Tensor:
        """The tensor itself if its memory is pinned or registered as such, else a pinned copy."""
        return tensor.pin_memory()

    def copy_there(self, tensor: Tensor, device: torch.device) -> Tensor:
        """A copy on the device, which the stream makes when it comes to it."""
        return tensor.to(device, non_blocking=True)

    def copy_back(self, tensor: Tensor) -> Tensor:
        """A copy in pinned memory, which the stream makes when it comes to it."""
        host = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True)
        return host.copy_(tensor, non_blocking=True)

    def used_on(self, tensor: Tensor, stream: Any) -> None:
        """Keep the memory of a tensor that is let go until the stream has passed this moment."""
        tensor.record_stream(stream)


CUDA = Cuda()


@dataclass(frozen=True)
class Fetched:
    """Numbers on their way to the host."""

    host: Tensor
    there: Any  # the event after which they are there; None: they are

    def wait(self) -> Tensor:
        """The numbers, in ordinary memory.

        Raises:
            RuntimeError: whatever failed on the device since.
        """
        if self.there is None:
            return self.host
        self.there.synchronize()
        return self.host.clone()  # the pinned memory is used again


class Transfers:
    """Copies to and from one device."""

    def __init__(self, device: torch.device) -> None:
        """`device`: of the networks; where it is not CUDA's, copies are plain."""
        self.device = device
        self.beside = CUDA.has(device)
        self._copying: Any = None

    def send(self, tensor: Tensor) -> Tensor:
        """The tensor on the device, for what this thread computes there from now on.

        Pinned memory must stay as it is until something that was made of the copy has been fetched,
        or `finish` has returned. Other memory may change at once.
        """
        if not self.beside or tensor.device.type != "cpu" or not tensor.numel():
            return tensor.to(self.device)
        if self._copying is None:
            self._copying = CUDA.stream(self.device)
        computing = CUDA.current(self.device)
        with CUDA.on(self._copying):
            sent = CUDA.copy_there(CUDA.pinned(tensor), self.device)
            copied = CUDA.mark(self._copying)
        computing.wait_event(copied)
        CUDA.used_on(sent, computing)
        return sent

    def fetch(self, tensor: Tensor) -> Fetched:
        """Begin to bring back what this thread has computed."""
        if not self.beside:
            return Fetched(tensor.cpu(), None)
        host = CUDA.copy_back(tensor.contiguous())
        return Fetched(host, CUDA.mark(CUDA.current(self.device)))

    def finish(self) -> None:
        """Wait until no copy reads the host's memory any more.

        An error of the device is raised where features are fetched, and not here.
        """
        if self._copying is not None:
            with suppress(RuntimeError):
                self._copying.synchronize()
