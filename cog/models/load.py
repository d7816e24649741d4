"""A model's name in any of its forms, and what it loads; each form has a file of its own.

Whatever is drawn at random while a network is made comes from a fixed seed of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cog.errors import CogError
from cog.models.model import Model
from cog.models.pooling import pooled
from cog.models.sources.from_file import from_file
from cog.models.sources.from_open_clip import from_open_clip
from cog.models.sources.from_timm import from_hf_hub, from_timm
from cog.models.sources.from_torch_hub import from_torch_hub
from cog.models.sources.from_torchvision import from_torchvision
from cog.models.sources.from_zoo import from_zoo
from cog.models.zoo import find_row
from cog.storage import safe_name


@dataclass(frozen=True)
class Wanted:
    """How a model is to be loaded; `cog.models.load_model` tells what each means."""

    weights: Path | None = None
    pretrained: bool = True
    pool: str | None = None
    official_quirks: bool = False
    trust_checkpoint: bool = False


def load(spec: str, wanted: Wanted, notify: Callable[[str], None]) -> Model:
    """The model that `spec` names, on the CPU.

    Raises:
        CogError: see `cog.models.load_model`.
    """
    model = _from_elsewhere(spec, wanted, notify)
    if model is None:
        row = find_row(spec, _with_prefix(spec))
        if row.name != spec:
            notify(f"{spec} means {row.name}")
        return from_zoo(
            row,
            weights=wanted.weights,
            pretrained=wanted.pretrained,
            pool=wanted.pool,
            official_quirks=wanted.official_quirks,
            trust=wanted.trust_checkpoint,
            notify=notify,
        )
    if wanted.official_quirks:
        raise CogError(
            f"{spec} is not a model of the benchmark: its published code has no quirks for it",
            "leave out --official-quirks",
        )
    if wanted.pool:
        network = pooled(model.network, wanted.pool)
        model = replace(model, network=network, name=f"{model.name}-{wanted.pool}")
        _ = model.dim  # refuse now what gives no one vector an image
    return model


def _from_elsewhere(spec: str, wanted: Wanted, notify: Callable[[str], None]) -> Model | None:
    """The model, where the name's form says that it is not one of the table."""
    kind, _, name = spec.partition(":")
    weights, pretrained = wanted.weights, wanted.pretrained
    if kind == "torch-hub":
        return from_torch_hub(name, weights, pretrained, wanted.trust_checkpoint, notify)
    if kind == "timm":
        return from_timm(name, weights, pretrained, notify)
    if kind == "hf-hub":
        return from_hf_hub(name, weights, pretrained, notify)
    if kind == "open_clip":
        return from_open_clip(name, weights, pretrained, notify)
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


def load_model(
    spec: str,
    *,
    weights: str | Path | None = None,
    pretrained: bool = True,
    pool: str | None = None,
    official_quirks: bool = False,
    trust_checkpoint: bool = False,
    name: str | None = None,
    device: str | torch.device = "cpu",
    notify: Callable[[str], None] | None = None,
) -> Model:
    """Load the network that `spec` names, frozen, with its preprocessing.

    `weights`: a local file of the official layout, read in place of a download. `pretrained=False`
    gives the same architecture untrained, from a fixed seed: the same bits in every process. The
    global random state is neither used nor changed. `pool`: which tokens of a transformer make the
    feature, `cls`, `avg` or `cls+avg`, in place of the model's own; `last4:cls` of four layers.
    `official_quirks` repeats the mistakes of the benchmark's published code. `trust_checkpoint`
    reads weights that are a program, if they are, byte for byte, the known file, and runs the code
    of a torch hub. `notify` is told what an alias means and the like; without it the logger `cog`
    is, at level INFO.

    Raises:
        CogError: unknown name, wrong or unreadable weights, no network, a plug-in that fails.
    """
    from cog.models import load as sources

    if weights is not None and not pretrained:
        raise CogError(
            f"both weights ({weights}) and an untrained network are asked for",
            "leave out --weights or --no-pretrained",
        )
    wanted = sources.Wanted(
        None if weights is None else Path(weights),
        pretrained,
        pool,
        official_quirks,
        trust_checkpoint,
    )
    model = sources.load(spec, wanted, notify or logging.getLogger("cog").info)
    if name:
        model.name = safe_name(name)
    return model.to(device)
