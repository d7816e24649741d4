"""How images are fed: by how many workers of which kind, and how they are decoded."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass

import torch

from cog.cores import usable_cores
from cog.errors import CogError
from cog.images.decoding import DEFAULT_DECODER
from cog.images.limits import MAX_MEMORY, ROOM
from cog.images.truncated import READ

FEEDS = ("auto", "threads", "processes")
RESIZED_ON = ("cpu", "device")

LEAST_CORES = 4  # for processes: with fewer, threads keep them busy
LEAST_IMAGES = 4_000  # for processes, which take seconds to start
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Feeding:
    """How images are read, decoded and resized.

    Args:
        workers: threads or processes.
        kind: threads, processes, or auto: processes for many images on a GPU of CUDA, where there
            are cores for them; else threads, which share the cores with a network on a CPU. (On
            macOS, slots of processes are a file on disk.)
        decoder: one of `decoding.DECODERS`.
        truncated: read or refuse.
        resize_on: cpu, or device: there the batches come `packed`.
        views: augmented views of each image, which its batch has behind its centre crop; 0: none,
            and the batch has the crop alone.
        device: where batches go; the memory that they lie in is prepared for copies to it.
    """

    workers: int
    kind: str = "auto"
    decoder: str = DEFAULT_DECODER
    truncated: str = READ
    resize_on: str = "cpu"
    device: torch.device = CPU
    views: int = 0

    def kind_for(self, images: int) -> str:
        """Threads or processes, for so many images.

        Raises:
            CogError: processes are asked for, and cannot be started here.
        """
        if self.kind == "processes" and not _can_start():
            raise CogError(
                "this system, or this Python, cannot start processes that feed",
                "give --feed threads",
            )
        if self.kind != "auto":
            return self.kind
        wanted = (
            self.device.type == "cuda"
            and min(usable_cores(), self.workers) >= LEAST_CORES
            and images >= LEAST_IMAGES
            and ROOM.whole >= 2 * MAX_MEMORY  # else their shares of memory are small
        )
        return "processes" if wanted and _can_start() else "threads"


def _can_start() -> bool:
    """Whether processes can be started, and files be given to them."""
    return bool(sys.executable) and hasattr(socket, "AF_UNIX")
