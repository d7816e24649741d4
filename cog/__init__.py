"""Concept generalization of visual representations: the ImageNet-CoG benchmark and beyond.

Names load when first used, so that `import cog` imports neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cog.errors import CogError as CogError
    from cog.evaluation.evaluate import evaluate as evaluate
    from cog.evaluation.verify.verify import verify as verify
    from cog.images.preprocess import Preprocess as Preprocess
    from cog.levels.build import build_levels as build_levels
    from cog.levels.explain import explain_concept as explain_concept
    from cog.levels.files import read_levels as read_levels
    from cog.levels.files import write_levels as write_levels
    from cog.models.check import check_model as check_model
    from cog.models.load import load_model as load_model
    from cog.models.model import Model as Model
    from cog.monitor.monitor import Monitor as Monitor
    from cog.recipe import Recipe as Recipe
    from cog.report.write import write_report as write_report
    from cog.results.class_accuracies import class_accuracies as class_accuracies
    from cog.wordnet.pairs import similarity as similarity
    from cog.wordnet.taxonomy import load_taxonomy as load_taxonomy

_HOMES = {
    "CogError": "cog.errors",
    "Model": "cog.models.model",
    "Monitor": "cog.monitor.monitor",
    "Preprocess": "cog.images.preprocess",
    "Recipe": "cog.recipe",
    "build_levels": "cog.levels.build",
    "check_model": "cog.models.check",
    "class_accuracies": "cog.results.class_accuracies",
    "evaluate": "cog.evaluation.evaluate",
    "explain_concept": "cog.levels.explain",
    "load_model": "cog.models.load",
    "load_taxonomy": "cog.wordnet.taxonomy",
    "read_levels": "cog.levels.files",
    "similarity": "cog.wordnet.pairs",
    "verify": "cog.evaluation.verify.verify",
    "write_levels": "cog.levels.files",
    "write_report": "cog.report.write",
}
__all__ = [
    "CogError", "Model", "Monitor", "Preprocess", "Recipe", "build_levels", "check_model",
    "class_accuracies", "evaluate", "explain_concept", "load_model", "load_taxonomy",
    "read_levels", "similarity", "verify", "write_levels", "write_report",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name, or the version, when it is first used."""
    if name == "__version__":
        from cog.provenance import cog_version

        return cog_version()
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cog' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, "__version__"])
