"""Which probes are fitted on features, and the row of results that each gives.

Shared by `cog evaluate`, which has pictures, and `cog probe`, which has any features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError, unknown_name
from cog.feature_files import FeatureSet
from cog.probes import PROBES, SEED_DECIDES, SOLVERS, ProbeData, ProbeResult, ProbeSettings
from cog.recipe import SEEDS, Recipe
from cog.scores import bootstrap_interval, mean_per_class

FREE = ("knn", "ncm")  # fitted beside logreg; with all pictures a seed decides next to nothing
VALIDATIONS = ("official", "within")
RECIPE_OPTIONS = ("trials_per_round", "sgd_early_stop", "products", "lbfgs_early_stop")
"""fields of the recipe that are options of the commands"""


@dataclass(frozen=True)
class Probing:
    """Which probes a run fits on the features."""

    probes: tuple[str, ...] = ("logreg", *FREE)
    solver: str = "sgd"
    shots: tuple[int | None, ...] = (None,)  # pictures a class to train on; None: all
    shots_validation: str = "official"
    seeds: tuple[int, ...] = SEEDS

    def __post_init__(self) -> None:
        """Refuse names that no probe has."""
        for probe in self.probes:
            if probe not in PROBES:
                raise unknown_name("probe", probe, PROBES)
        known = [solver for probe in PROBES for solver in SOLVERS[probe]]
        if self.solver not in known:
            raise unknown_name("solver", self.solver, known)
        if self.shots_validation not in VALIDATIONS:
            raise unknown_name("shots validation", self.shots_validation, VALIDATIONS)
        for seed in self.seeds:
            if not 0 <= seed < 2**32:
                raise CogError(f"a seed of {seed}", "give --seeds from 0 up to 4294967295")

    def solver_of(self, probe: str) -> str:
        """The solver asked for where the probe has it, else the probe's own."""
        return self.solver if self.solver in SOLVERS[probe] else SOLVERS[probe][0]

    def results(self) -> Iterator[tuple[str, str, int | None, int]]:
        """Probe, solver, shots and seed of every result.

        With all pictures, k-NN and the nearest mean are fitted for the first seed alone.
        """
        for probe in self.probes:
            for shots in self.shots:
                once = probe in FREE and shots is None
                for seed in self.seeds[:1] if once else self.seeds:
                    yield probe, self.solver_of(probe), shots, seed


def outcome(
    result: ProbeResult, data: ProbeData, probe: str, solver: str, recipe: Recipe
) -> dict[str, Any]:
    """What a result says of the test pictures, for a row: accuracies in percent.

    The interval is a bootstrap over the test pictures. `seed_decides` says what the spread over
    seeds is a spread of: where that is the search alone, the interval is the error to look at.
    """
    low, high = bootstrap_interval(result.ranks)
    return {
        "top1": result.top1,
        "top5": result.top5,
        "mean_class": mean_per_class(result.ranks, data.test_y, data.n_classes),
        "top1_low": low,
        "top1_high": high,
        **result.hyper,
        "n_train": result.n_train,
        "n_validation": result.n_validation,
        "n_test": len(data.test_y),
        "dim": data.train_x.shape[1],
        "seed_decides": SEED_DECIDES[probe, solver],
        "trials_per_round": recipe.trials_per_round if solver == "sgd" else None,
        "products": recipe.products if solver == "sgd" else "float32",
        "seconds": result.seconds,
    }


def probe_features(
    train: FeatureSet,
    test: FeatureSet,
    probing: Probing,
    recipe: Recipe,
    device: str,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Fit the probes on any features; a row a result, as each is done.

    The classes are the labels 0 … the largest of both sets. `progress` gives, for a label, what is
    told (done, total).

    Raises:
        CogError: features that cannot be learnt from.
    """
    n_classes = 1 + max(int(y.max(initial=0)) for y in (train.y, test.y))
    data = ProbeData(train.x, train.y, test.x, test.y, n_classes)
    for probe, solver, shots, seed in probing.results():
        settings = ProbeSettings(solver, shots, seed, recipe, device, probing.shots_validation)
        shots_name: int | str = "all" if shots is None else shots
        told = progress(f"{probe} {shots_name} seed {seed}") if progress else None
        result = PROBES[probe](data, settings, told)
        key = {"probe": probe, "solver": solver, "shots": shots_name, "seed": seed}
        yield key | {"n_classes": n_classes} | outcome(result, data, probe, solver, recipe)


def class_rows(
    accuracies: NDArray[np.float64], counts: NDArray[np.integer], wnids: Sequence[str]
) -> Iterator[str]:
    """Lines of a table: each class, its number of test pictures, and top-1 in percent."""
    yield "wnid,n_test,top1"
    for wnid, count, accuracy in zip(wnids, counts, accuracies, strict=True):
        yield f"{wnid},{count},{'' if count == 0 else f'{accuracy:.6g}'}"
