"""What all probes as estimators share: checked input, the fit, what was tried, and the answers.

In: X [n, d] of floats and n labels of any kind. Out: an estimator that was fitted by the probe's
entry in `PROBES`, as `cog evaluate` fits it. Answers are made in float64 from the float32 layer or
the features of the fit, so that they do not depend on how many rows are asked about at once.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from cog.errors import CogError
from cog.probes.data import ProbeData, ProbeResult, ProbeSettings
from cog.probes.table import PROBES
from cog.recipe import Recipe
from cog.rounding import require_fit

Floats = NDArray[np.floating[Any]]
SCORE = "validation_top1"
_TYPES = (np.float64, np.float32, np.float16)  # other numbers become the first
_NAMES = {"wd": "penalty"}  # the column of results.csv, and the parameter here


class ProbeClassifier(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A probe that scikit-learn can fit. A class of its own has parameters, `_asked` and `_keep`.

    Attributes of all: `classes_`, `n_features_in_`, `feature_names_in_`, `best_params_` and
    `cv_results_`, which is laid out as that of `GridSearchCV`, with one split.
    """

    probe: str
    """its name in `PROBES`"""
    random_state: Any
    device: str
    classes_: NDArray[Any]

    @abstractmethod
    def _asked(self) -> tuple[str, Recipe]:
        """The solver, and the recipe that the parameters make."""

    @abstractmethod
    def _keep(self, result: ProbeResult, x: Floats, labels: NDArray[np.int64]) -> None:
        """Keep what answers need."""

    @abstractmethod
    def _outputs(self, x: Floats) -> Iterator[Floats]:
        """An output for each of c classes, the highest of the answer: float64 blocks [b, c]."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> ProbeClassifier:
        """Choose hyper-parameters on a part of the samples of each class, then fit on all.

        Args:
            X: [n, d], float16, float32 or float64; other numbers become float64.
            y: [n], labels of any kind that can be sorted; at least two different ones.

        Raises:
            ValueError: X or y that no probe can learn from, a parameter that is none, or no class
                of two samples where one has to validate.
            TypeError: X is sparse.
        """
        x, y = validate_data(self, X, y, dtype=_TYPES, order="C", ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("expected labels of at least two classes, found one class")
        labels = labels.astype(np.int64)
        try:
            result = self._fitted(x, labels)
        except CogError as error:
            raise ValueError(str(error)) from error
        for note in result.notes:
            warnings.warn(note, stacklevel=2)
        if not all(trial.get("converged", True) for trial in result.trials):
            warnings.warn("a fit of the search did not converge", ConvergenceWarning, stacklevel=2)
        self.best_params_ = _named(result.hyper)
        self.cv_results_ = _as_cv_results(result.trials, tuple(result.hyper))
        self._keep(result, x, labels)
        return self

    def _fitted(self, x: Floats, labels: NDArray[np.int64]) -> ProbeResult:
        settings = self._settings()
        require_fit(x, "float32", "X")
        if PROBES[self.probe].columns and np.bincount(labels).max() < 2:
            raise CogError(
                "expected a class of at least two samples, of which one is held out to choose by, "
                "found one sample of each class",
                "give more samples, or take NearestMeanProbe, which chooses nothing",
            )
        data = ProbeData(x, labels, x[:1], labels[:1], len(self.classes_))
        return PROBES[self.probe].fit(data, settings, lambda done, total: None)

    def _settings(self) -> ProbeSettings:
        solver, recipe = self._asked()
        return ProbeSettings(solver, None, _seed(self.random_state), recipe, _there(self.device))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class of the highest output of each row of X [m, d]; of equal ones the first: [m]."""
        answers = [outputs.argmax(axis=1) for outputs in self._outputs(self._checked(X))]
        predicted: NDArray[Any] = self.classes_[np.concatenate(answers)]
        return predicted

    def _checked(self, X: ArrayLike) -> Floats:
        """X as an array of the features of the fit."""
        check_is_fitted(self)
        checked: Floats = validate_data(self, X, reset=False, dtype=_TYPES, order="C")
        return checked


def numbers(name: str, given: Sequence[float]) -> tuple[Any, ...]:
    """What a parameter lists.

    Raises:
        CogError: no numbers, or one that is negative or not finite.
    """
    chosen = np.asarray(given).ravel().tolist()
    if not chosen or not all(
        isinstance(each, int | float) and 0 <= each < np.inf for each in chosen
    ):
        raise CogError(
            f"expected {name} of at least one number, none below 0, found {given!r}",
            "give a list of numbers, or None for those of the recipe",
        )
    return tuple(chosen)


def _there(device: str) -> str:
    """A device that can be used.

    Raises:
        CogError: torch does not know it, or does not find it here.
    """
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise CogError(f"the device {device!r} cannot be used: {reason}", "try cpu") from error
    return device


def _seed(random_state: Any) -> int:
    """An int as it is; None and generators draw one, as everywhere in scikit-learn."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def _named(hyper: dict[str, float]) -> dict[str, float]:
    return {_NAMES.get(name, name): value for name, value in hyper.items()}


def _as_cv_results(trials: Sequence[dict[str, float]], names: tuple[str, ...]) -> dict[str, Any]:
    """What was tried, in the layout of `GridSearchCV` with one split; scores from 0 to 1."""
    scores = np.array([trial[SCORE] / 100 for trial in trials])
    params = [_named({name: trial[name] for name in names}) for trial in trials]
    columns = (_NAMES.get(name, name) for name in names)
    ranks = [1 + int((scores > score).sum()) for score in scores]
    return {
        **{f"param_{name}": np.array([each[name] for each in params]) for name in columns},
        "params": params,
        "split0_test_score": scores,
        "mean_test_score": scores,
        "rank_test_score": np.array(ranks, np.int32),
    }
