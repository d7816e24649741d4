"""The models of a run: which ones, under which names, loaded how and on which device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cog.errors import CogError
from cog.features.forward import pick_devices
from cog.features.precision import require_precision
from cog.features.settings import Extraction
from cog.models.load import load
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.models.tokens import with_tokens
from cog.progress import Notify

ModelLike = str | Path | Model
"""a name that `cog.load_model` takes, or a network that is loaded already"""


@dataclass(frozen=True)
class ModelOptions:
    """Which models a run evaluates, and how those given by name are loaded."""

    models: tuple[ModelLike, ...]
    load: LoadOptions
    names: tuple[str, ...] = ()  # one for each model; none: the models' own

    def __post_init__(self) -> None:
        """Refuse options that do not fit the number of models."""
        if self.names and len(self.names) != len(self.models):
            raise CogError(
                f"expected a name for each model, {len(self.models)}; found {len(self.names)}",
                "give one --name for each --model",
            )
        if self.load.weights is not None and len(self.models) != 1:
            raise CogError(
                f"one weights file for {len(self.models)} models", "evaluate the models one by one"
            )


def load_models(
    options: ModelOptions, extraction: Extraction, notify: Notify | None
) -> list[Model]:
    """Every model of a run, in the order given, on its device.

    Where other processes make the features, on several devices or on the nodes of a cluster, models
    stay on the CPU: each process moves its copy. A loaded network stays where its training script
    put it, with the device `auto` or with several.

    Raises:
        CogError: a model cannot be loaded, or its device lacks the precision.
    """
    own = pick_own_devices(options, extraction)
    on_cluster, several = extraction.on_cluster, len(own) > 1
    away = on_cluster or several
    device = torch.device("cpu") if away else pick_devices(extraction.device)[0]
    names = options.names or (None,) * len(options.models)
    loaded: list[Model] = []
    untrained: list[str] = []
    for given, name in zip(options.models, names, strict=True):
        if isinstance(given, Model):
            keep = several or (extraction.device == "auto" and not on_cluster)
            model = replace(given, name=name or given.name)
            loaded.append(model.to(given.device if keep else device))
        else:
            loaded.append(load(str(given), options.load, name=name, device=device, notify=notify))
            untrained += [] if options.load.pretrained else [loaded[-1].name]
    if notify and untrained:
        notify(f"{', '.join(untrained)}: untrained, with random weights (--no-pretrained)")
    if extraction.tokens and options.load.pool:
        raise CogError(
            f"both --pool {options.load.pool} and --tokens {extraction.tokens} choose tokens",
            "leave out one of them",
        )
    if extraction.tokens:
        loaded = [
            with_tokens(model, extraction.tokens, name)
            for model, name in zip(loaded, names, strict=True)
        ]
    if not on_cluster:
        for each in own if several else [model.device for model in loaded]:
            require_precision(extraction.precision, each)
    return loaded


def pick_own_devices(options: ModelOptions, extraction: Extraction) -> tuple[torch.device, ...]:
    """The devices that make features; none where each model stays on its own device.

    A training script's network is not copied to other GPUs.
    """
    loaded = any(isinstance(model, Model) for model in options.models)
    if extraction.on_cluster or (loaded and extraction.device == "auto"):
        return ()
    return pick_devices(extraction.device)
