"""Processes as workers, which may serve one feed after another."""

from __future__ import annotations

import os
import pickle
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Self

from cog.errors import CogError
from cog.features.feeder.feeding import Feeding
from cog.features.feeder.pool import Pool
from cog.features.feeder.slots import Layout, mapped, memory_file, send_file
from cog.features.feeder.worker_process import SetUp
from cog.features.feeder.workers import DEPTH, Done, Task
from cog.images.limits import ROOM
from cog.processes import how_it_ended

_idle: list[Pool] | None = None  # pools that wait for the next feed; None: they end with theirs
_lock = threading.Lock()


@contextmanager
def pools_kept() -> Iterator[None]:
    """Within it one feed takes over the workers of another, which cost seconds to start."""
    global _idle
    with _lock:
        inner = _idle is not None
        _idle = [] if _idle is None else _idle
    try:
        yield
    finally:
        if not inner:
            with _lock:
                pools, _idle = _idle, None
            for pool in pools:
                pool.close()


def _pool_of(workers: int) -> Pool:
    """A pool that nobody uses: one that is kept, or a new one."""
    with _lock:
        pools = [pool for pool in _idle or () if pool.workers == workers]
        for pool in pools:
            assert _idle is not None
            _idle.remove(pool)
            if pool.is_whole():
                return pool
            pool.close()
    return Pool(workers)


def _give_back(pool: Pool) -> None:
    """Keep a pool for the next feed, or end it."""
    with _lock:
        if _idle is not None:
            _idle.append(pool)
            return
    pool.close()


class Processes:
    """Processes that load parts, for one feed."""

    def __init__(self, feeding: Feeding, layout: Layout, pool: Pool | None = None) -> None:
        """The processes that a feeding asks for, or those of a pool."""
        self._pool = pool or _pool_of(feeding.workers)
        self._given: dict[Connection, deque[Task]] = {
            connection: deque() for connection in self._pool.connections
        }
        self._file = -1
        try:
            self._file = memory_file(layout.bytes)
            self.memory = mapped(self._file, layout.bytes)
            for connection in self._given:
                self._send(connection, SetUp(feeding, layout, feeding.workers * ROOM.processes))
                send_file(connection, self._file)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        """End the workers, and let the memory go."""
        if self._file >= 0:
            os.close(self._file)
        self._pool.close()

    def has_room(self) -> bool:
        """Whether fewer parts than `DEPTH` wait for a worker."""
        return min(map(len, self._given.values())) < DEPTH

    def give(self, task: Task) -> None:
        """Send a part to the worker that has the fewest."""
        connection = min(self._given, key=lambda each: len(self._given[each]))
        self._given[connection].append(task)
        self._send(connection, task)

    def done(self) -> list[Done]:
        """Wait until some of the parts that were given are done; gives those.

        Raises:
            CogError: a worker is gone.
        """
        found: list[Done] = []
        while not found:
            for connection in wait(list(self._given)):
                assert isinstance(connection, Connection)
                try:
                    message = pickle.loads(connection.recv_bytes())
                except (EOFError, OSError) as error:
                    raise self._lost(connection) from error
                if isinstance(message, Done):
                    self._given[connection].popleft()
                    found.append(message)
                else:  # its first words
                    self._pool.pids[connection] = message
        return found

    def _send(self, connection: Connection, message: object) -> None:
        try:
            connection.send_bytes(pickle.dumps(message))
        except OSError as error:
            raise self._lost(connection) from error

    def _lost(self, connection: Connection) -> CogError:
        """The error for a worker that is gone."""
        how = how_it_ended(self._pool.status_of(self._pool.connections.index(connection)))
        tasks = self._given[connection]
        if tasks:
            how += f" while it read {tasks[0].images.paths[0]} to {tasks[0].images.paths[-1]}"
        return CogError(
            f"a process that decodes images {how}",
            "run the same command again to go on; give fewer --workers if memory was short, or "
            "--feed threads",
        )

    def __enter__(self) -> Self:
        """They have started."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Keep the workers if they have nothing left to do, else end them."""
        if kind is None and not any(self._given.values()):
            try:
                for connection in self._given:
                    connection.send_bytes(pickle.dumps(None))  # let the memory go
            except OSError:  # a worker is gone: nobody waits for it
                pass
            else:
                os.close(self._file)
                _give_back(self._pool)
                return
        self._end()
