"""k nearest neighbours as an estimator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cog.errors import CogError
from cog.probes.data import ProbeResult
from cog.recipe import Recipe
from cog.sklearn.classifier import Floats, ProbeClassifier, numbers

COLDEST = 0.02
"""below it exp(cosine / temperature) soon leaves float32, in which k is chosen"""


class KNNProbe(ProbeClassifier):
    """The k samples of greatest cosine vote, each with exp(cosine / temperature).

    It keeps the samples of its fit, in their type.

    Args:
        neighbours: the k of which one is chosen; None for the recipe's.
        temperature: of the votes, from 0.02 up.
        validation_share: of the samples of each class that are held out to choose; at least one.
        random_state: decides which samples these are.
        device: where the work is done: "cpu", "cuda", …
    """

    probe = "knn"

    def __init__(
        self,
        neighbours: Sequence[int] | None = None,
        temperature: float = 0.07,
        *,
        validation_share: float = 0.2,
        random_state: Any = 22,
        device: str = "cpu",
    ) -> None:
        """Keep the parameters; `fit` looks at them."""
        self.neighbours, self.temperature, self.device = neighbours, temperature, device
        self.validation_share, self.random_state = validation_share, random_state

    def _asked(self) -> tuple[str, Recipe]:
        if not self.temperature >= COLDEST:
            raise CogError(
                f"expected a temperature from {COLDEST} up, found {self.temperature}",
                "try 0.07; neighbours=[1] has the nearest sample alone decide",
            )
        recipe = Recipe(validation_share=self.validation_share, knn_temperature=self.temperature)
        if self.neighbours is None:
            return "exact", recipe
        choices = numbers("neighbours", self.neighbours)
        if not all(k >= 1 and k == int(k) for k in choices):
            raise CogError(f"expected whole neighbours from 1, found {choices}", "try [1, 5, 20]")
        return "exact", replace(recipe, knn_neighbours=tuple(int(k) for k in choices))

    def _keep(self, result: ProbeResult, x: Floats, labels: NDArray[np.int64]) -> None:
        self._known = x, labels

    def _outputs(self, x: Floats) -> Iterator[Floats]:
        import torch

        from cog.probes.features import unit_features
        from cog.probes.knn import ASKED_AT_ONCE, class_votes
        from cog.probes.rows import work_device

        device, nothing = work_device(self.device), np.zeros(len(x), np.int64)
        known = unit_features(*self._known, device, torch.float64)
        asked = unit_features(x, nothing, device, torch.float64)
        k, n_classes = int(self.best_params_["k"]), len(self.classes_)
        for indices in torch.split(asked.rows, ASKED_AT_ONCE):
            rows, _ = asked.take(indices)
            yield class_votes(known, rows, k, n_classes, self.temperature).cpu().numpy()

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The share of each class in the votes: float64 [m, c]."""
        parts = [
            votes / votes.sum(axis=1, keepdims=True) for votes in self._outputs(self._checked(X))
        ]
        return np.concatenate(parts)
