"""Signals that end the program: in order, in words, and with a status of their own.

`watch` is called before anything else is imported. A signal then raises KeyboardInterrupt, so that
files are closed and finished work is told of. While a module is being imported, an exception may
be lost or become another one: there the program says its words and ends at once, unless it is in
the middle of a run (`in_order`). Files are whole or absent at any moment.

- SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal is gone), SIGUSR1 (Slurm's warning, by `--signal`).
- A signal that is ignored when the program starts stays ignored, as under `nohup`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

WORDS = {
    "SIGINT": "interrupted",
    "SIGTERM": "terminated",
    "SIGHUP": "hung up",
    "SIGUSR1": "told to stop (SIGUSR1)",
}
AGAIN = "run the same command again"
_SIGNALS = {getattr(signal, name): word for name, word in WORDS.items() if hasattr(signal, name)}


class _State:
    came: int | None = None
    """the last signal that came"""
    in_run = False


def watch() -> None:
    """Let each of the signals end the program as this file says."""
    _State.came = None
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def signal_that_came() -> int | None:
    """The number of the signal that came; None if none did."""
    return _State.came


def status_of(number: int) -> int:
    """The exit status of a program that a signal ended: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + number


def word_for(number: int) -> str:
    """What a signal did to the program, for people."""
    return _SIGNALS[signal.Signals(number)]


@contextmanager
def in_order() -> Iterator[None]:
    """Within it a signal raises KeyboardInterrupt even in an import: results wait to be written."""
    before, _State.in_run = _State.in_run, True
    try:
        yield
    finally:
        _State.in_run = before


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Undo what a library does to the handlers of the signals (Ray sets its own for SIGTERM)."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    _State.came = number
    if number != signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
    if _is_importing(frame) and not _State.in_run:
        _end_at_once(number)
    raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end_at_once(number: int) -> None:
    words = f"\n{word_for(number)}: {AGAIN}\n"
    with suppress(OSError, ValueError):  # closed, or no terminal any more
        cursor = "\x1b[?25h" if os.isatty(2) else ""  # a bar may have hidden it
        os.write(2, f"{cursor}{words}".encode())
    with suppress(Exception):
        sys.stdout.flush()
    os._exit(status_of(number))
