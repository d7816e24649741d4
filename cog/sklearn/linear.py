"""The linear probes as estimators: logistic and ridge regression, and the nearest class mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cog.errors import CogError
from cog.probes.data import ProbeResult
from cog.probes.head import Head
from cog.recipe import Recipe
from cog.sklearn.classifier import Floats, ProbeClassifier, numbers

_OF_RECIPE = {
    "penalties": "lbfgs_decays",
    "early_stop": "lbfgs_early_stop",
    "bias_decays": "lbfgs_bias_decays",
    "tol": "lbfgs_tolerance",
    "trials": "trials",
    "epochs": "epochs",
}  # the fields of the parameters that one solver alone uses


class LinearProbe(ProbeClassifier):
    """A probe whose fit is a layer.

    Attributes: `head_` (`cog.probes.head.Head`), `coef_` float32 [c, d] and `intercept_` [c]; of
    two classes they are those of the second less those of the first, [1, d] and [1]. They act on
    features as `norm` scales them.
    """

    head_: Head
    coef_: NDArray[np.float32]
    intercept_: NDArray[np.float32]

    def _keep(self, result: ProbeResult, x: Floats, labels: NDArray[np.int64]) -> None:
        assert result.head is not None
        if not np.isfinite(result.head.layer).all():
            raise ValueError(
                f"the fit is not finite with {self.best_params_}: give other penalties"
            )
        self.head_ = result.head
        layer = result.head.layer
        layer = layer[1:] - layer[:1] if len(layer) == 2 else layer
        self.coef_, self.intercept_ = layer[:, :-1], layer[:, -1]

    def _outputs(self, x: Floats) -> Iterator[Floats]:
        import torch

        from cog.probes.rows import head_features, work_device

        device, nothing = work_device(self.device), np.zeros(len(x), np.int64)
        features = head_features(self.head_, x, nothing, device, torch.float64)
        layer = torch.tensor(self.head_.layer).to(features.scale)
        for rows, _ in features.blocks(len(layer)):
            yield (rows @ layer.T).cpu().numpy()

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """The output of each class, float64 [m, c]; of two the second's less the first's: [m]."""
        outputs = np.concatenate(list(self._outputs(self._checked(X))))
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The softmax of the outputs: float64 [m, c]. The greatest is that of `predict`.

        `LogisticProbe` is fitted so that these are probabilities. Those of the other probes have
        the order of the outputs and are not calibrated.
        """
        parts = []
        for outputs in self._outputs(self._checked(X)):
            shares = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            parts.append(shares / shares.sum(axis=1, keepdims=True))
        return np.concatenate(parts)


class LogisticProbe(LinearProbe):
    """Softmax regression, the probe `logreg`: mean cross-entropy + penalty/2 · (|W|² + |b|²).

    scikit-learn's `LogisticRegression` has C = 1 / (n · penalty), or 2 / (n · penalty) of two
    classes, and `bias_decays=False`.

    Args:
        solver: "lbfgs", or the official "sgd".
        penalties: tried by L-BFGS from the strongest to the weakest; None for the recipe's. SGD
            draws them, and learning rates, from the recipe's range.
        norm: "l2" (rows of length 1), "none", or "standard" (columns of mean 0 and variance 1).
        early_stop: of L-BFGS: try no weaker penalty once the accuracy on the samples that are held
            out has fallen by its standard error. None for the recipe's, which does.
        bias_decays: of L-BFGS: whether |b|² is penalised. None for the recipe's, in which it is.
        tol: of L-BFGS: end where the next step promises less than this share of the objective.
        trials: of SGD: how many settings the search tries.
        epochs: of SGD: how often a fit sees each sample.
        validation_share: of the samples of each class that are held out to choose; at least one.
        random_state: decides which samples these are and, of SGD, all that is drawn.
        device: where the work is done: "cpu", "cuda", …
    """

    probe = "logreg"

    def __init__(
        self,
        solver: str = "lbfgs",
        penalties: Sequence[float] | None = None,
        norm: str = "l2",
        *,
        early_stop: bool | None = None,
        bias_decays: bool | None = None,
        tol: float | None = None,
        trials: int | None = None,
        epochs: int | None = None,
        validation_share: float = 0.2,
        random_state: Any = 22,
        device: str = "cpu",
    ) -> None:
        """Keep the parameters, as scikit-learn wants it; `fit` looks at them."""
        self.solver, self.penalties, self.norm = solver, penalties, norm
        self.early_stop, self.bias_decays, self.tol = early_stop, bias_decays, tol
        self.trials, self.epochs = trials, epochs
        self.validation_share, self.random_state = validation_share, random_state
        self.device = device

    def _asked(self) -> tuple[str, Recipe]:
        of_lbfgs = {
            name: getattr(self, name) for name in ("penalties", "early_stop", "bias_decays", "tol")
        }
        of_sgd = {"trials": self.trials, "epochs": self.epochs}
        own, other = (of_sgd, of_lbfgs) if self.solver == "sgd" else (of_lbfgs, of_sgd)
        if ignored := [name for name, value in other.items() if value is not None]:
            raise CogError(
                f"the solver {self.solver} does not use {', '.join(ignored)}",
                "leave these None, or give the other solver",
            )
        given: dict[str, Any] = {
            _OF_RECIPE[name]: value for name, value in own.items() if value is not None
        }
        if self.penalties is not None:
            given["lbfgs_decays"] = numbers("penalties", self.penalties)
        if self.tol is not None:
            numbers("tol", [self.tol])
        for name, value in of_sgd.items():
            if value is not None and not (isinstance(value, int | np.integer) and value >= 1):
                raise CogError(f"expected {name} from 1 up, found {value!r}", "give a whole number")
        return self.solver, Recipe(norm=self.norm, validation_share=self.validation_share, **given)


class RidgeProbe(LinearProbe):
    """Ridge regression on the classes as 0 and 1: |Y − XW − b|²/n + penalty · |W|².

    scikit-learn's `RidgeClassifier` has alpha = n · penalty. `predict_proba` is not calibrated:
    outputs lie near 0 and 1, so their softmax is far from certain even where the answer is right.
    `sklearn.calibration.CalibratedClassifierCV` makes probabilities of them. A fit takes time that
    grows with d³, however few samples there are.

    Args:
        penalties: all are tried; None for the recipe's.
        norm: "l2" (rows of length 1), "none", or "standard" (columns of mean 0 and variance 1).
        validation_share: of the samples of each class that are held out to choose; at least one.
        random_state: decides which samples these are.
        device: where the work is done: "cpu", "cuda", …
    """

    probe = "ridge"

    def __init__(
        self,
        penalties: Sequence[float] | None = None,
        norm: str = "l2",
        *,
        validation_share: float = 0.2,
        random_state: Any = 22,
        device: str = "cpu",
    ) -> None:
        """Keep the parameters; `fit` looks at them."""
        self.penalties, self.norm, self.validation_share = penalties, norm, validation_share
        self.random_state, self.device = random_state, device

    def _asked(self) -> tuple[str, Recipe]:
        recipe = Recipe(norm=self.norm, validation_share=self.validation_share)
        if self.penalties is None:
            return "exact", recipe
        penalties = numbers("penalties", self.penalties)
        if 0 in penalties:
            raise CogError("expected penalties above 0, found 0", "give a small one, e.g. 1e-8")
        return "exact", replace(recipe, ridge_penalties=penalties)


class NearestMeanProbe(LinearProbe):
    """The class whose mean of unit features is nearest by cosine; nothing is chosen or held out.

    `best_params_` is empty. `predict_proba` is not calibrated: it is the softmax of cosines, which
    differ by 2 at the most. `sklearn.calibration.CalibratedClassifierCV` makes probabilities of
    them.

    Args:
        device: where the work is done: "cpu", "cuda", …
    """

    probe = "ncm"
    random_state = 0  # nothing is drawn

    def __init__(self, *, device: str = "cpu") -> None:
        """Keep the parameter; `fit` looks at it."""
        self.device = device

    def _asked(self) -> tuple[str, Recipe]:
        return "exact", Recipe()
