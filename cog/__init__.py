"""Concept generalization of visual representations: the ImageNet-CoG benchmark and beyond.

Names load when first used, so that `import cog` imports neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cog.errors import CogError as CogError
    from cog.evaluation import evaluate as evaluate
    from cog.levels import build_levels as build_levels
    from cog.levels import read_levels as read_levels
    from cog.models import Model as Model
    from cog.models import load_model as load_model
    from cog.recipe import Recipe as Recipe
    from cog.transforms import Preprocess as Preprocess
    from cog.wordnet import load_taxonomy as load_taxonomy

_HOMES = {
    "CogError": "cog.errors",
    "Model": "cog.models",
    "Preprocess": "cog.transforms",
    "Recipe": "cog.recipe",
    "build_levels": "cog.levels",
    "evaluate": "cog.evaluation",
    "load_model": "cog.models",
    "load_taxonomy": "cog.wordnet",
    "read_levels": "cog.levels",
}
__all__ = ["CogError", "Model", "Preprocess", "Recipe", "build_levels", "evaluate", "load_model",
           "load_taxonomy", "read_levels"]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name, or the version, when it is first asked for."""
    if name == "__version__":
        try:
            return version("imagenet-cog")
        except PackageNotFoundError:  # run from a clone without an install
            return "0+unknown"
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cog' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, "__version__"])
