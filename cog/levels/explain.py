"""Why a concept is where it is in levels.

In: a concept as people write it, and `Levels`. Out: a `Placement`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cog.errors import CogError
from cog.levels.build import Ranking, corpus_members, levels_table, rank_concepts
from cog.levels.eligible import choose_eligible
from cog.levels.recipe import LevelsRecipe, read_recipe
from cog.levels.table import Levels
from cog.wordnet.information_content import information_content
from cog.wordnet.measures import find_measure
from cog.wordnet.names import find_concept
from cog.wordnet.similarity import explain_pair, nearest
from cog.wordnet.taxonomy import Taxonomy


@dataclass(frozen=True)
class Placement:
    """Why a concept is in its level, or in none."""

    wnid: str
    name: str
    other_senses: tuple[str, ...]  # names of what else the word means
    paths: tuple[tuple[str, ...], ...]  # every path from the root down to it, as names
    verdict: str  # its level and rank, or why it is in no level
    nearest: str  # the seen concept most similar to it: wnid and name
    subsumer: str  # the lowest common subsumer of the two, or none
    formula: str  # the measure with its numbers and its value
    outside: bool  # whether the corpus did not have it, so that we added it with its ancestors


def explain_concept(text: str, levels: Levels) -> Placement:
    """Why the concept `text` (a wnid, dog.n.01, or a word) is where it is in `levels`.

    Computes the ranking again from the recipe. Raises CogError for an unknown concept, and where a
    list of the recipe cannot be read any more or gives other levels than those of the table.
    """
    recipe = replace(read_recipe(levels.recipe), seen=levels.seen)
    ranking = _rank_again(recipe, levels)
    taxonomy, ic = ranking.taxonomy, ranking.ic
    concept, others = find_concept(taxonomy, text)
    outside = find_measure(recipe.measure).informative and not np.isfinite(ic[concept])
    if outside:
        ic = information_content(taxonomy, [*corpus_members(ranking.eligibility), concept])
    rules = (recipe.measure, recipe.subsumer)
    best = nearest(taxonomy, ic, [concept], ranking.eligibility.seen, *rules)
    pair = explain_pair(taxonomy, ic, concept, int(best.seen[0]), *rules)
    note = f" ({pair.note})" if pair.note else ""
    return Placement(
        taxonomy.wnids[concept],
        taxonomy.names[concept],
        tuple(taxonomy.names[other] for other in others),
        tuple(sorted(_paths(taxonomy, concept))),
        _verdict(concept, levels, ranking, recipe),
        nearest=_label(taxonomy, pair.b),
        subsumer=_label(taxonomy, pair.subsumer),
        formula=f"{recipe.measure} = {pair.formula} = {pair.numbers} = {pair.value:.6g}{note}",
        outside=outside,
    )


def _rank_again(recipe: LevelsRecipe, levels: Levels) -> Ranking:
    """The ranking that `levels` were cut from; raises CogError where it is a different one now."""
    hint = "restore the lists that levels.json names, or build the levels again"
    try:
        ranking = rank_concepts(recipe)
    except CogError as error:
        raise CogError(f"cannot compute these levels again: {error.what}", hint) from error
    table, rows = levels.table, levels.table["rank"].to_numpy() - 1
    found, expected = len(ranking.concepts), levels.report["eligible"]
    if found != expected or not ((rows >= 0) & (rows < found)).all():
        what = f"expected {expected} eligible concepts, found {found}"
        raise CogError(f"the inputs of these levels have changed: {what}", hint)
    again = levels_table(ranking, rows, table["level"].to_numpy())
    same = np.isclose(again["similarity"], table["similarity"].to_numpy(), rtol=1e-9, atol=0)
    for name in ("wnid", "nearest_wnid", "lcs_wnid"):
        same &= again[name].to_numpy() == table[name].to_numpy()
    if not same.all():
        what = f"{(~same).sum()} of {len(same)} rows differ now"
        raise CogError(f"the inputs of these levels have changed: {what}", hint)
    return ranking


def _verdict(concept: int, levels: Levels, ranking: Ranking, recipe: LevelsRecipe) -> str:
    """The level of a concept and its rank, or the first reason why it is in no level."""
    ranks = np.flatnonzero(ranking.concepts == concept) + 1
    if not len(ranks):
        return f"in no level: {_obstacle(concept, ranking, recipe)}"
    rank = f"rank {ranks[0]} of {len(ranking.concepts)}"
    row = levels.table[levels.table["wnid"] == ranking.taxonomy.wnids[concept]]
    if not len(row):
        return f"in no level: {rank} lies in none of the windows"
    return f"in L{row['level'].iloc[0]}, {rank}"


def _obstacle(concept: int, ranking: Ranking, recipe: LevelsRecipe) -> str:
    """Why a concept is not eligible."""
    eligibility = ranking.eligibility
    if concept in eligibility.seen:
        return "it is one of the seen concepts"
    if recipe.eligible == "official":  # a list without filters: name the filter of the benchmark
        recipe = replace(recipe, eligible=None)
        eligibility = choose_eligible(ranking.taxonomy, recipe)
        if concept in eligibility.concepts:
            return "it passes every filter, but is not among the 5,000 official ones"
    for name, removed in eligibility.removed.items():
        if concept in removed:
            return f"removed by the filter “{name}”"
    return f"not in the {'universe' if recipe.eligible is None else 'eligible list'}"


def _paths(taxonomy: Taxonomy, concept: int) -> Iterator[tuple[str, ...]]:
    parents = taxonomy.parents_of(concept).tolist()
    if not parents:
        yield (taxonomy.names[concept],)
    for parent in parents:
        for path in _paths(taxonomy, parent):
            yield (*path, taxonomy.names[concept])


def _label(taxonomy: Taxonomy, i: int) -> str:
    return f"{taxonomy.wnids[i]} {taxonomy.names[i]}" if i >= 0 else "none"
