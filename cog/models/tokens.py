"""The patch tokens of a network in place of its one vector an image: all, or the means of a grid.

In: a model. Out: the model whose feature is its T tokens, one behind the other: [b, T · d].

- Tokens are those of the patches in the last layer, after the network's final norm; the class token
  and registers are left out. A network that has its norm after pooling gives them without it.
- A convolutional network of timm gives its last map, a token a position.
- `grid:N` makes N × N tokens, each the mean of those in its part of the image (adaptive average
  pooling): parts overlap by a token where N does not divide the side.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from cog.errors import CogError
from cog.models.model import Model, evaluating

ALL = "all"
_GRID = re.compile(r"grid:([1-9]\d?)")
GIVERS = (
    "Vision Transformers of the table (`cog models list`), of timm:NAME, hf:OWNER/MODEL and "
    "hf-hub:OWNER/MODEL, and convolutional networks of timm:NAME"
)
"""what gives tokens, in words"""


def read_grid(tokens: str) -> int:
    """The side of the grid that `--tokens` asks for; 0 for all tokens.

    Raises:
        CogError: neither `all` nor `grid:N`.

    >>> read_grid("grid:7"), read_grid("all")
    (7, 0)
    """
    found = _GRID.fullmatch(tokens)
    if not found and tokens != ALL:
        raise CogError(
            f"expected tokens as all or grid:N, found {tokens!r}", "give --tokens grid:7"
        )
    return int(found[1]) if found else 0


class PatchTokens(nn.Module):
    """A network whose feature is its patch tokens: float32[b, 3, h, w] → float32[b, T · d]."""

    def __init__(self, network: nn.Module, grid: int) -> None:
        """`network` has `forward_features`, as those of timm have; `grid`: N, or 0 for all."""
        super().__init__()
        self.network: Any = network
        self.grid = grid

    def tokens(self, x: Tensor) -> Tensor:
        """Tokens [b, T, d] of images [b, 3, h, w]."""
        found: Tensor = self.network.forward_features(x)
        if found.ndim == 4:
            if getattr(self.network, "output_fmt", "NCHW") == "NHWC":
                found = found.permute(0, 3, 1, 2)
            return self._pooled(found)
        found = found[:, self.network.num_prefix_tokens :]
        if not self.grid:
            return found
        count, (height, width) = found.shape[1], x.shape[2:]
        rows = round(math.sqrt(count * height / width))
        if not rows or count % rows:
            raise CogError(
                f"{count} tokens of {height} × {width} pixels lie in no grid", "give --tokens all"
            )
        grid = found.transpose(1, 2).reshape(len(found), -1, rows, count // rows)
        return self._pooled(grid)

    def _pooled(self, grid: Tensor) -> Tensor:
        """The tokens [b, T, d] of a map [b, d, h, w]."""
        if self.grid > min(grid.shape[2:]):
            height, width = grid.shape[2:]
            raise CogError(
                f"expected a grid of at most {height} × {width}, as many as there are tokens, "
                f"found grid:{self.grid}",
                "give a smaller one, or --tokens all",
            )
        pooled = adaptive_avg_pool2d(grid, self.grid) if self.grid else grid
        return pooled.flatten(2).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch of images."""
        return self.tokens(x).flatten(1)

    def extra_repr(self) -> str:
        """The grid, for the printed network."""
        return f"grid={self.grid or ALL}"


def with_tokens(model: Model, tokens: str, name: str | None = None) -> Model:
    """The model with its tokens, `all` or `grid:N`, as its feature; `name`: of the model run.

    Raises:
        CogError: a network that gives no tokens, or fewer than the grid has.
    """
    grid, image = read_grid(tokens), torch.zeros(1, *model.preprocess.shape, device=model.device)
    with evaluating(model.network), torch.no_grad():
        try:
            network = PatchTokens(_giver(model, image), grid)
            count = network.tokens(image).shape[1]
        except CogError:
            raise
        except Exception as error:  # any: the network is not ours
            raise _no_tokens(model, f"{type(error).__name__}: {error}") from error
    feature = f"its {count} patch tokens" + f", means of a {tokens.replace(':', ' of ')}" * (
        tokens != ALL
    )
    return replace(
        model,
        network=network,
        name=name or f"{model.name}-{'tokens' if tokens == ALL else tokens.replace(':', '')}",
        tokens=count,
        feature=feature,
    )


def _giver(model: Model, image: Tensor) -> nn.Module:
    """The network of a model that gives tokens, below what chooses among them."""
    network: Any = model.network
    while not hasattr(network, "forward_features") and hasattr(network, "network"):
        network = network.network
    if not hasattr(network, "forward_features"):
        raise _no_tokens(model, "it has no `forward_features`")
    if not getattr(network, "in_rows", True):
        raise _no_tokens(model, "its patches do not follow each other row by row")
    if not hasattr(network, "num_prefix_tokens"):
        found = network.forward_features(image)
        if not (isinstance(found, Tensor) and found.ndim == 4):  # a map, whose positions they are
            raise _no_tokens(model, "nothing says which of its tokens are patches")
    return network  # type: ignore[no-any-return]


def _no_tokens(model: Model, why: str) -> CogError:
    return CogError(f"{model.name} gives no tokens of patches: {why}", f"take one of: {GIVERS}")
