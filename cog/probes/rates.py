"""Learning rates: a few are tried, each judged on the validation images, and the best fits last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor

from cog.errors import CogError
from cog.probes.search import SCORE, Trial


def try_rates(
    rates: Sequence[float],
    score: Callable[[Sequence[float]], Iterable[float]],
    together: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Trial]:
    """A trial of every rate, in order.

    Args:
        rates: to be tried.
        score: takes some of them and gives for each its top-1 on the validation images in percent.
        together: how many it takes at once, at most.
        progress: called with the number of trials that are done.
    """
    trials: list[Trial] = []
    for start in range(0, len(rates), together):
        group = rates[start : start + together]
        trials += [{"lr": lr, SCORE: top1} for lr, top1 in zip(group, score(group), strict=True)]
        progress(len(trials))
    return trials


def refuse_divergence(weights: Iterable[Tensor], rate: str, hint: str) -> None:
    """Refuse a final fit whose weights are not finite.

    Args:
        weights: all that were fitted.
        rate: the rate of the fit, for people.
        hint: what to type.

    Raises:
        CogError: it diverged.
    """
    if not all(each.isfinite().all() for each in weights):
        raise CogError(f"the final fit diverged with a {rate}", hint)
