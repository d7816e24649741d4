"""What the options of a run say, read and checked before any file is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cog.datasets.dataset import DatasetOptions
from cog.evaluation.models import ModelOptions
from cog.evaluation.options import pick, read_options
from cog.evaluation.protocols.fixing import with_protocol
from cog.features.settings import Extraction
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.probes.settings import Probing
from cog.recipe import OPTIONS, Recipe


class Settings(NamedTuple):
    """What options say, before any file is looked at."""

    models: ModelOptions
    datasets: DatasetOptions
    extraction: Extraction
    probing: Probing
    recipe: Recipe


def read_settings(options: Mapping[str, Any]) -> Settings:
    """The settings that the arguments of `cog.evaluate` give.

    Raises:
        CogError: a value that its option does not take, or that the protocol fixes otherwise.
    """
    options = with_protocol(options)
    model, name = options["model"], options.get("name") or ()
    probing = pick(Probing, options)
    recipe = replace(options["recipe"], **read_options(OPTIONS, options))
    probing.refuse_draw(recipe)
    return Settings(
        ModelOptions(
            (model,) if isinstance(model, str | Path | Model) else tuple(model),
            pick(LoadOptions, options),
            (name,) if isinstance(name, str) else tuple(name),
        ),
        pick(DatasetOptions, options),
        pick(Extraction, options),
        probing,
        recipe,
    )
