"""Which tokens of a transformer make its feature."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cog.errors import CogError, unknown_name

POOLS = ("cls", "avg", "cls+avg")


class Pooled(nn.Module):
    """A transformer's tokens float32[b, t, d] to one feature float32[b, d], or [b, 2d] for cls+avg.

    `cls` is the class token, `avg` the mean of the patches (neither class nor register tokens).
    Both are taken after the network's final norm; networks that norm after pooling do so here too.
    """

    def __init__(self, network: nn.Module, pool: str) -> None:
        """Refuse a network without the tokens that are wanted."""
        super().__init__()
        if pool not in POOLS:
            raise unknown_name("pool", pool, POOLS)
        prefix = getattr(network, "num_prefix_tokens", None)
        if prefix is None or not hasattr(network, "forward_features"):
            raise CogError(
                f"{type(network).__name__} has no tokens to choose from", "leave out --pool"
            )
        if "cls" in pool and not prefix:
            raise CogError(f"{type(network).__name__} has no class token", "give --pool avg")
        self.network: Any = network
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch of pictures."""
        tokens = self.network.forward_features(x)
        parts = {"cls": tokens[:, 0], "avg": tokens[:, self.network.num_prefix_tokens :].mean(1)}
        norm = getattr(self.network, "fc_norm", None) or nn.Identity()
        return torch.cat([norm(parts[part]) for part in self.pool.split("+")], dim=1)

    def extra_repr(self) -> str:
        """The pool, so that it is seen where the network is printed."""
        return f"pool={self.pool}"


def pooled(network: nn.Module, pool: str | None) -> nn.Module:
    """The network with the pool, in place of the pool that it has; as it is without one.

    Raises:
        CogError: an unknown pool, or a network without such tokens.
    """
    if pool is None:
        return network
    return Pooled(network.network if isinstance(network, Pooled) else network, pool)
