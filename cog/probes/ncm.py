"""Nearest class mean by cosine: no hyper-parameter, nothing learnt but a mean for each class.

- A class is the mean of its unit features, scaled to length 1; an image belongs to the class of
  greatest cosine. A class without training images comes last.
- Nothing is validated: all images make the means, or the N of each class.
Source: Mensink et al., "Distance-Based Image Classification", TPAMI 2013; on unit features and with
means of length 1, Rebuffi et al., "iCaRL", CVPR 2017. The plain distance to a mean that is not
scaled would favour classes of short means. Cost: one pass over the features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cog.probes.cost import ProbeSize, seconds_for
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.features import UnitFeatures
from cog.probes.ranks import image_places
from cog.probes.rows import parts_of


def ncm(data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched) -> ProbeResult:
    """Classify the test images by the nearest mean of a class.

    Raises:
        CogError: data that no probe can learn from.
    """
    parts = parts_of(data, settings, validated=False, norm="l2")
    sums, counts = class_sums(parts.final, data.n_classes)
    means = torch.nn.functional.normalize(sums, dim=1).to(parts.final.scale)

    def cosine(x: Tensor) -> Tensor:
        return (x[:, :-1] @ means.T).masked_fill(counts == 0, -torch.inf)

    placed = image_places(cosine, parts.test, data.n_classes)
    progress(1, 1)
    bias = torch.zeros_like(means[:, :1]).masked_fill(counts[:, None] == 0, -torch.inf)
    return parts.result(placed, {}, [], layer=torch.cat([means, bias], dim=1))


def cost(size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds of a fit, roughly: sums of the training images, cosines of the test images."""
    return seconds_for(2.0 * size.dim * (size.n_train + size.n_test * size.n_classes), settings)


def class_sums(features: UnitFeatures, n_classes: int) -> tuple[Tensor, Tensor]:
    """Sums of the unit features of each class, float64 [c, d], and their counts int64 [c]."""
    device = features.source.device
    sums = torch.zeros(n_classes, features.width - 1, dtype=torch.float64, device=device)
    counts = torch.zeros(n_classes, dtype=torch.int64, device=device)
    for x, y in features.blocks(features.width):
        sums.index_add_(0, y, x[:, :-1].double())
        counts += torch.bincount(y, minlength=n_classes)
    return sums, counts
