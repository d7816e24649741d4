"""Which concepts are eligible for a level: the filters of a recipe, one after another.

In: a taxonomy and a `LevelsRecipe`. Out: the concepts that may be in a level, and for each filter
the concepts that it removed. The filters are those that all 5,000 official concepts pass (section
3.1 of the paper, and inferred from its lists). A concept must be unseen, must not be an ancestor of
a seen one nor a person, must have 782 images, and must be a leaf of the universe. The authors
removed 70 more by hand (cog/wordnet/data/excluded.csv).
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


def choose_eligible(taxonomy: Taxonomy, recipe: LevelsRecipe) -> Eligibility:
    """The eligible concepts of a recipe; raises CogError for lists that cannot be read."""
    seen, universe = _indices(taxonomy, recipe.seen), _indices(taxonomy, recipe.universe)
    image_counts = _image_counts(taxonomy, recipe)
    concepts = universe
    if recipe.eligible is not None:
        concepts = _indices(taxonomy, recipe.eligible)
    removed: dict[str, Ints] = {}
    for name, unfit in _filters(taxonomy, recipe, seen, universe, image_counts):
        removed[name] = np.intersect1d(concepts, unfit)
        concepts = np.setdiff1d(concepts, unfit)
    return Eligibility(concepts, removed, seen, universe, image_counts)


def _filters(
    taxonomy: Taxonomy,
    recipe: LevelsRecipe,
    seen: Ints,
    universe: Ints,
    image_counts: NDArray[np.int64],
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
        _require_counts(taxonomy, recipe, universe, image_counts)
        if recipe.images is None and (image_counts[universe] < 0).any():
            yield f"no picture count in {recipe.counts}", np.flatnonzero(image_counts < 0)
        too_few = np.flatnonzero(image_counts < recipe.min_images)
        yield f"fewer than {recipe.min_images} pictures", too_few
    if recipe.leaves_only:
        yield "not leaves of the universe", _above(taxonomy, universe)
    if recipe.exclude is not None:
        yield "excluded by list", _indices(taxonomy, recipe.exclude)


def _indices(taxonomy: Taxonomy, source: Source) -> Ints:
    return taxonomy.indices(read_wnids(source), list_name(source))


def _above(taxonomy: Taxonomy, concepts: Ints) -> Ints:
    """Every synset that has one of `concepts` below it."""
    return taxonomy.with_ancestors(i for each in concepts for i in taxonomy.parents_of(each))


def _image_counts(taxonomy: Taxonomy, recipe: LevelsRecipe) -> NDArray[np.int64]:
    """Images per node, int64[n]; −1 where the table has no row, or `images` no such class."""
    if recipe.images is None:
        counts = read_counts(recipe.counts)
    else:
        counts = count_images(Path(recipe.images), taxonomy.wnids)
    return np.array([counts.get(wnid, -1) for wnid in taxonomy.wnids], np.int64)


def _require_counts(
    taxonomy: Taxonomy,
    recipe: LevelsRecipe,
    universe: Ints,
    image_counts: NDArray[np.int64],
) -> None:
    """Raise where the bundled counts do not know a concept of the universe: unknown is not zero.

    A concept that the user's own table leaves out falls by a filter of its own instead.
    """
    unknown = universe[image_counts[universe] < 0]
    if recipe.images is None and recipe.counts == "in21k" and len(unknown):
        raise CogError(
            f"no image count for {len(unknown)} concepts of the universe,"
            f" {taxonomy.wnids[unknown[0]]} among them",
            "give --counts FILE or --images ROOT, or turn this filter off with --no-min-images",
        )
