"""k nearest neighbours with a k that is given: nothing is chosen, and all images are neighbours.

- Votes, and the order of classes without one, are as in knn.py; no image is laid aside.
- With fewer training images than k all of them vote, and the fit says so.
Source: DINO's eval_knn.py (Caron et al., ICCV 2021), which reports several k side by side.
Cost: 2·n·m·d operations for the neighbours of m images among n.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cog.probes.cost import ProbeSize, seconds_for
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.knn import neighbour_ranks
from cog.probes.ranks import Placed
from cog.probes.rows import parts_of


def knn_fixed(
    k: int, data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched
) -> ProbeResult:
    """Classify the test images by their k nearest training images.

    `progress` counts images whose neighbours were sought.

    Raises:
        CogError: data that no probe can learn from.
    """
    parts = parts_of(data, settings, validated=False, norm="l2")
    found = min(k, len(parts.final))
    highest: list[Tensor] = []
    (ranks,) = neighbour_ranks(
        parts.final, parts.test, [found], data.n_classes, settings.recipe.knn_temperature,
        lambda done: progress(done, len(parts.test)), highest=highest,
    )  # fmt: skip
    few = f"k is {k}, and there are {found} training images: all of them vote"
    return parts.result(
        Placed(ranks, torch.cat(highest).numpy()), {"k": found}, [], (few,) if found < k else ()
    )


def cost(k: int, size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds of a fit, roughly: the cosines of the test images."""
    return seconds_for(2.0 * size.dim * size.n_train * size.n_test, settings)
