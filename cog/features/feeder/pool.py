"""A pool of worker processes: started, and ended with their driver.

- `fork`: one new process, the nursery, imports torch and forks the workers; what they import is in
  memory once. `spawn`: a new process for each. The process that has threads is never forked.
- A worker that dies closes its connection, which its driver sees at once.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from cog.features.feeder.slots import memory_file
from cog.images.limits import ROOM
from cog.processes import Process, end, no_stream, start

START_METHODS = ("fork", "spawn")
_TOLD_S = 1.0  # in which a process that has ended is known to have


class Pool:
    """Worker processes, for one feed after another."""

    def __init__(self, workers: int, start_method: str | None = None) -> None:
        """Start them; by default by fork on Linux, and by spawn elsewhere."""
        self.workers = workers
        self.start_method = start_method or ("fork" if sys.platform == "linux" else "spawn")
        self.connections: list[Connection] = []
        self.pids: dict[Connection, int] = {}
        """of the workers that have said a word"""
        self._processes: list[Process] = []
        self._status = -1
        theirs: list[int] = []
        try:
            self._status, status = map(no_stream, os.pipe())
            lock = memory_file(0) if ROOM.lock is None else os.dup(ROOM.lock)
            theirs += [status, no_stream(lock)]
            for _ in range(workers):
                own, other = (no_stream(one.detach()) for one in socket.socketpair())
                self.connections.append(Connection(own))
                theirs.append(other)
            self._start(theirs[:2], theirs[2:])
        except BaseException:
            self.close()
            raise
        finally:
            for number in theirs:
                os.close(number)

    def _start(self, common: list[int], connections: list[int]) -> None:
        module, fork = "cog.features.feeder.nursery", self.start_method == "fork"
        for group in [connections] if fork else [[each] for each in connections]:
            target = f"{module}:{self.start_method}"
            self._processes.append(start(target, *common, *group, watched=False))

    def how_it_ended(self, number: int) -> int | None:
        """The exit status of a worker that is gone, negative for a signal; None if nobody knows."""
        if self.start_method == "spawn":
            with suppress(subprocess.TimeoutExpired):
                return self._processes[number].wait(_TOLD_S)
            return None
        said, begun = "", time.monotonic()
        while time.monotonic() < begun + _TOLD_S:
            if select.select([self._status], [], [], _TOLD_S / 10)[0]:
                said += os.read(self._status, 1 << 16).decode()
            for line in said.splitlines():
                own, status = map(int, line.split())
                if own == number:
                    return status
            if (nursery := self._processes[0].poll()) is not None:
                return nursery
        return None

    def is_whole(self) -> bool:
        """Whether no worker is gone; asked while they have nothing to do."""
        try:
            for connection in wait(self.connections, 0):
                assert isinstance(connection, Connection)
                self.pids[connection] = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return False
        return True

    def close(self) -> None:
        """End the workers, in the middle of a part too, and wait for them."""
        for connection in self.connections:
            connection.close()
        end(self._processes)
        if self._status >= 0:
            os.close(self._status)
            self._status = -1
