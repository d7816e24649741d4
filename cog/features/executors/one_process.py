"""What runs in the process of one device: it gets models and work, and gives results.

In: the messages of processes.py, through a pipe. Out: lines for the user and results, through
another, and at last that the work is done, or an error.
"""

from __future__ import annotations

import io
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
import torch

from cog.errors import CogError
from cog.features.executors.crossing import PIECE, FromPipe, load
from cog.features.executors.device import Device, Work
from cog.features.feeder.processes import pools_kept
from cog.features.settings import Extraction
from cog.images.limits import ROOM
from cog.models.model import Model
from cog.processes import that_crosses
from cog.progress import Notifying

SAID, RESULTS, DONE, FAILED = "said", "results", "done", "failed"
"""what is told: a line for the user, a list of results, the end of the work, an error"""
TELL_SECONDS = 0.1  # results of batches that take less are told together


@dataclass(frozen=True)
class Setup:
    """The device of a process, and its part of the machine's cores."""

    device: torch.device
    settings: Extraction
    threads: int  # that decode images
    cores: int  # of torch
    processes: int  # that share the memory for decoding


@dataclass(frozen=True)
class Sent:
    """A model that is sent once; tasks name it by its number."""

    number: int
    model: Model


@dataclass(frozen=True)
class Task:
    """Work and its bundle; the items come behind it."""

    work: Work[Any, Any, Any]
    bundle: Any


def main(messages: int, told: int, lock: int) -> None:
    """Do what comes from one pipe, and tell of it through another, until the first one ends.

    `lock`: the descriptor of a file that all processes have (see `cog.images.limits.Room`).
    """
    pipe = Connection(told, readable=False)

    def tell(kind: str, value: Any = None) -> None:
        data = cloudpickle.dumps((kind, value))
        try:
            pipe.send_bytes(data)
        except OSError:  # nobody reads: the program is gone
            raise SystemExit from None

    try:
        with pools_kept():
            file = io.BufferedReader(FromPipe(Connection(messages, writable=False)), PIECE)
            serve(file, tell, lock)
    except Exception as error:  # a network may raise anything
        tell(FAILED, _that_crosses(error))


def serve(file: io.BufferedIOBase, tell: Callable[[str, Any], None], lock: int) -> None:
    """Take the setup, then models and work in any order."""
    models: dict[int, Model] = {}
    received = _received(file, models)
    setup = next(received)
    here = setup.device
    torch.set_num_threads(setup.cores)
    ROOM.divide(setup.processes, lock)
    if here.type == "cuda" and here.index is not None:
        torch.cuda.set_device(here)
    progress = Notifying(lambda text: tell(SAID, text))
    device = Device(here, setup.settings, setup.threads, progress, moves=True)
    for message in received:
        if isinstance(message, Sent):
            models[message.number] = message.model.to(here)  # before the next one takes memory
        else:
            work = message.work(message.bundle, next(received), device)
            for results in _together(work):
                tell(RESULTS, results)
            if here.type == "cuda":  # probes may be fitted on this device meanwhile
                torch.cuda.empty_cache()
            tell(DONE, None)


def _together(results: Iterable[Any]) -> Iterator[list[Any]]:
    """Results in lists, each of those of a moment."""
    some: list[Any] = []
    begun = time.monotonic()
    for result in results:
        some.append(result)
        if time.monotonic() - begun >= TELL_SECONDS:
            yield some
            some, begun = [], time.monotonic()
    yield some


def _received(file: io.BufferedIOBase, models: dict[int, Model]) -> Iterator[Any]:
    """The messages, until there are no more."""
    while True:
        try:
            yield load(file, models)
        except EOFError:
            return


def _that_crosses(error: Exception) -> BaseException:
    """The error as another process can be told it, with where it was raised."""
    if not isinstance(error, CogError):
        error.add_note(f"in process {os.getpid()}:\n{traceback.format_exc()}")
    return that_crosses(error, cloudpickle.dumps)
