"""A model's name in any of its forms, and what it loads; each form has a file of its own.

Whatever is drawn at random while a network is made comes from a fixed seed of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cog.errors import CogError
from cog.models.model import Model
from cog.models.open_clip_source import from_open_clip
from cog.models.plugin import from_file
from cog.models.pooling import pooled
from cog.models.timm_source import from_hf_hub, from_timm
from cog.models.torch_hub_source import from_torch_hub
from cog.models.torchvision_source import from_torchvision
from cog.models.zoo import find_row
from cog.models.zoo_source import from_zoo


@dataclass(frozen=True)
class Wanted:
    """How a model is to be loaded; `cog.models.load_model` tells what each means."""

    weights: Path | None = None
    pretrained: bool = True
    pool: str | None = None
    official_quirks: bool = False
    trust_checkpoint: bool = False


def load(spec: str, wanted: Wanted, notice: Callable[[str], None]) -> Model:
    """The model that `spec` names, on the CPU.

    Raises:
        CogError: see `cog.models.load_model`.
    """
    model = _from_elsewhere(spec, wanted, notice)
    if model is None:
        row = find_row(spec, _with_prefix(spec))
        if row.name != spec:
            notice(f"{spec} means {row.name}")
        return from_zoo(
            row,
            weights=wanted.weights,
            pretrained=wanted.pretrained,
            pool=wanted.pool,
            official_quirks=wanted.official_quirks,
            trust=wanted.trust_checkpoint,
            notice=notice,
        )
    if wanted.official_quirks:
        raise CogError(
            f"{spec} is not a model of the benchmark: its published code has no quirks for it",
            "leave out --official-quirks",
        )
    if wanted.pool:
        network = pooled(model.network, wanted.pool)
        model = replace(model, network=network, name=f"{model.name}-{wanted.pool}")
        _ = model.dim  # refuse now what gives no one vector a picture
    return model


def _from_elsewhere(spec: str, wanted: Wanted, notice: Callable[[str], None]) -> Model | None:
    """The model, where the name's form says that it is not one of the table."""
    kind, _, name = spec.partition(":")
    weights, pretrained = wanted.weights, wanted.pretrained
    if kind == "torch-hub":
        return from_torch_hub(name, weights, pretrained, wanted.trust_checkpoint, notice)
    if kind == "timm":
        return from_timm(name, weights, pretrained, notice)
    if kind == "hf-hub":
        return from_hf_hub(name, weights, pretrained, notice)
    if kind == "open_clip":
        return from_open_clip(name, weights, pretrained, notice)
    if kind == "torchvision":
        return from_torchvision(name, weights, pretrained)
    file, colon, function = spec.rpartition(":")
    if spec.endswith(".py"):
        raise CogError(f"{spec!r} names no function", f"write {spec}:load")
    if colon and file.endswith(".py"):
        return from_file(Path(file), function, weights, pretrained)
    return None


def _with_prefix(name: str) -> Iterator[str]:
    """The forms under which a library knows `name`; timm loads only when the table does not."""
    import torchvision

    if name.lower() in torchvision.models.list_models(module=torchvision.models):
        yield f"torchvision:{name}"
    import timm

    if timm.is_model(name):
        yield f"timm:{name}"
