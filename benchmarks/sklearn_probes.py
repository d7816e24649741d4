"""What a user of scikit-learn would pick in place of `LogisticProbe`, over the same penalties.

In: the training and test features of a probe. Out: a line a method, with seconds, processor seconds
and top-1. All have rows of length 1. The methods take turns on one more seed each.
- `LogisticProbe` holds out a fifth of each class, as it does by default, and once more without its
  early stop, so that it too tries all penalties.
- `LogisticRegression` at each penalty on the same part, and once more on all rows with the best.
- `LogisticRegressionCV` with its default of five folds.
Both with max_iter=1000, as the default of 100 ends early at weak penalties; `not_converged` counts
the fits that end there even so (of those that warn).
"""

from __future__ import annotations

import statistics
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.preprocessing import normalize

from cog.probes.data import ProbeData
from cog.probes.sampling import validation_split
from cog.recipe import SEEDS, Recipe
from cog.sklearn import LogisticProbe

PENALTIES = Recipe().lbfgs_decays
ITERATIONS = 1000
FOLDS = 5
X, Y = NDArray[np.float32], NDArray[np.int64]


def logistic_probe(x: X, y: Y, seed: int, early_stop: bool) -> tuple[Any, float]:
    """The probe of cog, and its penalty."""
    probe = LogisticProbe(random_state=seed, early_stop=early_stop).fit(x, y)
    return probe, probe.best_params_["penalty"]


def logistic_regression(x: X, y: Y, seed: int) -> tuple[Any, float]:
    """Each penalty on a part, judged on the rest, and the best on all rows."""
    part, held = validation_split(y, Recipe().validation_share, seed)

    def fit(rows: Y, penalty: float) -> LogisticRegression:
        C = 1 / (len(rows) * penalty)
        return LogisticRegression(C=C, max_iter=ITERATIONS).fit(x[rows], y[rows])

    scores = [fit(part, penalty).score(x[held], y[held]) for penalty in PENALTIES]
    best = PENALTIES[int(np.argmax(scores))]
    return fit(np.arange(len(y)), best), best


def logistic_regression_cv(x: X, y: Y, seed: int) -> tuple[Any, float]:
    """All penalties in five folds, which no seed draws."""
    rows = len(y) * (1 - 1 / FOLDS)
    cs = sorted(1 / (rows * penalty) for penalty in PENALTIES)
    model = LogisticRegressionCV(Cs=cs, cv=FOLDS, max_iter=ITERATIONS).fit(x, y)
    return model, 1 / (rows * float(np.ravel(model.C_)[0]))


METHODS: dict[str, Callable[[X, Y, int], tuple[Any, float]]] = {
    "LogisticProbe": lambda x, y, seed: logistic_probe(x, y, seed, early_stop=True),
    "LogisticProbe, all penalties": lambda x, y, seed: logistic_probe(x, y, seed, False),
    "LogisticRegression": logistic_regression,
    "LogisticRegressionCV": logistic_regression_cv,
}


def measure(
    data: ProbeData, repeats: int, clock: Callable[[], NDArray[np.float64]]
) -> Iterator[dict[str, Any]]:
    """The methods in turn, `repeats` times; `clock` gives seconds, on the wall and processor."""
    x, test_x = (normalize(each).astype(np.float32) for each in (data.train_x, data.test_x))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in METHODS}
    little = np.arange(0, len(x), max(len(x) // 200, 1))
    for turn in range(-1, repeats):
        for name, method in METHODS.items():
            rows = little if turn < 0 else np.arange(len(x))  # first on little, which imports all
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ConvergenceWarning)
                warnings.simplefilter("ignore", FutureWarning)  # of defaults to come
                begun = clock()
                model, penalty = method(x[rows], data.train_y[rows], SEEDS[turn % len(SEEDS)])
                times = clock() - begun
            missed = sum(issubclass(each.category, ConvergenceWarning) for each in caught)
            top1 = 100 * float(model.score(test_x, data.test_y))
            if turn >= 0:
                one = {"times": times, "top1": top1, "penalty": penalty, "missed": missed}
                found[name].append(one)
                print(name, times.round(1).tolist(), top1, penalty, missed, file=sys.stderr)
    first = [one["times"] for one in found["LogisticProbe"]]
    for name, own in found.items():
        yield {"benchmark": "sklearn", "method": name, **_line(own, first)}


def _line(own: Sequence[dict[str, Any]], first: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    times = np.array([one["times"] for one in own])
    ratios = (times / np.array(first))[:, 1]
    seconds, of_processor = np.median(times, axis=0).round(2).tolist()
    return {
        "seconds": seconds,
        "processor_seconds": of_processor,
        "processor_ratio": round(float(np.median(ratios)), 2),
        "processor_ratio_lowest": round(float(ratios.min()), 2),
        "processor_ratio_highest": round(float(ratios.max()), 2),
        "top1": round(statistics.fmean(one["top1"] for one in own), 3),
        "penalties": [float(f"{one['penalty']:.3g}") for one in own],
        "not_converged": [one["missed"] for one in own],
        "turns": len(own),
    }
