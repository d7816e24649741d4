"""What long work reports while it runs: the command line shows it, a script may ignore it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from cog.plain_text import first_names

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


_DIGITS = re.compile(r"\d[\d,.]*")


def said_once(lines: Iterable[tuple[str, str]], *, numbers: bool = False) -> Iterator[str]:
    """Lines for the user about datasets or models, each line once, with the names that it is about.

    With `numbers`, lines of different names that differ in numbers alone (and so in wnids) are one:
    the first of them.

    >>> list(said_once([("L1", "has no x"), ("L2", "has no x"), ("L2", "has y")]))
    ['L1, L2: has no x', 'L2: has y']
    >>> list(said_once([("L1", "3 links are broken"), ("L2", "5 links are broken")], numbers=True))
    ['L1: 3 links are broken (likewise, with other numbers: L2)']
    """
    groups: dict[tuple[str, int], dict[str, list[str]]] = {}
    before: Counter[tuple[str, str]] = Counter()  # lines of a name and kind
    for name, text in dict.fromkeys(lines):
        kind = _DIGITS.sub("#", text) if numbers else text
        groups.setdefault((kind, before[name, kind]), {}).setdefault(text, []).append(name)
        before[name, kind] += 1
    for texts in groups.values():
        (first, names), *others = texts.items()
        more = first_names(list(dict.fromkeys(name for _, own in others for name in own)))
        likewise = f" (likewise, with other numbers: {more})" if more else ""
        yield f"{first_names(names)}: {first}{likewise}"


def percent_of(advance: Callable[[int], None]) -> Callable[[int, int], None]:
    """A function of (done, total) that advances a bar of 100 units."""
    shown = 0

    def update(done: int, total: int) -> None:
        nonlocal shown
        advance(100 * done // total - shown)
        shown = 100 * done // total

    return update
