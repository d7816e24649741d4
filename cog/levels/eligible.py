"""Who is eligible for a level: the choices of a benchmark, and the filters one after another.

Comes in: a taxonomy and a `LevelsRecipe`. Goes out: the concepts that may be in a level, and for
each filter the concepts that it removed. The filters are those that hold for all 5,000 official
concepts (section 3.1 of the paper; found again from its lists): a concept must be unseen, must
not be an ancestor of a seen one, nor a person, must have 782 images and must be a leaf of the
universe; 70 more were taken out by hand (data/excluded.csv).
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
from cog.wordnet.taxonomy import Taxonomy

PERSON = "n00007846"


@dataclass(frozen=True)
class Eligibility:
    """The outcome of the filters; indices are those of the taxonomy.

    `concepts` int32[k] ascending, the eligible ones; `removed` what each filter took, in order;
    `seen` int32[s]; `universe` int32[u]; `image_counts` int64[n], −1 where the count is unknown.
    """

    concepts: NDArray[np.int32]
    removed: dict[str, NDArray[np.int32]]
    seen: NDArray[np.int32]
    universe: NDArray[np.int32]
    image_counts: NDArray[np.int64]


def choose_eligible(taxonomy: Taxonomy, recipe: LevelsRecipe) -> Eligibility:
    """The eligible concepts of a recipe; raises CogError for lists that cannot be read."""
    seen, universe = _indices(taxonomy, recipe.seen), _indices(taxonomy, recipe.universe)
    image_counts = _image_counts(taxonomy, recipe)
    concepts = universe
    if recipe.eligible is not None:
        concepts = _indices(taxonomy, recipe.eligible)
    removed: dict[str, NDArray[np.int32]] = {}
    for name, unfit in _filters(taxonomy, recipe, seen, universe, image_counts):
        removed[name] = np.intersect1d(concepts, unfit)
        concepts = np.setdiff1d(concepts, unfit)
    return Eligibility(concepts, removed, seen, universe, image_counts)


def _filters(
    taxonomy: Taxonomy,
    recipe: LevelsRecipe,
    seen: NDArray[np.int32],
    universe: NDArray[np.int32],
    image_counts: NDArray[np.int64],
) -> Iterator[tuple[str, NDArray[np.integer]]]:
    """Each filter's name and the concepts that are unfit by it, in the order they are told."""
    yield "seen", seen
    if recipe.eligible is not None:
        return
    if recipe.drop_seen_ancestors:
        yield "ancestors of seen concepts", above(taxonomy, seen)
    if recipe.drop_persons:
        yield "persons", taxonomy.descendants(taxonomy.index(PERSON))
    if recipe.min_images is not None:
        _require_counts(taxonomy, recipe, universe, image_counts)
        if recipe.images is None and (image_counts[universe] < 0).any():
            yield f"no picture count in {recipe.counts}", np.flatnonzero(image_counts < 0)
        too_few = np.flatnonzero(image_counts < recipe.min_images)
        yield f"fewer than {recipe.min_images} pictures", too_few
    if recipe.leaves_only:
        yield "not leaves of the universe", above(taxonomy, universe)
    if recipe.exclude is not None:
        yield "excluded by list", _indices(taxonomy, recipe.exclude)


def _indices(taxonomy: Taxonomy, source: Source) -> NDArray[np.int32]:
    return taxonomy.indices(read_wnids(source), list_name(source))


def above(taxonomy: Taxonomy, concepts: NDArray[np.int32]) -> NDArray[np.int32]:
    """The proper ancestors of `concepts`: everything that has one of them below it."""
    parents = [taxonomy.parents_of(concept) for concept in concepts.tolist()]
    return taxonomy.with_ancestors(np.concatenate([*parents, np.empty(0, np.int32)]))


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
    universe: NDArray[np.int32],
    image_counts: NDArray[np.int64],
) -> None:
    """Raise where the bundled counts know nothing of a user's universe: unknown is not zero.

    What a table of the user's own leaves out, it says, falls by a filter that is told apart.
    """
    unknown = universe[image_counts[universe] < 0]
    if recipe.images is None and recipe.counts == "in21k" and len(unknown):
        raise CogError(
            f"no image count for {len(unknown)} concepts of the universe,"
            f" {taxonomy.wnids[unknown[0]]} among them",
            "give --counts FILE or --images ROOT, or switch this filter off: --no-min-images",
        )
