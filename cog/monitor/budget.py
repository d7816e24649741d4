"""A time budget: how large a sample may be so that its evaluation keeps within some seconds.

- A sample is cut in a fixed order: first to half as many images a class, again and again down to
  two; then datasets are left out, the last one first.
- Before the first evaluation a few batches are timed, and the probes' own estimates of their cost
  added: the largest sample is taken that needs at most `SAFE` of the budget.
- If an evaluation is slower than that, the datasets that would exceed the budget are left out of
  it, and later evaluations have a smaller sample. It never grows again, so that what a run logs
  changes its meaning as seldom as can be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

SAFE = 0.8
ONCE = 0.05  # of the budget, for a dataset: what is done once, such as imports, makes nothing slow
LEAST = 2  # images a class: one to learn from, one to choose settings on


@dataclass(frozen=True)
class Size:
    """How much of a sample is evaluated."""

    per_class: int
    datasets: int


def sizes(per_class: int, datasets: int) -> tuple[Size, ...]:
    """The sizes that a sample may have, the largest first.

    >>> [(size.per_class, size.datasets) for size in sizes(10, 3)]
    [(10, 3), (5, 3), (2, 3), (2, 2), (2, 1)]
    """
    counts = [per_class]
    while counts[-1] // 2 >= LEAST:
        counts.append(counts[-1] // 2)
    fewer = [Size(counts[-1], left) for left in range(datasets - 1, 0, -1)]
    return (*(Size(count, datasets) for count in counts), *fewer)


@dataclass
class Budget:
    """The size that keeps within `seconds`; without a number of seconds, the largest."""

    seconds: float | None
    sizes: tuple[Size, ...]
    estimate: Callable[[int, int], float] | None = field(default=None, init=False)
    """seconds of a dataset, by its number, at so many images a class; once batches were timed"""
    slower: float = field(default=1.0, init=False)
    """how many times as long as estimated an evaluation took"""
    index: int = field(default=0, init=False)

    @property
    def size(self) -> Size:
        """The size of the next evaluation."""
        return self.sizes[self.index]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many images a class there may be, the largest number first."""
        return tuple(dict.fromkeys(size.per_class for size in self.sizes))

    @property
    def is_open(self) -> bool:
        """Whether there is a budget, and nothing was timed yet."""
        return self.seconds is not None and self.estimate is None

    def start(self, estimate: Callable[[int, int], float]) -> None:
        """Choose a size by an estimate of the seconds of its datasets."""
        self.estimate = estimate
        self._shrink(SAFE)

    def has_time_for(self, number: int, elapsed: float) -> bool:
        """Whether a dataset keeps within the budget, after `elapsed` seconds; the first always."""
        if self.seconds is None or self.estimate is None or not number:
            return True
        return elapsed + self.slower * self.estimate(number, self.size.per_class) <= self.seconds

    def learn(self, number: int, measured: float) -> None:
        """Take in how many seconds a dataset took; the slowest counts."""
        if self.seconds is not None and self.estimate is not None:
            estimated = self.estimate(number, self.size.per_class)
            beyond_start = measured - ONCE * self.seconds
            self.slower = max(self.slower, beyond_start / max(estimated, 1e-9))

    def end(self, elapsed: float, whole: bool) -> None:
        """Take a smaller size if an evaluation took longer than the budget, or was not `whole`."""
        if self.seconds is not None and (elapsed > self.seconds or not whole):
            self.index = min(self.index + 1, len(self.sizes) - 1)
            self._shrink(SAFE)

    def _shrink(self, share: float) -> None:
        """Go on to the largest size that needs at most this share of the budget, or to the last."""
        assert self.seconds is not None
        assert self.estimate is not None
        while self.index < len(self.sizes) - 1:
            size = self.size
            needed = sum(self.estimate(number, size.per_class) for number in range(size.datasets))
            if self.slower * needed <= share * self.seconds:
                return
            self.index += 1
