"""Which tokens of a transformer make its feature, from its last layer or from several."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from cog.errors import CogError, unknown_name

POOLS = ("cls", "avg", "cls+avg")
_LAST = re.compile(r"last([1-9]\d?):(.*)")


class Pooled(nn.Module):
    """A transformer with one feature per image: float32[b, 3, h, w] → float32[b, d].

    `cls` is the class token, `avg` the mean of the patches (without class and register tokens),
    `cls+avg` both in a row, [b, 2d]. Tokens are taken after the network's final norm; a network
    that has its norm after pooling keeps it there. `last4:cls` is the class tokens of the last four
    layers in a row, each after the final norm, [b, 4d]: DINO's linear probe on its small networks
    (Caron et al., 2021, appendix F.2).
    """

    def __init__(self, network: nn.Module, pool: str) -> None:
        """Refuse a network without the tokens or layers that the pool needs."""
        super().__init__()
        several = _LAST.fullmatch(pool)
        self.layers = int(several[1]) if several else 1
        self.parts = (several[2] if several else pool).split("+")
        if "+".join(self.parts) not in POOLS:
            raise unknown_name("pool", pool, (*POOLS, "last4:cls"))
        prefix = getattr(network, "num_prefix_tokens", None)
        if prefix is None or not hasattr(network, "forward_features"):
            raise CogError(
                f"{type(network).__name__} has no tokens to choose from", "leave out --pool"
            )
        if "cls" in self.parts and not prefix:
            raise CogError(f"{type(network).__name__} has no class token", "give --pool avg")
        if self.layers > 1 and not hasattr(network, "forward_intermediates"):
            raise CogError(
                f"{type(network).__name__} gives only its last layer",
                f"give --pool {'+'.join(self.parts)}",
            )
        self.network: Any = network
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch of images."""
        norm = getattr(self.network, "fc_norm", None) or nn.Identity()
        return torch.cat(
            [
                norm(first[:, 0] if part == "cls" else patches.mean(1))
                for first, patches in self._tokens(x)
                for part in self.parts
            ],
            dim=1,
        )

    def _tokens(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each layer, the tokens before the patches and the patches: [b, t, d] each."""
        if self.layers == 1:
            tokens = self.network.forward_features(x)
            prefix = self.network.num_prefix_tokens
            return [(tokens[:, :prefix], tokens[:, prefix:])]
        found = self.network.forward_intermediates(
            x, indices=self.layers, return_prefix_tokens=True, norm=True, output_fmt="NLC",
            intermediates_only=True,
        )  # fmt: skip
        return [(first, patches) for patches, first in found]

    def extra_repr(self) -> str:
        """The pool, for the printed network."""
        return f"pool={self.pool}"


def pooled(network: nn.Module, pool: str | None) -> nn.Module:
    """The network with this pool instead of its own; unchanged for None.

    Raises:
        CogError: an unknown pool, or a network without these tokens.
    """
    if pool is None:
        return network
    return Pooled(network.network if isinstance(network, Pooled) else network, pool)
