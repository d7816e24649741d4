"""The options of a run as people give them, sorted to the dataclasses that take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from cog.datasets.find import DatasetOptions
from cog.errors import unknown_name
from cog.features.settings import Extraction
from cog.models.model import Model
from cog.probes.settings import RECIPE_OPTIONS, Probing

ModelLike = str | Path | Model


_MODEL_OPTIONS = ("weights", "pretrained", "pool", "official_quirks", "trust_checkpoint")


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    """`L1,L5` or a sequence of names."""
    return tuple(value.split(",")) if isinstance(value, str) else tuple(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "images": Path,
    "in1k": Path,
    "split": Path,
    "only": _names,
    "probes": _names,
    "shots": tuple,
    "seeds": tuple,
}


def _sort_options(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Options by the dataclass that takes them; paths and lists of names may come as text."""
    homes = {"datasets": DatasetOptions, "extraction": Extraction, "probing": Probing}
    names = {home: {field.name for field in fields(kind)} for home, kind in homes.items()}
    names["recipe"] = {"test_per_class", "min_train", "max_train", *RECIPE_OPTIONS}
    names["rest"] = {"out", "levels", "recipe", "name", "notice", *_MODEL_OPTIONS}
    parts: dict[str, dict[str, Any]] = {home: {} for home in names}
    for key, value in options.items():
        home = next((home for home, known in names.items() if key in known), None)
        if home is None:
            raise unknown_name("option", key, [name for known in names.values() for name in known])
        if value is not None:
            parts[home][key] = _READERS.get(key, lambda as_is: as_is)(value)
    return parts
