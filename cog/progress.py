"""What long work reports while it runs: the command line shows it, a script may ignore it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

Notify = Callable[[str], None]
"""a function that takes one line for the user"""


class Progress(Protocol):
    """What watches a run: any object with these three methods."""

    def bar(
        self, label: str, total: int, unit: str
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Start a bar of `total` units; gives a function that advances it by some of them."""
        ...

    def notify(self, text: str) -> None:
        """Take one line for the user."""
        ...

    def result(self, row: dict[str, Any]) -> None:
        """Take one finished row of the results."""
        ...


class Silent:
    """Watches a run and shows nothing."""

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """A bar that is not shown."""
        yield lambda _: None

    def notify(self, text: str) -> None:
        """Show nothing."""

    def result(self, row: dict[str, Any]) -> None:
        """Show nothing."""


class Notifying(Silent):
    """Watches a run and passes its lines on."""

    def __init__(self, notify: Notify) -> None:
        """`notify` takes the lines."""
        self._notify = notify

    def notify(self, text: str) -> None:
        """Pass one line on."""
        self._notify(text)


def percent_of(advance: Callable[[int], None]) -> Callable[[int, int], None]:
    """A function of (done, total) that advances a bar of 100 units."""
    shown = 0

    def update(done: int, total: int) -> None:
        nonlocal shown
        advance(100 * done // total - shown)
        shown = 100 * done // total

    return update
