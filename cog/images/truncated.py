"""Pillow's switch LOAD_TRUNCATED_IMAGES for one thread alone.

The switch is a global name of Pillow. While a thread here decodes, an object is in its place that
each thread sees as it needs it: the threads of this package as they said, all others as the user
of Pillow had set it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ImageFile

READ, REFUSE = TRUNCATED = ("read", "refuse")
"""what is done with truncated images: what is there is read, or they are unreadable"""

_NAME = "LOAD_TRUNCATED_IMAGES"
_own = threading.local()
_lock = threading.Lock()
_inside = 0  # threads that have said how they want the switch


class _Switch:
    """True or false, as the thread that asks has said; `users`: for threads that have not."""

    def __init__(self, users: object) -> None:
        self.users = users

    def __bool__(self) -> bool:
        said: bool | None = getattr(_own, "said", None)
        return bool(self.users) if said is None else said


@contextmanager
def pillow_reads_truncated(said: bool) -> Iterator[None]:
    """A context in which Pillow reads truncated images, or not, on this thread."""
    _enter()
    _own.said = said
    try:
        yield
    finally:
        _own.said = None
        _leave()


def _enter() -> None:
    """Put the object in the place of the switch, unless it is there."""
    global _inside
    with _lock:
        _inside += 1
        if not isinstance(getattr(ImageFile, _NAME), _Switch):
            setattr(ImageFile, _NAME, _Switch(getattr(ImageFile, _NAME)))


def _leave() -> None:
    """Give the user's setting back after the last thread."""
    global _inside
    with _lock:
        _inside -= 1
        switch = getattr(ImageFile, _NAME)
        if not _inside and isinstance(switch, _Switch):
            setattr(ImageFile, _NAME, switch.users)
