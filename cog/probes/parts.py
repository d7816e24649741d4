"""Which pictures a probe searches on, validates on and is fitted on, and those on its device.

Shared by every probe, so that all of one seed and shot count see the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cog.errors import CogError
from cog.probes.data import Features, ProbeSettings
from cog.sampling import few_shot, validation_split
from cog.scores import label_ranks, percent_within

BLOCK = 16_384  # rows whose outputs are held at once


@dataclass(frozen=True)
class Rows:
    """Rows of the training pictures, each int64 and sorted."""

    search: NDArray[np.int64]
    """to fit while hyper-parameters are chosen"""
    validation: NDArray[np.int64]
    """to judge them by; disjoint from `search`"""
    final: NDArray[np.int64]
    """of the fit with the best"""


@dataclass(frozen=True)
class Part:
    """Some pictures on the device: unit features with a last column of ones, and labels."""

    x: Tensor
    """float32[r, d + 1]"""
    y: Tensor
    """int64[r]"""


def rows_to_fit(labels: NDArray[np.int64], settings: ProbeSettings) -> Rows:
    """Split the training pictures as the settings say.

    - All pictures: a share of every class validates; the final fit takes all, validation included.
    - N shots, the official order: the share is laid aside first, N pictures a class are drawn from
      the rest, and both fits take these N.
    - N shots, validation within: N pictures a class are drawn first, a share of those validates,
      and the final fit takes the N: nothing else was looked at.

    Raises:
        CogError: no class has a picture to spare for validation.
    """
    share, seed = settings.recipe.validation_share, settings.seed
    everything = np.arange(len(labels))
    if settings.shots is not None and settings.shots_validation == "within":
        drawn = few_shot(labels, settings.shots, everything, seed)
        train, validation = (drawn[part] for part in validation_split(labels[drawn], share, seed))
        rows = Rows(train, validation, drawn)
    else:
        train, validation = validation_split(labels, share, seed)
        if settings.shots is None:
            rows = Rows(train, validation, everything)
        else:
            shots = few_shot(labels, settings.shots, train, seed)
            rows = Rows(shots, validation, shots)
    if not len(rows.validation):
        raise CogError(
            "expected a class with at least two training pictures to validate on, found none",
            "give more pictures, or more --shots",
        )
    return rows


def make_part(
    x: Features, y: NDArray[np.int64], rows: NDArray[np.int64] | None, device: str
) -> Part:
    """Some rows, or all, on the device."""
    if rows is not None:
        x, y = x[rows], y[rows]
    return Part(unit_features(x, device), torch.tensor(y, device=device))


def unit_features(x: Features, device: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """Rows scaled to length 1, zero rows left zero, and a last column of ones: [m, d + 1].

    >>> import numpy as np
    >>> unit_features(np.array([[3, 4], [0, 0]], np.float16), "cpu").tolist()
    [[0.6000000238418579, 0.800000011920929, 1.0], [0.0, 0.0, 1.0]]
    """
    rows = torch.ones(len(x), x.shape[1] + 1, dtype=dtype, device=device)
    rows[:, :-1] = torch.tensor(x, device=device)
    length = torch.linalg.vector_norm(rows[:, :-1], dim=1, keepdim=True, dtype=torch.float64)
    rows[:, :-1] /= length.where(length > 0, 1.0)
    return rows


def work_device(settings: ProbeSettings) -> str:
    """The device of the settings, but the CPU in place of mps, which lacks float64."""
    return "cpu" if settings.device.startswith("mps") else settings.device


def layer_ranks(layer: Tensor, part: Part) -> NDArray[np.int64]:
    """The place of the right class in each row, in blocks: no m × c matrix is made."""
    pairs = zip(torch.split(part.x, BLOCK), torch.split(part.y, BLOCK), strict=True)
    return np.concatenate(
        [label_ranks((x @ layer.T).cpu().numpy(), y.cpu().numpy()) for x, y in pairs]
    )


def layer_top1(layer: Tensor, part: Part) -> float:
    """Percent; 0 for a layer that diverged."""
    return percent_within(layer_ranks(layer, part), 1) if layer.isfinite().all() else 0.0
