"""A pool of worker processes: started, and ended with their driver.

- `fork`: one new process, the fork server, imports torch and forks the workers; what they import
  is in memory once. `spawn`: a new process for each. The process that has threads is never forked.
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
        sent: list[int] = []
        try:
            self._status, status = map(no_stream, os.pipe())
            sent.append(status)
            sent.append(no_stream(memory_file(0) if ROOM.lock is None else os.dup(ROOM.lock)))
            for _ in range(workers):
                here, there = (no_stream(side.detach()) for side in socket.socketpair())
                self.connections.append(Connection(here))
                sent.append(there)
            self._start(sent[:2], sent[2:])
        except BaseException:
            self.close()
            raise
        finally:
            for descriptor in sent:
                os.close(descriptor)

    def _start(self, common: list[int], connections: list[int]) -> None:
        target = f"cog.features.feeder.starting:{self.start_method}"
        together = self.start_method == "fork"
        for group in [connections] if together else [[each] for each in connections]:
            self._processes.append(start(target, *common, *group, watched=False))

    def status_of(self, number: int) -> int | None:
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
                worker, status = map(int, line.split())
                if worker == number:
                    return status
            if (status_of_server := self._processes[0].poll()) is not None:
                return status_of_server
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
        end(self._processes, None if self.pids else 0)  # while they start they do not listen
        if self._status >= 0:
            os.close(self._status)
            self._status = -1
