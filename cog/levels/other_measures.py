"""Levels under other measures: how far the ranking of concepts and the levels would be others.

In: levels, names of measures. Out: for each measure the levels of the same recipe under it, how
many concepts stay in their level, and how far the two rankings agree.

- The concepts, the corpus and the windows are those of the recipe; the measure alone is another.
- A concept is ranked by its similarity to the nearest seen concept. Many concepts are
  equally similar, so Kendall's tau is tau-b, and Spearman's rho has mean ranks for ties: what
  orders equals when levels are cut plays no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cog.errors import CogError
from cog.levels.build import Ranking, cut_levels, rank_concepts
from cog.levels.check import compare_levels
from cog.levels.recipe import read_recipe
from cog.levels.table import Levels
from cog.wordnet.concept_lists import Source
from cog.wordnet.measures import MEASURES, Floats


@dataclass(frozen=True, eq=False)
class Regrouping:
    """The levels of a recipe under one measure, beside the reference."""

    measure: str
    levels: Levels
    same: tuple[tuple[int, int, int, int], ...]
    """level, its concepts in the reference, its concepts here, those in both"""
    tau: float  # Kendall's tau-b of the two rankings of all concepts; NaN if one has only ties
    rho: float  # Spearman's


@dataclass(frozen=True, eq=False)
class Regroupings:
    """What `regroup` finds."""

    reference: Levels
    n_concepts: int  # ranked, in levels or between them
    by_measure: tuple[Regrouping, ...]


def regroup(levels: Levels, measures: Sequence[str], eligible: Source | None = None) -> Regroupings:
    """The levels of the same recipe under each of `measures`.

    `eligible`: rank these concepts instead of the recipe's, as `read_wnids` takes them; the
    reference then is the recipe's own measure on them. Raises CogError for an unknown measure, for
    lists that cannot be read, and where there are too few concepts.
    """
    from scipy.stats import kendalltau, spearmanr

    recipe = read_recipe(levels.recipe)
    if eligible is not None:
        recipe = replace(recipe, eligible=eligible)
    if not measures:
        raise CogError("expected at least one measure, found none", f"one of {', '.join(MEASURES)}")
    asked = [replace(recipe, measure=measure) for measure in measures]
    own = rank_concepts(recipe)
    reference = levels if eligible is None else cut_levels(own, recipe)
    found = []
    for other in asked:
        ranking = rank_concepts(other)
        cut = cut_levels(ranking, other)
        one, two = _by_concept(own), _by_concept(ranking)
        tau = kendalltau(one, two).statistic
        rho = spearmanr(one, two).statistic
        same = compare_levels(reference, cut).per_level
        found.append(Regrouping(other.measure, cut, same, float(tau), float(rho)))
    return Regroupings(reference, len(own.concepts), tuple(found))


def _by_concept(ranking: Ranking) -> Floats:
    """The similarities in the order of the concepts, which all measures share."""
    return ranking.best.value[np.argsort(ranking.concepts)]
