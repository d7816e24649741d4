"""What a benchmark is made of: lists, filters, sizes, measure."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cog.errors import CogError, unknown_name
from cog.recipe import IN1K
from cog.small_files import shown
from cog.wordnet.concept_lists import BUNDLED, Source
from cog.wordnet.measures import MEASURES, SUBSUMERS

SPACINGS = ("even", "adjacent")


@dataclass(frozen=True)
class LevelsRecipe:
    """What a benchmark is made of; the defaults are those of the official one.

    `seen`, `universe`, `eligible` and `exclude` are lists as `read_wnids` takes them. With
    `eligible` only one filter applies: it removes seen concepts. `counts` is a table of how many
    images a concept has; if `images` names a folder of images, they are counted instead.
    Raises CogError for an unknown measure, rule or spacing, and for sizes below 1.
    """

    seen: Source = IN1K
    universe: Source = "in21k"
    eligible: Source | None = None
    counts: str = "in21k"
    images: str | None = None
    min_images: int | None = 782  # 732 to train, 50 to test
    drop_seen_ancestors: bool = True
    drop_persons: bool = True
    leaves_only: bool = True
    exclude: Source | None = "excluded"
    n_levels: int = 5
    size: int = 1000
    spacing: str = "even"
    measure: str = "lin"
    subsumer: str = "deepest"
    wordnet: str = "bundled"

    def __post_init__(self) -> None:
        """Refuse unknown names and sizes below 1."""
        known = {"measure": tuple(MEASURES), "subsumer": SUBSUMERS, "spacing": SPACINGS}
        for kind, names in known.items():
            if getattr(self, kind) not in names:
                raise unknown_name(kind, getattr(self, kind), names)
        if min(self.n_levels, self.size) < 1:
            raise CogError(
                f"expected at least one level of one concept; found {self.n_levels} of {self.size}",
                "give --n-levels and --size of 1 or more",
            )

    def as_dict(self) -> dict[str, Any]:
        """The choices as JSON can hold them; `read_recipe(choices)` gives the recipe back.

        Paths become absolute, so that they hold in any working directory.
        """
        return vars(self) | {name: _absolute(getattr(self, name)) for name in _LISTS + _PATHS}


_LISTS = ("seen", "universe", "eligible", "exclude")
_PATHS = ("counts", "images", "wordnet")
_NAMES = (*BUNDLED, "bundled", "nltk")
_OPTIONAL = ("eligible", "images", "min_images", "exclude")


def read_recipe(choices: dict[str, Any]) -> LevelsRecipe:
    """The recipe that `as_dict` gave.

    Raises ValueError for a choice of the wrong type, TypeError for one that does not exist, and
    CogError as `LevelsRecipe` does.
    """
    for name, value in choices.items():
        default = getattr(LevelsRecipe, name, None)
        kind = str if default is None else type(default)
        fits = type(value) is kind or (value is None and name in _OPTIONAL)
        if name in _LISTS and isinstance(value, list):
            fits = all(isinstance(wnid, str) for wnid in value)
        if not fits:
            raise ValueError(f"its recipe has {name} = {shown(repr(value))}")
    return LevelsRecipe(**choices)


def paths_for(choices: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The choices to be written into `folder`: paths beside and in it become relative to it.

    So the same files give the same levels.json on every machine; other paths stay absolute.
    """
    home = Path(os.path.normpath(folder.absolute()))

    def relative(path: str) -> str:
        whole = Path(os.path.normpath(path))
        if not whole.is_relative_to(home.parent):
            return path
        found = Path(os.path.relpath(whole, home)).as_posix()
        return found if found.startswith("../") else f"./{found}"

    return _with_paths(choices, relative)


def paths_from(choices: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The choices that were read from `folder`, with absolute paths again."""
    return _with_paths(choices, lambda path: os.path.normpath(folder.absolute() / path))


def _with_paths(choices: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The choices with every path changed; names and lists of wnids stay."""
    return choices | {
        name: change(value)
        for name, value in choices.items()
        if name in _LISTS + _PATHS and isinstance(value, str) and value not in _NAMES
    }


def _absolute(source: Source | None) -> str | list[str] | None:
    if source is None or not isinstance(source, str | Path):
        return None if source is None else list(source)
    return str(source) if str(source) in _NAMES else str(Path(source).absolute())
