"""The ranking: eligible concepts by their similarity to the seen ones, and its windows.

Comes in: a `LevelsRecipe` (cog/levels/eligible.py). Goes out: a `Ranking`, and where each level
begins.

- The corpus of the information content is universe, seen and eligible concepts, with ancestors.
- A concept's similarity is its greatest one to any seen concept; the ranking begins with the most
  similar. Of equally similar concepts the shallower comes first (`depth`, the longest way to the
  root), then the smaller wnid. The official lists show no order within ties; of the plain ones
  (wnid, name, images, depth) this one agrees best with the windows that they took.
- Level k is the window of `size` concepts from its start: `even` spreads the windows from the
  first to the last position (floor of linspace(0, n − size, n_levels)), `adjacent` puts one after
  another.

Source: Sariyildiz et al., Concept Generalization in Visual Representation Learning, ICCV 2021,
section 3; what the paper leaves open was found again from its lists (levels/README.md).
Cost: about a second, half of it for the similarities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cog.errors import CogError
from cog.levels.eligible import Eligibility, choose_eligible
from cog.levels.recipe import LevelsRecipe, require_known_names
from cog.levels.table import LEVEL_COLUMNS, Levels
from cog.wordnet.information_content import information_content
from cog.wordnet.similarity import Nearest, nearest
from cog.wordnet.taxonomy import Taxonomy, load_taxonomy


@dataclass(frozen=True, eq=False)
class Ranking:
    """All eligible concepts, most similar first: `concepts` int32[k] and `best` go together."""

    taxonomy: Taxonomy
    ic: NDArray[np.float64]
    eligibility: Eligibility
    concepts: NDArray[np.int32]
    best: Nearest


def rank_concepts(recipe: LevelsRecipe) -> Ranking:
    """The eligible concepts of a recipe by falling similarity to the seen ones."""
    require_known_names(recipe)
    taxonomy = load_taxonomy(recipe.wordnet)
    eligibility = choose_eligible(taxonomy, recipe)
    ic = information_content(taxonomy, corpus_members(eligibility))
    concepts = eligibility.concepts
    best = nearest(taxonomy, ic, concepts, eligibility.seen, recipe.measure, recipe.subsumer)
    order = np.lexsort((concepts, taxonomy.depth[concepts], -best.value))
    best = Nearest(best.value[order], best.seen[order], best.subsumer[order])
    return Ranking(taxonomy, ic, eligibility, concepts[order], best)


def corpus_members(eligibility: Eligibility) -> list[int]:
    """What the information content is counted over: universe, seen and eligible concepts."""
    members = [eligibility.universe, eligibility.seen, eligibility.concepts]
    return [int(i) for i in np.concatenate(members)]


def window_starts(n: int, recipe: LevelsRecipe) -> tuple[int, ...]:
    """Where each level begins in a ranking of n concepts, from 0.

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
            f"--size {fits} would fit" if fits else "eligible concepts are too few for any level",
        )
    if recipe.spacing == "adjacent":
        return tuple(range(0, n_levels * size, size))
    return tuple(k * (n - size) // max(n_levels - 1, 1) for k in range(n_levels))


def levels_table(
    ranking: Ranking, rows: NDArray[np.int64], levels: NDArray[np.int64]
) -> pd.DataFrame:
    """The levels table: `rows` of the ranking, each with its level."""
    taxonomy, concepts = ranking.taxonomy, ranking.concepts[rows]
    close, above = ranking.best.seen[rows], ranking.best.subsumer[rows]
    image_counts = pd.Series(ranking.eligibility.image_counts[concepts], dtype="Int64")
    columns = {
        "wnid": _look_up(taxonomy.wnids, concepts),
        "name": _look_up(taxonomy.names, concepts),
        "level": levels,
        "rank": rows + 1,
        "similarity": ranking.best.value[rows],
        "nearest_wnid": _look_up(taxonomy.wnids, close),
        "nearest_name": _look_up(taxonomy.names, close),
        "lcs_wnid": _look_up(taxonomy.wnids, above),
        "lcs_name": _look_up(taxonomy.names, above),
        "images": image_counts.mask(image_counts < 0),
    }
    return pd.DataFrame(columns).astype(LEVEL_COLUMNS)


def _look_up(texts: tuple[str, ...], places: NDArray[np.int32]) -> list[str]:
    """The texts at `places`; nothing at −1, where nothing lies above both concepts."""
    return [texts[place] if place >= 0 else "" for place in places.tolist()]


def tell_filters(ranking: Ranking) -> dict[str, Any]:
    """How many candidates there were, what each filter removed, what is left; the corpus."""
    removed = {name: len(gone) for name, gone in ranking.eligibility.removed.items()}
    return {
        "candidates": len(ranking.concepts) + sum(removed.values()),
        "removed": removed,
        "eligible": len(ranking.concepts),
        "corpus": int(np.isfinite(ranking.ic).sum()),
    }


def build_levels(recipe: LevelsRecipe | None = None, **choices: Any) -> Levels:
    """The levels of a recipe, by default of the official one; `choices` change fields of it.

    `build_levels(eligible="official")` gives the official levels. Raises CogError where a list
    cannot be read, a name is unknown, or too few concepts are eligible.
    """
    recipe = replace(recipe or LevelsRecipe(), **choices)
    ranking = rank_concepts(recipe)
    starts = window_starts(len(ranking.concepts), recipe)
    rows = np.concatenate([np.arange(start, start + recipe.size) for start in starts])
    levels = np.repeat(np.arange(1, recipe.n_levels + 1), recipe.size)
    seen = tuple(ranking.taxonomy.wnids[i] for i in ranking.eligibility.seen)
    return Levels(
        levels_table(ranking, rows, levels), seen, recipe.as_dict(), tell_filters(ranking)
    )
