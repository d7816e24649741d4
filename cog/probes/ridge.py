"""Ridge regression on the classes as 0 and 1: a closed form for every penalty.

- W minimises |Y − XW − b|²/n + penalty · |W|² on unit features. The bias b is not penalised: it
  follows from centring both sides. A class without training images comes last.
- The covariance of the features is decomposed once, V diag(e) Vᵀ; for each penalty W is then
  V diag(1 / (e + penalty)) Vᵀ times the covariance with the classes. Covariances are made in
  float64: small eigenvalues matter under small penalties, and float32 would lose them.
- The penalty is chosen on the validation images. The final fit decomposes anew, except with N
  shots, where its images are those of the search.
Source: Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, sections 3.4.1 and 4.2;
scikit-learn's Ridge has alpha = n · penalty. Cost: 2·n·d² + 9·d³ operations in float64, twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cog.probes.cost import ProbeSize, seconds_for
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.features import UnitFeatures
from cog.probes.metrics import percent_within
from cog.probes.ncm import class_sums
from cog.probes.ranks import layer_places, layer_ranks
from cog.probes.rows import parts_of
from cog.probes.search import SCORE, Trial, best_trial


def ridge(
    data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched
) -> ProbeResult:
    """Choose the penalty on validation images, fit once more, score the test images.

    Raises:
        CogError: data that no probe can learn from, or no image to validate on.
    """
    parts = parts_of(data, settings)
    search = _decompose(parts.search, data.n_classes)
    trials: list[Trial] = []
    penalties = settings.recipe.ridge_penalties
    for penalty in penalties:
        ranks = layer_ranks(search.layer(penalty), parts.validation)
        trials.append({"penalty": penalty, SCORE: percent_within(ranks, 1)})
        progress(len(trials), len(penalties) + 1)
    best = best_trial(trials)["penalty"]
    same = torch.equal(parts.final.rows, parts.search.rows)
    final = search if same else _decompose(parts.final, data.n_classes)
    layer = final.layer(best)
    placed = layer_places(layer, parts.test)
    progress(len(penalties) + 1, len(penalties) + 1)
    return parts.result(placed, {"penalty": best}, trials, layer=layer)


def cost(size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds of a fit, roughly: two decompositions, and scores of the validation images."""
    recipe = settings.recipe
    decomposition = 2.0 * size.n_train * size.dim**2 + 9.0 * size.dim**3
    scores = 2.0 * recipe.validation_share * size.n_train * size.dim * size.n_classes
    return seconds_for(2 * decomposition + scores * len(recipe.ridge_penalties), settings)


@dataclass(frozen=True)
class _Decomposed:
    """The decomposed covariances of some images, which serve every penalty; float64."""

    values: Tensor  # [d], eigenvalues of the features' covariance
    vectors: Tensor  # [d, d], in columns
    turned: Tensor  # [d, c], Vᵀ times the covariance of features and classes
    mean: Tensor  # [d], of the features
    share: Tensor  # [c], of the images
    dtype: torch.dtype

    def layer(self, penalty: float) -> Tensor:
        """Weights and, in the last column, biases: [c, d + 1]."""
        weights = self.vectors @ (self.turned / (self.values + penalty)[:, None])
        bias = (self.share - self.mean @ weights).where(self.share > 0, -torch.inf)
        return torch.cat([weights.T, bias[:, None]], dim=1).to(self.dtype)


def _decompose(features: UnitFeatures, n_classes: int) -> _Decomposed:
    n, dim = len(features), features.width - 1
    sums, counts = class_sums(features, n_classes)
    moment = torch.zeros(dim, dim, dtype=torch.float64, device=sums.device)
    for x, _ in features.blocks(dim):
        exact = x[:, :-1].double()
        moment.addmm_(exact.T, exact)
    mean, share = sums.sum(0) / n, counts.double() / n
    covariance = moment / n - torch.outer(mean, mean)
    with_classes = (sums / n).T - torch.outer(mean, share)
    values, vectors = torch.linalg.eigh(covariance)
    return _Decomposed(
        values.clamp_min(0), vectors, vectors.T @ with_classes, mean, share, features.scale.dtype
    )
