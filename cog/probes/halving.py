"""Heads that train together; those that lag behind may be given up early.

In: images to train and to validate on, h pairs of learning rate and weight decay.
Out: for each pair the validation top-1 when it ended, and after how many epochs that was.
Source: successive halving (Jamieson & Talwalkar, AISTATS 2016); the stages are ours.
Cost: that of SGD, or 27 % of it with the stages of the recipe.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cog.probes.data import ProbeSettings
from cog.probes.features import UnitFeatures
from cog.probes.ranks import output_ranks
from cog.probes.search import Settings
from cog.probes.sgd import start_heads, train


def race(
    search_on: UnitFeatures,
    validation: UnitFeatures,
    n_classes: int,
    settings: ProbeSettings,
    tried: Sequence[Settings],
) -> list[tuple[float, int]]:
    """Train heads together; gives for each its last validation top-1, and after how many epochs.

    All run to the end, unless the recipe stops early: then after each of its stages only a share
    of the heads goes on, those that are best on the validation images.
    """
    recipe = settings.recipe
    early = recipe.sgd_early_stop and len(tried) > 1
    stages = [stage for stage in recipe.sgd_stages if early and stage[0] < recipe.epochs]
    lrs, wds = [each["lr"] for each in tried], [each["wd"] for each in tried]
    heads = start_heads(search_on, lrs, wds, n_classes, settings.seed)
    racing, results, done = list(range(len(tried))), [(0.0, 0)] * len(tried), 0
    for until, share in (*stages, (recipe.epochs, 1.0)):
        train(heads, search_on, recipe, settings.seed, range(done, until))
        done = until
        scores = percent_right(heads.finished(), validation)
        for head, top1 in zip(racing, scores, strict=True):
            results[head] = (top1, done)
        order = sorted(range(len(racing)), key=lambda index: -scores[index])
        kept = sorted(order[: math.ceil(share * len(racing))])
        heads, racing = heads.only(kept), [racing[index] for index in kept]
    return results


def percent_right(layers: Tensor, features: UnitFeatures) -> list[float]:
    """Top-1 in percent of each of the layers [h, c, d + 1]; 0 for one that diverged."""
    heads, n_classes, width = layers.shape
    right = torch.zeros(heads, dtype=torch.int64, device=layers.device)
    for x, y in features.blocks(heads * n_classes):
        outputs = (x @ layers.view(-1, width).T).view(-1, n_classes)
        ranks = output_ranks(outputs, y.repeat_interleave(heads))
        right += (ranks.view(-1, heads) == 0).sum(dim=0)
    alive = layers.isfinite().flatten(1).all(1)
    return (100 * (right * alive).double() / len(features)).tolist()
