"""The ranking: the eligible concepts by falling similarity to the seen ones.

In: a `LevelsRecipe`. Out: a `Ranking`.

- The corpus of the information content is universe, seen and eligible concepts, with ancestors.
- A concept's similarity is its greatest one to any seen concept; the ranking begins with the most
  similar. Of equally similar concepts the shallower comes first (`depth`, the longest path to the
  root), then the smaller wnid. The official lists show no order within ties; of the plain ones
  (wnid, name, images, depth) this one agrees best with the windows that they took.

Source: Sariyildiz et al., Concept Generalization in Visual Representation Learning, ICCV 2021,
section 3; levels/README.md says what we inferred from the lists where the paper is silent.
Cost: about a second, half of it for the similarities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cog.levels.eligible import Eligibility, choose_eligible
from cog.levels.recipe import LevelsRecipe, require_known_names
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


def rank_concepts(recipe: LevelsRecipe) -> Ranking:
    """The eligible concepts of a recipe by falling similarity to the seen ones.

    Raises CogError for lists that cannot be read and for names that are unknown.
    """
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
    """The concepts whose information content is counted, as indices in the taxonomy."""
    members = [eligibility.universe, eligibility.seen, eligibility.concepts]
    return [int(i) for i in np.concatenate(members)]
