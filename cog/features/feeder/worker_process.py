"""A worker process: it loads parts into slots until its driver is gone.

The signals that end a program are blocked in it: its driver ends it, by closing its standard input,
or by its own end.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from multiprocessing.connection import Connection
from typing import NamedTuple, NoReturn

import torch

from cog.features.feeder.feeding import Feeding
from cog.features.feeder.slots import Layout, mapped, receive_file
from cog.features.feeder.workers import Done, Task, loaded
from cog.images.limits import ROOM
from cog.processes import that_crosses, until_asked_to_end


class SetUp(NamedTuple):
    """What a worker gets before the tasks of a feed; the file of the slots follows it."""

    feeding: Feeding
    layout: Layout
    processes: int  # that share the memory for decoding: these workers, and those of other devices


def work(connection: int, lock: int) -> NoReturn:
    """Load the parts that come through a connection; `lock`: of a file that all workers have."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(1)
    status = 0
    try:
        _serve(Connection(connection), lock)
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the driver is gone
        pass
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    os._exit(status)


def _end_with(parent: int) -> None:
    """End this process when the driver wants it to or is gone, or when its parent is another."""
    until_asked_to_end(parent)
    os._exit(0)


def _serve(connection: Connection, lock: int) -> NoReturn:
    """Load parts into the slots of one feed after the other.

    Raises:
        EOFError: the driver has closed the connection.
    """
    connection.send_bytes(pickle.dumps(os.getpid()))
    feed, views, memory = None, [], None
    while True:
        message: SetUp | Task | None = pickle.loads(connection.recv_bytes())
        if isinstance(message, SetUp):
            feed = message
            ROOM.divide(feed.processes, lock)
            file = receive_file(connection)
            memory = mapped(file, feed.layout.bytes)
            os.close(file)
            views = [feed.layout.views(memory, slot) for slot in range(feed.layout.slots)]
        elif message is None or feed is None:
            feed, views, memory = None, [], None  # the feed is over, and its memory is free
        else:
            done = loaded(message, views[message.slot], feed.layout, feed.feeding)
            connection.send_bytes(_pickled(done))


def _pickled(done: Done) -> bytes:
    """A part as bytes; an error that cannot cross is told by its text."""
    if done.error is not None:
        done = done._replace(error=that_crosses(done.error))
    return pickle.dumps(done)
