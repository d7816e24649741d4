"""The probes of an evaluation: features of a sample in, the numbers of the dict out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.monitor.sample import Rows, Sample
from cog.probes.cost import ProbeSize
from cog.probes.data import ProbeData, ProbeSettings, unwatched
from cog.probes.metrics import METRICS
from cog.probes.settings import Probing
from cog.probes.table import PROBES, scored
from cog.recipe import Recipe


@dataclass(frozen=True)
class Probes:
    """Which probes are fitted, and what is said of each."""

    probing: Probing
    recipe: Recipe
    metrics: tuple[str, ...]

    def key(self, dataset: str, probe: str, metric: str) -> str:
        """What the dict calls a number: cog/L1/knn/top1."""
        return f"cog/{dataset}/{probe}/{metric}"

    def undefined(self, sample: Sample) -> dict[str, float]:
        """The numbers of a sample whose features are not finite: NaN."""
        probes, metrics = self.probing.probes, self.metrics
        return {self.key(sample.name, probe, each): np.nan for probe in probes for each in metrics}

    def fit(
        self,
        sample: Sample,
        rows: Rows,
        features: NDArray[np.float32],
        device: str,
        notify: Callable[[str], None],
    ) -> dict[str, float]:
        """Fit every probe on the training rows, and score it on the test rows.

        `rows`: which rows of the sample the features [m, d] are of. `notify` takes what the user
        should know of a fit.
        """
        trains, y = rows < sample.n_train, sample.labels[rows]
        x = features
        data = ProbeData(x[trains], y[trains], x[~trains], y[~trains], sample.n_classes)
        figures: dict[str, float] = {}
        for probe, settings in self._settings(device):
            result = PROBES[probe].fit(data, settings, unwatched)
            own = scored(probe, data.test_y)
            ranks, labels = result.ranks[own], data.test_y[own]
            for metric in self.metrics:
                value = METRICS[metric](ranks, labels, data.n_classes)
                figures[self.key(sample.name, probe, metric)] = value
            for note in result.notes:
                notify(f"{sample.name} {probe}: {note}")
        return figures

    def seconds(self, sample: Sample, rows: Rows, dim: int, device: str) -> float:
        """What `fit` takes, roughly, by the probes' own estimates."""
        n_train = int((rows < sample.n_train).sum())
        size = ProbeSize(n_train, len(rows) - n_train, dim, sample.n_classes)
        return sum(PROBES[probe].cost(size, each) for probe, each in self._settings(device))

    def _settings(self, device: str) -> Sequence[tuple[str, ProbeSettings]]:
        return [
            (probe, ProbeSettings(solver, shots, seed, self.recipe, device))
            for probe, solver, shots, seed in self.probing.results()
        ]
