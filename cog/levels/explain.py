"""Questions to levels: why is a concept where it is, do two folders agree, is a folder sound?"""

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
from cog.wordnet.pairs import explain_pair
from cog.wordnet.similarity import nearest
from cog.wordnet.taxonomy import Taxonomy


@dataclass(frozen=True)
class Placement:
    """Why a concept is in its level, or in none."""

    wnid: str
    name: str
    other_senses: tuple[str, ...]
    """names of what else the word means"""
    paths: tuple[tuple[str, ...], ...]
    """every way from the root down to it, as names"""
    verdict: str
    """its level and rank, or what keeps it out"""
    nearest: str
    """the seen concept most similar to it: wnid and name"""
    subsumer: str
    """the lowest common subsumer of the two, or none"""
    formula: str
    """the measure with its numbers, and what comes out"""
    outside: bool
    """whether it had to be added to the corpus, with its ancestors"""


def explain_concept(text: str, levels: Levels) -> Placement:
    """Why the concept that `text` means (wnid, dog.n.01, or a word) is where it is in `levels`.

    The ranking is computed again from the recipe; a concept outside the corpus joins it with its
    ancestors. Raises CogError for an unknown concept, and where a list that the recipe names
    cannot be read any more or gives other levels than those of the table.
    """
    recipe = replace(read_recipe(levels.recipe), seen=levels.seen)
    ranking = _rank_again(recipe, levels)
    taxonomy, ic = ranking.taxonomy, ranking.ic
    node, others = find_concept(taxonomy, text)
    outside = find_measure(recipe.measure).informative and not np.isfinite(ic[node])
    if outside:
        ic = information_content(taxonomy, [*corpus_members(ranking.eligibility), node])
    rules = (recipe.measure, recipe.subsumer)
    best = nearest(taxonomy, ic, [node], ranking.eligibility.seen, *rules)
    pair = explain_pair(taxonomy, ic, node, int(best.seen[0]), *rules)
    note = f" ({pair.note})" if pair.note else ""
    return Placement(
        taxonomy.wnids[node],
        taxonomy.names[node],
        tuple(taxonomy.names[other] for other in others),
        tuple(sorted(_paths(taxonomy, node))),
        _verdict(node, levels, ranking, recipe),
        nearest=_label(taxonomy, pair.b),
        subsumer=_label(taxonomy, pair.subsumer),
        formula=f"{recipe.measure} = {pair.formula} = {pair.numbers} = {pair.value:.6g}{note}",
        outside=outside,
    )


def _rank_again(recipe: LevelsRecipe, levels: Levels) -> Ranking:
    """The ranking that `levels` were cut from; raises CogError where it comes out differently."""
    hint = "put the lists of its levels.json back as they were, or build the levels again"
    try:
        ranking = rank_concepts(recipe)
    except CogError as error:
        raise CogError(f"cannot compute these levels again: {error.what}", hint) from error
    table, rows = levels.table, levels.table["rank"].to_numpy() - 1
    found, told = len(ranking.concepts), levels.report["eligible"]
    if found != told or not ((rows >= 0) & (rows < found)).all():
        what = f"{found} concepts are eligible now, {told} were"
        raise CogError(f"the inputs of these levels have changed: {what}", hint)
    again = levels_table(ranking, rows, table["level"].to_numpy())
    same = np.isclose(again["similarity"], table["similarity"].to_numpy(), rtol=1e-9, atol=0)
    for name in ("wnid", "nearest_wnid", "lcs_wnid"):
        same &= again[name].to_numpy() == table[name].to_numpy()
    if not same.all():
        what = f"{(~same).sum()} of {len(same)} rows come out differently now"
        raise CogError(f"the inputs of these levels have changed: {what}", hint)
    return ranking


def _verdict(node: int, levels: Levels, ranking: Ranking, recipe: LevelsRecipe) -> str:
    """The level of a concept and its rank, or the first thing that keeps it out of all."""
    eligibility, wnid = ranking.eligibility, ranking.taxonomy.wnids[node]
    eligible = levels.report["eligible"]
    row = levels.table[levels.table["wnid"] == wnid]
    if len(row):
        return f"in L{row['level'].iloc[0]}, rank {row['rank'].iloc[0]} of {eligible}"
    if node in eligibility.seen:
        return "in no level: it is one of the seen concepts"
    if node in ranking.concepts:
        rank = int(np.flatnonzero(ranking.concepts == node)[0]) + 1
        return f"in no level: rank {rank} of {eligible} lies in none of the windows"
    if recipe.eligible == "official":
        recipe = replace(recipe, eligible=None)
        eligibility = choose_eligible(ranking.taxonomy, recipe)
        if node in eligibility.concepts:
            return "in no level: it passes every filter, but is not among the 5,000 official ones"
    for name, gone in eligibility.removed.items():
        if node in gone:
            return f"in no level: removed by the filter “{name}”"
    return f"in no level: not in the {'universe' if recipe.eligible is None else 'eligible list'}"


def _paths(taxonomy: Taxonomy, node: int) -> Iterator[tuple[str, ...]]:
    parents = taxonomy.parents_of(node).tolist()
    if not parents:
        yield (taxonomy.names[node],)
    for parent in parents:
        for path in _paths(taxonomy, parent):
            yield (*path, taxonomy.names[node])


def _label(taxonomy: Taxonomy, node: int) -> str:
    return f"{taxonomy.wnids[node]} {taxonomy.names[node]}" if node >= 0 else "none"
