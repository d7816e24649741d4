"""k nearest neighbours by cosine, their votes weighted by how near they are.

- The k training images of greatest cosine each vote for their class with exp(cosine /
  temperature), and the votes of a class are added up. Classes without a vote come after all that
  have one, in the order of their nearest images, so that top-5 means the same for every k: with
  k = 1 it says whether the right class is among the five nearest. Classes without images are last.
- k is chosen on the validation images, or on an even 20,000 of them, in one pass for all k; then
  the neighbours of the test images are sought among the images of the final fit.
Source: Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", CVPR
2018, section 3.4, and DINO (Caron et al., ICCV 2021, section 3.2; eval_knn.py), which tries k = 10,
20, 100 and 200, and counts min(k, 5) classes as its top-5.
Cost: 2·n·m·d operations for the neighbours of m images among n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cog.errors import CogError
from cog.probes.cost import ProbeSize, seconds_for
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.features import UnitFeatures
from cog.probes.metrics import percent_within
from cog.probes.ranks import Placed, highest_classes, output_ranks
from cog.probes.rows import parts_of
from cog.probes.search import SCORE, Trial, best_trial

ASKED_AT_ONCE = 1024  # images whose neighbours are sought together


def knn(data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched) -> ProbeResult:
    """Choose k on validation images, then classify the test images.

    `progress` counts images whose neighbours were sought.

    Raises:
        CogError: data that no probe can learn from, no image to validate on, or fewer images than
            the smallest k.
    """
    parts = parts_of(data, settings, norm="l2")
    recipe, rows = settings.recipe, parts.validation.rows
    judged = replace(parts.validation, rows=rows[:: math.ceil(len(rows) / recipe.knn_validation)])
    parts = replace(parts, validation=judged)
    before, total = len(judged), len(judged) + len(parts.test)
    choices = [k for k in recipe.knn_neighbours if k <= len(parts.search)]
    if not choices:
        raise CogError(
            f"expected a k of at most {len(parts.search)}, the images to search among, "
            f"found {min(recipe.knn_neighbours)} as the smallest",
            "give more images, or a smaller k",
        )
    ranks_of = partial(
        neighbour_ranks, n_classes=data.n_classes, temperature=recipe.knn_temperature
    )
    found = ranks_of(
        parts.search, judged, choices, beyond_votes=False,
        progress=lambda done: progress(done, total),
    )  # fmt: skip
    trials: list[Trial] = [
        {"k": k, SCORE: percent_within(ranks, 1)} for k, ranks in zip(choices, found, strict=True)
    ]
    k = int(best_trial(trials)["k"])
    highest: list[Tensor] = []
    (ranks,) = ranks_of(
        parts.final, parts.test, [k], progress=lambda done: progress(before + done, total),
        highest=highest,
    )  # fmt: skip
    return parts.result(Placed(ranks, torch.cat(highest).numpy()), {"k": k}, trials)


def cost(size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds of a fit, roughly: the cosines of its search and of the test images."""
    recipe = settings.recipe
    held = recipe.validation_share * size.n_train
    pairs = (size.n_train - held) * min(held, recipe.knn_validation) + size.n_train * size.n_test
    return seconds_for(2.0 * size.dim * pairs, settings)


def neighbour_ranks(
    known: UnitFeatures,
    asked: UnitFeatures,
    choices: Sequence[int],
    n_classes: int,
    temperature: float,
    progress: Callable[[int], None],
    beyond_votes: bool = True,
    highest: list[Tensor] | None = None,
) -> list[NDArray[np.int64]]:
    """For each k the rank of the right class of every image in `asked`.

    Not `beyond_votes`: that of a class without a vote counts all with one, and is otherwise open.
    `highest` takes the classes that come first, of the last k, block by block.
    """
    ranks = torch.empty(len(choices), len(asked), dtype=torch.int64)
    for indices in torch.split(torch.arange(len(asked)), ASKED_AT_ONCE):
        x, y = asked.take(indices.to(asked.rows.device))
        near = _nearest(known, x, max(choices), n_classes if beyond_votes else None)
        weights = torch.exp(near.cosine / temperature)
        for row, k in zip(ranks, choices, strict=True):
            votes = _votes(near.classes[:, :k], weights[:, :k], n_classes)
            row[indices] = _ranks_of_votes(votes, near.of_class, y).cpu()
        if highest is not None and near.of_class is not None:
            highest.append(_highest_of_votes(votes, near.of_class).cpu())
        progress(int(indices[-1]) + 1)
    return list(ranks.numpy())


def class_votes(
    known: UnitFeatures, x: Tensor, k: int, n_classes: int, temperature: float
) -> Tensor:
    """The votes [b, c] for each class by the k images that are nearest to unit rows [b, d + 1]."""
    near = _nearest(known, x, k, None)
    return _votes(near.classes, torch.exp(near.cosine / temperature), n_classes)


def _votes(classes: Tensor, weights: Tensor, n_classes: int) -> Tensor:
    """The sums [b, c] of the weights [b, k] of each class."""
    return weights.new_zeros(len(weights), n_classes).scatter_add_(1, classes, weights)


def _ranks_of_votes(votes: Tensor, of_class: Tensor | None, labels: Tensor) -> Tensor:
    """The ranks int64[b] by votes [b, c], and by the cosines [b, c] of classes without a vote."""
    by_vote = output_ranks(votes, labels)
    if of_class is None:
        return by_vote
    voted = votes > 0  # a vote is at least exp(−1 / temperature)
    by_cosine = output_ranks(of_class.masked_fill(voted, torch.inf), labels)
    return by_vote.where(voted.gather(1, labels[:, None])[:, 0], by_cosine)


def _highest_of_votes(votes: Tensor, of_class: Tensor) -> Tensor:
    """The classes that come first, int64[b, min(5, c)]: by votes, and then by cosine."""
    voted = votes > 0
    by_vote = highest_classes(votes)
    by_cosine = highest_classes(of_class.masked_fill(voted, torch.inf))  # as many, then the others
    places = torch.arange(by_vote.shape[1], device=votes.device)
    return by_vote.where(places < voted.sum(dim=1, keepdim=True), by_cosine)


@dataclass(frozen=True)
class _Near:
    """What is near to each of b rows."""

    cosine: Tensor
    """the k greatest cosines in descending order [b, k]"""
    classes: Tensor
    """of these images [b, k]"""
    of_class: Tensor | None
    """the greatest cosine of each class, −infinity where it has no image [b, c]"""


def _nearest(known: UnitFeatures, x: Tensor, k: int, n_classes: int | None) -> _Near:
    """The k nearest images of unit rows, and the nearest of each class if these are counted."""
    cosine, classes = x.new_empty(len(x), 0), known.labels.new_empty(len(x), 0)
    of_class = None if n_classes is None else x.new_full((len(x), n_classes), -torch.inf)
    for rows, labels in known.blocks(ASKED_AT_ONCE):
        here = x[:, :-1] @ rows[:, :-1].T
        if of_class is not None:
            of_class.scatter_reduce_(1, labels.expand(len(x), -1), here, "amax")
        cosine = torch.cat([cosine, here], dim=1)
        classes = torch.cat([classes, labels.expand(len(x), -1)], dim=1)
        cosine, order = cosine.topk(min(k, cosine.shape[1]), dim=1)
        classes = classes.gather(1, order)
    return _Near(cosine, classes, of_class)
