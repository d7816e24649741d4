"""The share of one worker in numbered work: chunks and cells.

Worker r of w has the numbers that are r modulo w. There are no locks and no coordinator: a worker
that died is started again with the same r/w, and a run without a share makes what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from cog.errors import CogError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """The numbers that are `worker` modulo `workers`."""

    worker: int = 0
    workers: int = 1

    @classmethod
    def read(cls, text: str) -> Share:
        """The share that a text r/w names.

        >>> Share.read("3/16")
        Share(worker=3, workers=16)

        Raises:
            CogError: the text has another form, or r is not below w.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        if not found or int(found[1]) >= int(found[2]):
            raise CogError(
                f"expected a worker r/w with r from 0 to w - 1, found {text!r}",
                "give --worker 0/4, 1/4, 2/4 and 3/4 to four workers",
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """The share as r/w."""
        return f"{self.worker}/{self.workers}"

    @property
    def is_all(self) -> bool:
        """Whether this is the only worker."""
        return self.workers == 1

    def has(self, number: int) -> bool:
        """Whether a number is in this share."""
        return number % self.workers == self.worker

    def of(self, items: Iterable[Item]) -> list[Item]:
        """The items of this share, numbered in their order.

        >>> Share(1, 3).of("abcdefgh")
        ['b', 'e', 'h']
        """
        return [item for number, item in enumerate(items) if self.has(number)]


ALL = Share()
