"""Which numbers of a network of transformers make its feature: a table of families, and networks.

`last_hidden_state` has prefix tokens (class and registers) and then the patches, or is a map;
`pooler_output` is what the network itself makes of it. Each family has one choice of its own, and
`--pool` makes another: register tokens are in none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cog.errors import CogError
from cog.models.pooling import Pooled

POOLER = "pooler"
WORDS = {
    "cls": "the class token",
    "avg": "the mean of the patches",
    "cls+avg": "the class token and the mean of the patches",
    POOLER: "its pooler_output",
}


@dataclass(frozen=True)
class Family:
    """Where the networks of one `model_type` have their features."""

    pool: str
    """the feature unless --pool chooses: `cls`, `avg` or `pooler`"""
    prefix: int | None = None
    """tokens before the patches (class, distillation), without registers; None: a map has none"""
    norm: str = ""
    """the part that normalises all tokens of a layer; empty if no other layer can be taken"""
    normed: bool = True
    """whether `last_hidden_state` went through `norm`"""
    in_rows: bool = True
    """whether patches follow the prefix row by row; else nothing says where each lies"""


FAMILIES = {
    "aimv2_vision_model": Family(POOLER, 0, "rms_norm"),
    "beit": Family("cls", 1, "layernorm"),
    "clip_vision_model": Family("cls", 1, "post_layernorm", normed=False),
    "convnext": Family(POOLER),
    "convnextv2": Family(POOLER),
    "data2vec-vision": Family("cls", 1, "layernorm"),
    "deit": Family("cls", 2, "layernorm"),
    "dinov2": Family("cls", 1, "layernorm"),
    "dinov2_with_registers": Family("cls", 1, "layernorm"),
    "dinov3_convnext": Family(POOLER, in_rows=False),  # their mean comes first
    "dinov3_vit": Family("cls", 1, "norm"),
    "hiera": Family("avg", 0, in_rows=False),  # by units of its masks
    "ijepa": Family("avg", 0, "layernorm"),
    "regnet": Family(POOLER),
    "resnet": Family(POOLER),
    "siglip_vision_model": Family(POOLER, 0, "post_layernorm"),
    "swin": Family("avg", 0),
    "swinv2": Family("avg", 0),
    "vit": Family("cls", 1, "layernorm"),
    "vit_mae": Family("cls", 1, "layernorm"),
    "vit_msn": Family("cls", 1, "layernorm"),
}
"""by `model_type` of config.json; of a network with two towers, by that of its vision_config"""


def family_of(config: Any) -> Family:
    """The family of a configuration; one of code that is not known here has only the pooler."""
    return FAMILIES.get(config.model_type, Family(POOLER))


def own_pool(config: Any) -> str:
    """The feature of a network unless --pool chooses, by its `config`."""
    family = family_of(config)
    if getattr(config, "use_mean_pooling", False):  # BEiT and data2vec after fine-tuning
        return "avg"
    return family.pool if family.pool != POOLER or _has_pooler(config) else "avg"


def pools_of(config: Any) -> list[str]:
    """What --pool may be for a network with this `config`, without those of several layers."""
    prefix = family_of(config).prefix
    pools = [] if prefix is None else ["cls", "avg", "cls+avg"] if prefix else ["avg"]
    return pools + [POOLER] * _has_pooler(config)


def require_pool(config: Any, pool: str, name: str) -> None:
    """Refuse a pool that a network with this `config` does not have; `name` is the model's.

    Raises:
        CogError: it names what there is.
    """
    pools, several = pools_of(config), re.fullmatch(r"last(\d+):(.*)", pool)
    layers = getattr(config, "num_hidden_layers", 0) if family_of(config).norm else 0
    if several and 0 < int(several[1]) <= layers and several[2] in pools and several[2] != POOLER:
        return
    if pool not in pools:
        more = f"; or tokens of up to {layers} layers, as last2:{pools[0]}" * (layers > 1)
        raise CogError(
            f"{name} ({config.model_type}) has no feature {pool!r}",
            f"give --pool {' or '.join(pools)}{more}",
        )


def in_words(config: Any, pool: str) -> str:
    """A feature for people, such as "the class token, without the 4 register tokens"."""
    several = re.fullmatch(r"last(\d+):(.*)", pool)
    words = WORDS[several[2] if several else pool]
    registers = getattr(config, "num_register_tokens", 0)
    return (
        words
        + (f" of each of the last {several[1]} layers" if several else "")
        + (f", without the {registers} register tokens" if registers else "")
    )


def _has_pooler(config: Any) -> bool:
    head = getattr(config, "vision_use_head", getattr(config, "use_head", True))
    return bool(head) and config.model_type not in ("ijepa", "vit_mae", "vit_msn")


def with_feature(network: Any, pool: str) -> nn.Module:
    """A network of transformers as images float32[b, 3, h, w] → features float32[b, d]."""
    tokens = Tokens(network)
    return PoolerOutput(tokens) if pool == POOLER else Pooled(tokens, pool)


class Tokens(nn.Module):
    """A network of transformers with the interface that `Pooled` reads: tokens, as timm's have."""

    def __init__(self, network: Any) -> None:
        """`network`: a model of transformers that takes `pixel_values`."""
        super().__init__()
        self.network = network
        self.family = family_of(network.config)
        registers = getattr(network.config, "num_register_tokens", 0)
        self.in_rows = self.family.in_rows
        self.num_prefix_tokens = (self.family.prefix or 0) + registers
        self.masks = network.config.model_type == "vit_mae"

    @property
    def fc_norm(self) -> nn.Module | None:
        """The norm after pooling, where a family has it there: in its pooler."""
        pooler = getattr(self.network, "pooler", None)
        norm: nn.Module | None = getattr(pooler, "layernorm", None)
        return norm

    def outputs(self, x: Tensor, **asked: Any) -> Any:
        """What the network gives for images float32[b, 3, h, w]; MAE sees all patches in order."""
        if self.masks:
            height, width = self.network.embeddings.patch_embeddings.patch_size
            n = (x.shape[2] // height) * (x.shape[3] // width)
            asked["noise"] = torch.arange(n, device=x.device).expand(len(x), n)
        return self.network(pixel_values=x, **asked)

    def forward_features(self, x: Tensor) -> Tensor:
        """Tokens [b, t, d] of the last layer after the final norm."""
        tokens: Tensor = self.outputs(x).last_hidden_state
        return tokens if self.family.normed else self._norm(tokens)

    def forward_intermediates(
        self, x: Tensor, indices: int, **_: object
    ) -> list[tuple[Tensor, Tensor]]:
        """Patches and prefix tokens of the last `indices` layers, each after the final norm."""
        states = self.outputs(x, output_hidden_states=True).hidden_states[-indices:]
        if not torch.compiler.is_compiling():
            _remove_its_hooks(self.network)
        first = self.num_prefix_tokens
        return [(tokens[:, first:], tokens[:, :first]) for tokens in map(self._norm, states)]

    def _norm(self, tokens: Tensor) -> Tensor:
        inside = getattr(self.network, "vision_model", self.network)  # of CLIP, SigLIP before 5.x
        normed: Tensor = getattr(inside, self.family.norm)(tokens)
        return normed


def _remove_its_hooks(network: nn.Module) -> None:
    """Remove the hooks by which transformers takes hidden states: no other process can have them.

    It installs them again when it is asked for hidden states again.
    """
    for part in network.modules():
        for key, hook in list(part._forward_hooks.items()):
            if getattr(hook, "__module__", "") == "transformers.utils.output_capturing":
                del part._forward_hooks[key]
        vars(part).pop("_output_capturing_hooks_installed", None)


class PoolerOutput(nn.Module):
    """A network of transformers with its own `pooler_output` as the feature."""

    def __init__(self, tokens: Tokens) -> None:
        """`tokens`: the network."""
        super().__init__()
        self.network = tokens

    def forward(self, x: Tensor) -> Tensor:
        """Features float32[b, d] of images float32[b, 3, h, w]."""
        pooled: Tensor | None = getattr(self.network.outputs(x), "pooler_output", None)
        if pooled is None:
            raise ValueError("it gives no pooler_output")
        return pooled.flatten(1)
