"""Which concepts are eligible for a level: the filters of a recipe, one after another.

In: a taxonomy and a `LevelsRecipe`. Out: the concepts that may be in a level, and for each filter
the concepts that it removed. The filters are those that all 5,000 official concepts pass (section
3.1 of the paper, and inferred from its lists). The authors removed 70 more concepts by hand
(cog/wordnet/data/excluded.csv).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.images.find import count_images
from cog.levels.recipe import LevelsRecipe
from cog.wordnet.concept_lists import Source, list_name, read_counts, read_wnids
from cog.wordnet.taxonomy import Ints, Taxonomy

PERSON = "n00007846"


@dataclass(frozen=True)
class Eligibility:
    """What the filters leave and remove; indices are those of the taxonomy."""

    concepts: Ints  # [k], ascending: the eligible ones
    removed: dict[str, Ints]  # filter → the concepts that it removed, in the order of the filters
    seen: Ints
    universe: Ints
    image_counts: NDArray[np.int64]  # [n], −1 where the number is unknown
    notes: tuple[str, ...] = ()  # of what was left out where images were counted


def choose_eligible(taxonomy: Taxonomy, recipe: LevelsRecipe) -> Eligibility:
    """The eligible concepts of a recipe; raises CogError for lists that cannot be read."""
    seen, universe = _indices(taxonomy, recipe.seen), _indices(taxonomy, recipe.universe)
    notes: tuple[str, ...] = ()
    if recipe.images is None:
        counts = read_counts(recipe.counts)
    else:
        counts, notes = count_images(Path(recipe.images), taxonomy.wnids)
    image_counts = np.array([counts.get(wnid, -1) for wnid in taxonomy.wnids], np.int64)
    concepts = universe if recipe.eligible is None else _indices(taxonomy, recipe.eligible)
    removed: dict[str, Ints] = {}
    for name, unfit in _filters(taxonomy, recipe, seen, universe, image_counts):
        removed[name] = np.intersect1d(concepts, unfit)
        concepts = np.setdiff1d(concepts, unfit)
    return Eligibility(concepts, removed, seen, universe, image_counts, notes)


def _filters(
    taxonomy: Taxonomy, recipe: LevelsRecipe, seen: Ints, universe: Ints, counts: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.integer]]]:
    """Each filter's name and the concepts that do not pass it, in the order of levels.json.

    The names enter levels.json. Renaming one would change files that exist.
    """
    yield "seen", seen
    if recipe.eligible is not None:
        return
    if recipe.drop_seen_ancestors:
        yield "ancestors of seen concepts", _above(taxonomy, seen)
    if recipe.drop_persons:
        yield "persons", taxonomy.descendants(taxonomy.index(PERSON))
    if recipe.min_images is not None:
        unknown = universe[counts[universe] < 0]
        if recipe.images is None and len(unknown):
            _refuse_bundled(taxonomy, recipe, unknown)
            yield f"no picture count in {recipe.counts}", unknown
        yield f"fewer than {recipe.min_images} pictures", np.flatnonzero(counts < recipe.min_images)
    if recipe.leaves_only:
        yield "not leaves of the universe", _above(taxonomy, universe)
    if recipe.exclude is not None:
        yield "excluded by list", _indices(taxonomy, recipe.exclude)


def _indices(taxonomy: Taxonomy, source: Source) -> Ints:
    return taxonomy.indices(read_wnids(source), list_name(source))


def _above(taxonomy: Taxonomy, concepts: Ints) -> Ints:
    """Every synset that has one of `concepts` below it."""
    return taxonomy.with_ancestors(i for each in concepts for i in taxonomy.parents_of(each))


def _refuse_bundled(taxonomy: Taxonomy, recipe: LevelsRecipe, unknown: Ints) -> None:
    """Raise where the bundled table has no count; for a table of the user that is a filter."""
    if recipe.counts == "in21k":
        raise CogError(
            f"no image count for {len(unknown)} concepts of the universe,"
            f" {taxonomy.wnids[unknown[0]]} among them",
            "give --counts FILE or --images ROOT, or turn this filter off with --no-min-images",
        )
