"""What the processes of a distributed job do together: share work, and hear of each other's errors.

Every process of the job makes the same calls in the same order. Where there is no job, or one
process, the calls do no more than the work. An error of one process is raised in all of them, so
that none waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray

from cog.errors import CogError

T = TypeVar("T")
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Processes:
    """The processes that share an evaluation."""

    rank: int = 0
    """which of them this is"""
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one speaks for all."""
        return self.rank == 0

    def share(self, count: int) -> Rows:
        """The rows of `count` that this process has: int64[m], each process every so many-th."""
        return np.arange(self.rank, count, self.count)

    def largest_share(self, chosen: NDArray[np.bool_]) -> int:
        """Of rows that are chosen, the most that any process has."""
        return max(int(chosen[rank :: self.count].sum()) for rank in range(self.count))

    def by_each(self, work: Callable[[], T]) -> list[T]:
        """What the work gives in each process, by rank.

        Raises:
            Exception: what the work raised here.
            CogError: it failed in another process.
        """
        if self.count == 1:
            return [work()]
        own = _tried(work)
        every: list[Any] = [None] * self.count
        dist.all_gather_object(every, _portable(own))
        return [_value(each, rank, own) for rank, each in enumerate(every)]

    def by_first(self, work: Callable[[], T]) -> T:
        """What the work gives in the first process, which alone does it; raises as `by_each`."""
        if self.count == 1:
            return work()
        own: _Outcome = _tried(work) if self.first else (None, None)
        shared = [_portable(own)]
        dist.broadcast_object_list(shared, src=0)
        value: T = _value(shared[0], 0, own)
        return value


_Outcome = tuple[Any, Exception | None]


def processes_here(share: bool) -> Processes:
    """Those of the default group of torch.distributed; this one alone if they do not `share`."""
    if not (share and dist.is_available() and dist.is_initialized()):
        return Processes()
    return Processes(dist.get_rank(), dist.get_world_size())


def _tried(work: Callable[[], Any]) -> _Outcome:
    """What some work gives, and what it raises."""
    try:
        return work(), None
    except Exception as error:  # any: the others must hear of it
        return None, error


def _portable(outcome: _Outcome) -> _Outcome:
    """An outcome that can be pickled, whatever the error has in it."""
    value, error = outcome
    if error is None or isinstance(error, CogError):
        return value, error
    return None, CogError(f"{type(error).__name__}: {error}", "look at the error of that process")


def _value(outcome: _Outcome, rank: int, own: _Outcome) -> Any:
    """The value of the outcome of some process; raises its error, or the one of this process."""
    value, error = outcome
    if own[1] is not None:
        raise own[1]
    if isinstance(error, CogError):
        raise CogError(f"process {rank}: {error.what}", error.hint)
    return value
