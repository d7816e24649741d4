"""Whether a model does what the benchmark relies on, tried with a few random images."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cog.errors import CogError
from cog.models.model import Model
from cog.rounding import require_fit, rounding_loss

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
    give different features, which float16, the default type on disk, can keep. If the network fails
    or the first property does, the others are not tried.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((BATCH, *model.preprocess.shape), generator=generator)
    try:
        together = model.try_embed(x)
        again = model.try_embed(x)
        alone = torch.cat([model.try_embed(x[row : row + 1]) for row in range(BATCH)])
    except CogError as error:
        return [Check("output", False, f"{error.what}; {error.hint}")]
    spread = float((together - together.mean(0)).abs().max())
    return [
        Check("output", True, f"float32[{BATCH}, {together.shape[1]}], all finite"),
        _same("determinism", together, again, limit=0),
        _same("independence of the batch", together, alone, limit=TOLERANCE),
        Check("different images, different features", spread > 0, f"spread {spread:.2g}"),
        _fits_float16(together),
    ]


def _fits_float16(features: torch.Tensor) -> Check:
    x, name = features.cpu().numpy(), "kept by float16"
    try:
        require_fit(x, "float16", "random images")
    except CogError as error:
        return Check(name, False, f"{error.what}; {error.hint}")
    return Check(name, True, f"at most {rounding_loss(x, 'float16').max():.2g} of a row is lost")


def _same(name: str, first: torch.Tensor, second: torch.Tensor, *, limit: float) -> Check:
    difference = float((first - second).abs().max() / first.abs().max().clamp_min(1e-12))
    return Check(
        name, difference <= limit, f"largest difference {difference:.2g} of the largest value"
    )
