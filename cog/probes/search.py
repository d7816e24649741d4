"""Choosing hyper-parameters: Optuna proposes, a validation score judges, every trial is kept.

- The sampler is the protocol's: a multivariate TPE with the probe's seed (public code: logreg.py).
- Trials come in rounds. Rounds of one are the official order: each proposal uses all results before
  it. In longer rounds Optuna's constant liar keeps the proposals apart.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import optuna
from torch import Tensor

SCORE = "validation_top1"

Trial = dict[str, float]
"""settings by their names, and the score under `SCORE` once there is one"""


class Found(NamedTuple):
    """What a search found."""

    trials: list[Trial]
    best: Trial
    """the settings of the final fit"""
    layer: Tensor
    """[c, d + 1] of the final fit"""
    notes: tuple[str, ...]
    """what the user should know, a line each"""


def search(
    score: Callable[[Sequence[Trial]], Sequence[float]],
    ranges: Mapping[str, tuple[float, float]],
    n_trials: int,
    seed: int,
    per_round: int = 1,
    progress: Callable[[int], None] = lambda done: None,
    multivariate: bool = True,
) -> list[Trial]:
    """Try settings, later ones near those that did well; gives every trial in order.

    Args:
        score: takes the settings of one round and gives for each its top-1 on the validation
            images in percent; one that is not finite counts 0.
        ranges: name → (low, high), each drawn log-uniformly.
        n_trials: how many in all.
        seed: of the sampler.
        per_round: trials that are proposed before any of them is scored.
        progress: called after each round with the number of trials that are done.
        multivariate: whether TPE takes settings together, as the protocol does; one setting alone
            is often searched by the plain TPE.
    """
    trials: list[Trial] = []
    with _quiet_optuna():
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=multivariate, constant_liar=per_round > 1
        )
        study = optuna.create_study(sampler=sampler, direction="maximize")
        while len(trials) < n_trials:
            asked = [study.ask() for _ in range(min(per_round, n_trials - len(trials)))]
            proposed = [
                {name: trial.suggest_float(name, *ends, log=True) for name, ends in ranges.items()}
                for trial in asked
            ]
            scores = [value if math.isfinite(value) else 0.0 for value in score(proposed)]
            for trial, settings, value in zip(asked, proposed, scores, strict=True):
                study.tell(trial, value)
                trials.append({**settings, SCORE: value})
            progress(len(trials))
    return trials


def best_trial(trials: Sequence[Trial], *, middle: bool = False) -> Trial:
    """The trial with the highest score; of equal ones the first, or the middle one.

    >>> best_trial([{"wd": 1.0, SCORE: 5.0}, {"wd": 2.0, SCORE: 7.0}, {"wd": 3.0, SCORE: 7.0}])
    {'wd': 2.0, 'validation_top1': 7.0}
    """
    highest = max(trial[SCORE] for trial in trials)
    best = [trial for trial in trials if trial[SCORE] == highest]
    return best[len(best) // 2 if middle else 0]


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """No log lines and no warnings about experimental options, until the block ends."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
