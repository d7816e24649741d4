"""Whether a model does what the benchmark relies on, tried with a few random images."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cog.errors import CogError
from cog.models.model import Model

BATCH = 4
TOLERANCE = 1e-4  # relative: arithmetic differs a little between sizes of the batch


@dataclass(frozen=True)
class Check:
    """One property: its name, whether it holds, and what was found."""

    name: str
    passed: bool
    found: str


def check_model(model: Model) -> list[Check]:
    """The properties of a model, tried with a seeded batch of random images.

    The output is float32[b, d] and finite. The same image gives the same features twice, and the
    same alone as in a batch: a network that uses batch statistics fails here. Different images
    give different features. If the first property fails, the others are not tried.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((BATCH, *model.preprocess.shape), generator=generator)
    try:
        together = model.embed(x)
    except CogError as error:
        return [Check("output", False, error.what)]
    again = model.embed(x)
    alone = torch.cat([model.embed(x[row : row + 1]) for row in range(BATCH)])
    spread = float((together - together.mean(0)).abs().max())
    return [
        Check("output", True, f"float32[{BATCH}, {together.shape[1]}], all finite"),
        _same("determinism", together, again, limit=0),
        _same("independence of the batch", together, alone, limit=TOLERANCE),
        Check("different images, different features", spread > 0, f"spread {spread:.2g}"),
    ]


def _same(name: str, first: torch.Tensor, second: torch.Tensor, *, limit: float) -> Check:
    difference = float((first - second).abs().max() / first.abs().max().clamp_min(1e-12))
    return Check(
        name, difference <= limit, f"largest difference {difference:.2g} of the largest value"
    )
