"""The ranking of concepts by falling similarity to the seen ones, and the levels, its windows.

In: a `LevelsRecipe`. Out: a `Ranking`; `Levels`.

- The corpus of the information content is universe, seen and eligible concepts, with ancestors.
- A concept's similarity is its greatest one to any seen concept; the ranking begins with the most
  similar. Of equally similar concepts the shallower comes first (`depth`, the longest path to the
  root), then the smaller wnid. The official lists show no order within ties; of the plain ones
  (wnid, name, images, depth) this one agrees best with the windows that they took.
- Level k is the window of `size` concepts from its start. `even` spreads the windows from the first
  concept of the ranking to the last (floor of linspace(0, n − size, n_levels)); `adjacent` puts one
  after another.

Source: Sariyildiz et al., Concept Generalization in Visual Representation Learning, ICCV 2021,
section 3; levels/README.md says what we inferred from the lists where the paper is silent.
Cost: about a second, half of it for the similarities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cog.errors import CogError
from cog.levels.eligible import Eligibility, choose_eligible
from cog.levels.recipe import LevelsRecipe
from cog.levels.table import LEVEL_COLUMNS, Levels
from cog.wordnet.concept_lists import Source
from cog.wordnet.information_content import information_content
from cog.wordnet.measures import Floats
from cog.wordnet.similarity import Nearest, nearest
from cog.wordnet.taxonomy import Ints, Taxonomy, load_taxonomy


@dataclass(frozen=True, eq=False)
class Ranking:
    """All k eligible concepts, the most similar first."""

    taxonomy: Taxonomy
    ic: Floats  # [n]
    eligibility: Eligibility
    concepts: Ints  # [k], indices in the taxonomy
    best: Nearest  # [k], the nearest seen concept of each, in the same order


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
        seen=seen, universe=universe, eligible=eligible, counts=counts, images=images,
        min_images=min_images, drop_seen_ancestors=drop_seen_ancestors, drop_persons=drop_persons,
        leaves_only=leaves_only, exclude=exclude, n_levels=n_levels, size=size, spacing=spacing,
        measure=measure, subsumer=subsumer, wordnet=wordnet,
    )  # fmt: skip
    return cut_levels(rank_concepts(recipe), recipe)


def rank_concepts(recipe: LevelsRecipe) -> Ranking:
    """The eligible concepts of a recipe, ranked; raises CogError for lists that cannot be read."""
    taxonomy = load_taxonomy(recipe.wordnet)
    eligibility = choose_eligible(taxonomy, recipe)
    ic = information_content(taxonomy, corpus_members(eligibility))
    concepts = eligibility.concepts
    best = nearest(taxonomy, ic, concepts, eligibility.seen, recipe.measure, recipe.subsumer)
    order = np.lexsort((concepts, taxonomy.depth[concepts], -best.value))
    best = Nearest(best.value[order], best.seen[order], best.subsumer[order])
    return Ranking(taxonomy, ic, eligibility, concepts[order], best)


def corpus_members(eligibility: Eligibility) -> list[int]:
    """The concepts whose information content is counted; indices in the taxonomy."""
    return [*eligibility.universe, *eligibility.seen, *eligibility.concepts]


def cut_levels(ranking: Ranking, recipe: LevelsRecipe) -> Levels:
    """The windows of the ranking of a recipe; the report counts what each filter removed."""
    starts = window_starts(len(ranking.concepts), recipe)
    rows = np.concatenate([np.arange(start, start + recipe.size) for start in starts])
    table = levels_table(ranking, rows, np.repeat(np.arange(1, recipe.n_levels + 1), recipe.size))
    seen = tuple(ranking.taxonomy.wnids[i] for i in ranking.eligibility.seen)
    removed = {name: len(concepts) for name, concepts in ranking.eligibility.removed.items()}
    report = {
        "candidates": len(ranking.concepts) + sum(removed.values()),
        "removed": removed,
        "eligible": len(ranking.concepts),
        "corpus": int(np.isfinite(ranking.ic).sum()),
    }
    return Levels(table, seen, recipe.as_dict(), report, ranking.eligibility.notes)


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
