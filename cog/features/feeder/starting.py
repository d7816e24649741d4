"""The start of worker processes: each on its own, or all forked by one that has imported torch.

What a new process calls (cog/processes.py), with open descriptors: a pipe to tell how workers
ended, a file that they lock, and a connection for each worker. Its standard input ends with the
driver.
"""

from __future__ import annotations

import os
import threading
import time
from typing import NoReturn

from cog.processes import LOOK_SECONDS

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def spawn(_: int, lock: int, connection: int) -> NoReturn:
    """Be a worker."""
    _prepare()
    from cog.features.feeder.worker_process import work

    work(connection, lock)


def fork(status: int, lock: int, *connections: int) -> NoReturn:
    """Fork the workers, and tell how each of them ended: a line with its number and its status."""
    _prepare()
    from cog.features.feeder.worker_process import work

    numbers: dict[int, int] = {}
    for number, connection in enumerate(connections):
        child = os.fork()
        if not child:
            for other in connections:
                if other != connection:
                    os.close(other)
            work(connection, lock)
        numbers[child] = number
    for connection in connections:
        os.close(connection)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    while numbers:  # until the last has ended, so that none stays a zombie
        child, ended = os.wait()
        line = f"{numbers.pop(child)} {os.waitstatus_to_exitcode(ended)}\n"
        try:
            os.write(status, line.encode())
        except OSError:  # the driver is gone
            continue
    os._exit(0)


def _prepare() -> None:
    """One thread of computation, before torch is imported."""
    os.environ.update(_ONE_THREAD)


def _end_with(parent: int) -> None:
    """End this process when its parent is another; its workers then do too."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(0)
