"""What long work tells whoever started it; the command line draws it, a script may ignore it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

Notify = Callable[[str], None]
"""a function that takes one line for the user"""


class Progress(Protocol):
    """Anything with these three methods can watch a run."""

    def bar(
        self, label: str, total: int, unit: str
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Start a bar of `total` units; the function it gives advances the bar by so many."""
        ...

    def notify(self, text: str) -> None:
        """Say one line."""
        ...

    def result(self, row: dict[str, Any]) -> None:
        """Take one finished row of the results."""
        ...


class Silent:
    """Watches and says nothing."""

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """A bar nobody sees."""
        yield lambda _: None

    def notify(self, text: str) -> None:
        """Say nothing."""

    def result(self, row: dict[str, Any]) -> None:
        """Say nothing."""


class Notifying(Silent):
    """Watches, and passes on what is said in lines."""

    def __init__(self, notify: Notify) -> None:
        """`notify` takes the lines."""
        self._notify = notify

    def notify(self, text: str) -> None:
        """Say one line."""
        self._notify(text)


def percent_of(advance: Callable[[int], None]) -> Callable[[int, int], None]:
    """What takes (done, total), for a bar of a hundred that is advanced by steps."""
    shown = 0

    def update(done: int, total: int) -> None:
        nonlocal shown
        advance(100 * done // total - shown)
        shown = 100 * done // total

    return update
