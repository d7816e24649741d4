"""Levels: windows of the ranking.

In: a `LevelsRecipe`. Out: `Levels`.

Level k is the window of `size` concepts from its start. `even` spreads the windows from the first
concept of the ranking to the last (floor of linspace(0, n − size, n_levels)); `adjacent` puts one
after another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cog.errors import CogError
from cog.levels.ranking import Ranking, rank_concepts
from cog.levels.recipe import LevelsRecipe
from cog.levels.table import LEVEL_COLUMNS, Levels
from cog.wordnet.concept_lists import Source
from cog.wordnet.taxonomy import Ints


def build_levels(
    *,
    seen: Source = LevelsRecipe.seen,
    universe: Source = LevelsRecipe.universe,
    eligible: Source | None = LevelsRecipe.eligible,
    counts: str = LevelsRecipe.counts,
    images: str | None = LevelsRecipe.images,
    min_images: int | None = LevelsRecipe.min_images,
    drop_seen_ancestors: bool = LevelsRecipe.drop_seen_ancestors,
    drop_persons: bool = LevelsRecipe.drop_persons,
    leaves_only: bool = LevelsRecipe.leaves_only,
    exclude: Source | None = LevelsRecipe.exclude,
    n_levels: int = LevelsRecipe.n_levels,
    size: int = LevelsRecipe.size,
    spacing: str = LevelsRecipe.spacing,
    measure: str = LevelsRecipe.measure,
    subsumer: str = LevelsRecipe.subsumer,
    wordnet: str = LevelsRecipe.wordnet,
) -> Levels:
    """The levels of a recipe, by default of the official one; `LevelsRecipe` explains the choices.

    `build_levels(eligible="official")` gives the official levels. Raises CogError where a list
    cannot be read, a name is unknown, or too few concepts are eligible.
    """
    recipe = LevelsRecipe(
        seen, universe, eligible, counts, images, min_images, drop_seen_ancestors, drop_persons,
        leaves_only, exclude, n_levels, size, spacing, measure, subsumer, wordnet,
    )  # fmt: skip
    return cut_levels(rank_concepts(recipe), recipe)


def cut_levels(ranking: Ranking, recipe: LevelsRecipe) -> Levels:
    """The windows of the ranking of a recipe, as `Levels`."""
    starts = window_starts(len(ranking.concepts), recipe)
    rows = np.concatenate([np.arange(start, start + recipe.size) for start in starts])
    table = levels_table(ranking, rows, np.repeat(np.arange(1, recipe.n_levels + 1), recipe.size))
    seen = tuple(ranking.taxonomy.wnids[i] for i in ranking.eligibility.seen)
    return Levels(table, seen, recipe.as_dict(), _report(ranking))


def window_starts(n: int, recipe: LevelsRecipe) -> tuple[int, ...]:
    """Where each level begins in a ranking of n concepts, from 0.

    Raises CogError where the levels need more than n concepts.

    >>> window_starts(5146, LevelsRecipe())
    (0, 1036, 2073, 3109, 4146)
    >>> window_starts(5146, LevelsRecipe(spacing="adjacent", n_levels=2))
    (0, 1000)
    """
    n_levels, size = recipe.n_levels, recipe.size
    if n < n_levels * size:
        fits = n // n_levels
        raise CogError(
            f"{n_levels} levels of {size} need {n_levels * size} eligible concepts; found {n}",
            f"--size {fits} would fit" if fits else "loosen the filters, or ask for fewer levels",
        )
    if recipe.spacing == "adjacent":
        return tuple(range(0, n_levels * size, size))
    return tuple(k * (n - size) // max(n_levels - 1, 1) for k in range(n_levels))


def levels_table(
    ranking: Ranking, rows: NDArray[np.int64], levels: NDArray[np.int64]
) -> pd.DataFrame:
    """The table of levels: `rows` of the ranking, each with its level; columns LEVEL_COLUMNS."""
    taxonomy, concepts = ranking.taxonomy, ranking.concepts[rows]
    seen, above = ranking.best.seen[rows], ranking.best.subsumer[rows]
    image_counts = pd.Series(ranking.eligibility.image_counts[concepts], dtype="Int64")
    columns = {
        "wnid": _look_up(taxonomy.wnids, concepts),
        "name": _look_up(taxonomy.names, concepts),
        "level": levels,
        "rank": rows + 1,
        "similarity": ranking.best.value[rows],
        "nearest_wnid": _look_up(taxonomy.wnids, seen),
        "nearest_name": _look_up(taxonomy.names, seen),
        "lcs_wnid": _look_up(taxonomy.wnids, above),
        "lcs_name": _look_up(taxonomy.names, above),
        "images": image_counts.mask(image_counts < 0),
    }
    return pd.DataFrame(columns).astype(LEVEL_COLUMNS)


def _look_up(texts: tuple[str, ...], indices: Ints) -> list[str]:
    """The text of each index; empty at −1, where nothing lies above both concepts."""
    return [texts[i] if i >= 0 else "" for i in indices.tolist()]


def _report(ranking: Ranking) -> dict[str, Any]:
    """The number of candidates, of concepts that each filter removed, of those left; the corpus."""
    removed = {name: len(concepts) for name, concepts in ranking.eligibility.removed.items()}
    return {
        "candidates": len(ranking.concepts) + sum(removed.values()),
        "removed": removed,
        "eligible": len(ranking.concepts),
        "corpus": int(np.isfinite(ranking.ic).sum()),
    }
