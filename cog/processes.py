"""Python processes beside the program: each calls one function, and ends when the program does.

In: the name of a function, open pipes. Out: a process.

- The user's script is not run again in them, as `multiprocessing` would: it needs no
  `if __name__ == "__main__"`. Nothing is forked, so threads and CUDA do no harm.
- A signal that ends the program is blocked in them, Ctrl-C of the terminal too: the program ends
  them, and then itself. They end by themselves when the program is gone, even by SIGKILL.
- They may start processes of their own.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from _thread import interrupt_main
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import wait
from typing import NoReturn

from cog.interruption import WORDS

GRACE_SECONDS = 3.0  # in which a process that is to end may close its files
_STDIN = 0
LOOK_SECONDS = 1.0  # between two looks whether the program is still there
_asked = threading.Event()  # of this process: whether it was asked to end
Process = subprocess.Popen[bytes]


def start(target: str, *descriptors: int, watched: bool = True) -> Process:
    """Start a process that calls `target`, "package.module:function", with open descriptors.

    It has the modules' paths, the folder and the environment of this one. Its standard input is a
    pipe from here: to close that, `process.stdin.close()`, asks it to end. If it is not `watched`,
    the function itself sees to its end, and no thread is started.
    """
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    code = (
        f"import sys; sys.path[:] = {[str(path) for path in sys.path]!r}; "
        f"from cog.processes import run; run({target!r}, {descriptors!r}, {watched})"
    )
    with _signals_blocked():
        return subprocess.Popen(
            [sys.executable, *flags, "-c", code], stdin=subprocess.PIPE, pass_fds=descriptors
        )


def how_it_ended(status: int | None) -> str:
    """What became of a process, in words, from its exit status; None: nobody knows it.

    >>> how_it_ended(-9), how_it_ended(1)
    ('was killed by SIGKILL', 'ended with status 1')
    """
    if status is None:
        return "ended"
    if status >= 0:
        return f"ended with status {status}"
    names = {int(number): number.name for number in signal.Signals}
    return f"was killed by {names.get(-status, f'signal {-status}')}"


def run(target: str, descriptors: Sequence[int], watched: bool) -> NoReturn:
    """In the process: call the function, and end."""
    status = 0
    try:  # from here on it may be asked to end
        _open_streams()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been ignored
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if watched:
            threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        module, _, function = target.partition(":")
        getattr(import_module(module), function)(*descriptors)
    except (KeyboardInterrupt, SystemExit):
        pass  # it was asked to end
    except BaseException:
        status = 1
        if not _asked.is_set():  # an import that is interrupted may end in any error
            traceback.print_exc()
    finally:
        with suppress(Exception):  # it may be full, or None
            sys.stdout.flush()
        os._exit(status)  # not waiting for threads of libraries


def no_stream(number: int) -> int:
    """A descriptor that is none of the standard streams, which may be closed here."""
    if number > 2:
        return number
    import fcntl

    above = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(number)
    return above


def end(processes: Sequence[Process], grace: float | None = None) -> None:
    """End processes, all at once: in order within `grace` or `GRACE_SECONDS`, else by SIGKILL."""
    try:
        for process in processes:
            if process.stdin:
                process.stdin.close()
        grace = GRACE_SECONDS + LOOK_SECONDS if grace is None else grace
        deadline = time.monotonic() + grace
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for process in processes:
            process.kill()  # does nothing to one that has ended
        for process in processes:
            process.wait()


def until_asked_to_end(parent: int) -> None:
    """In the process: wait until its standard input ends, or its parent is another."""
    while not wait([_STDIN], LOOK_SECONDS) and os.getppid() == parent:
        pass


def that_crosses(
    error: BaseException, dumps: Callable[[BaseException], bytes] = pickle.dumps
) -> BaseException:
    """An error that can be pickled for another process: itself, or else its text."""
    try:
        pickle.loads(dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with(parent: int) -> None:
    """End this process when it is asked to, or when its parent is gone."""
    until_asked_to_end(parent)
    _asked.set()
    sys.unraisablehook = lambda _: None  # it may come while a generator is being closed
    interrupt_main()  # KeyboardInterrupt: files are closed
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _open_streams() -> None:
    """Let closed streams of output lead nowhere; the next file would else become one of them."""
    for number in (1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Within it this thread gets none of the signals that end the program; a process starts so."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    numbers = {getattr(signal, name) for name in WORDS if hasattr(signal, name)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
