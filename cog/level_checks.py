"""Questions to levels: why is a concept where it is, do two folders agree, is a folder sound?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from cog.eligible import LevelsRecipe, choose_eligible
from cog.errors import CogError
from cog.levels import Levels, read_levels
from cog.measures import find_measure
from cog.pairs import explain_pair
from cog.ranking import Ranking, rank_concepts
from cog.similarity import nearest
from cog.wordnet import Taxonomy, find_concept, load_taxonomy


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
    nearest: str = ""
    """the seen concept most similar to it: wnid and name; empty where nothing can be told"""
    subsumer: str = ""
    """the lowest common subsumer of the two"""
    formula: str = ""
    """the measure with its numbers, and what comes out"""


@dataclass(frozen=True)
class Comparison:
    """Where two benchmarks agree."""

    per_level: tuple[tuple[int, int, int, int], ...]
    """(level, concepts in the first, in the second, in both)"""
    moved: tuple[tuple[str, str, int | None, int | None], ...]
    """(wnid, name, level in the first, in the second) where those differ; None: in no level"""
    seen: tuple[tuple[str, ...], tuple[str, ...]]
    """seen concepts of the first alone, of the second alone"""

    @property
    def equal(self) -> bool:
        """Whether the same concepts are seen, and the same are in every level."""
        return not self.moved and not any(self.seen)


def explain_concept(text: str, levels: Levels) -> Placement:
    """Why the concept that `text` means (wnid, dog.n.01, or a word) is where it is in `levels`.

    The ranking is computed again from the recipe. Raises CogError for an unknown concept, and
    where a list that the recipe names cannot be read any more.
    """
    recipe = replace(LevelsRecipe(**levels.recipe), seen=levels.seen)
    ranking = rank_concepts(recipe)
    taxonomy = ranking.taxonomy
    node, others = find_concept(taxonomy, text)
    told = Placement(
        taxonomy.wnids[node],
        taxonomy.names[node],
        tuple(taxonomy.names[other] for other in others),
        tuple(sorted(_paths(taxonomy, node))),
        _verdict(node, levels, ranking, recipe),
    )
    measure = find_measure(recipe.measure)
    if measure.kind == "information" and not np.isfinite(ranking.ic[node]):
        return told
    rules = (recipe.measure, recipe.subsumer)
    best = nearest(taxonomy, ranking.ic, [node], ranking.eligibility.seen, *rules)
    pair = explain_pair(taxonomy, ranking.ic, node, int(best.seen[0]), *rules)
    return replace(
        told,
        nearest=_label(taxonomy, pair.b),
        subsumer=_label(taxonomy, pair.subsumer),
        formula=f"{recipe.measure} = {pair.formula} = {pair.numbers} = {pair.value:.6g}",
    )


def compare_levels(first: Levels, second: Levels) -> Comparison:
    """Which concepts two benchmarks put in the same level, and which not."""
    places = [
        dict(zip(levels.table["wnid"], levels.table["level"].tolist(), strict=True))
        for levels in (first, second)
    ]
    names = dict(zip(first.table["wnid"], first.table["name"], strict=True))
    names |= dict(zip(second.table["wnid"], second.table["name"], strict=True))
    per_level = []
    for level in sorted({*first.numbers, *second.numbers}):
        one, two = ({w for w, at in place.items() if at == level} for place in places)
        per_level.append((level, len(one), len(two), len(one & two)))
    moved = tuple(
        (wnid, names[wnid], places[0].get(wnid), places[1].get(wnid))
        for wnid in sorted(names)
        if places[0].get(wnid) != places[1].get(wnid)
    )
    alone = (set(first.seen) - set(second.seen), set(second.seen) - set(first.seen))
    return Comparison(tuple(per_level), moved, (tuple(sorted(alone[0])), tuple(sorted(alone[1]))))


def check_levels(folder: Path | str | None) -> tuple[str, ...]:
    """What is wrong with the levels in a folder, a line each; nothing if they are sound.

    Raises CogError where the folder holds no levels that could be checked.
    """
    levels = read_levels(folder, verify=False)
    findings = [*_size_findings(levels), *_order_findings(levels), *_name_findings(levels)]
    try:
        read_levels(folder)
    except CogError as error:
        findings.append(error.what)
    return tuple(findings)


def _size_findings(levels: Levels) -> Iterator[str]:
    table, recipe = levels.table, LevelsRecipe(**levels.recipe)
    for wnid in table["wnid"][table["wnid"].duplicated()].unique():
        yield f"{wnid} is in the table more than once"
    if levels.numbers != tuple(range(1, recipe.n_levels + 1)):
        yield f"expected levels 1 to {recipe.n_levels}, found {list(levels.numbers)}"
    for level, size in table["level"].value_counts().sort_index().items():
        if size != recipe.size:
            yield f"L{level} has {size} concepts, expected {recipe.size}"


def _order_findings(levels: Levels) -> Iterator[str]:
    table = levels.table
    rows = list(zip(table["wnid"], table["similarity"], table["level"], strict=True))
    for (_, above, level_above), (wnid, similarity, level) in pairwise(rows):
        if not similarity <= above:
            yield f"the similarity rises at {wnid}"
        if level < level_above:
            yield f"the level falls at {wnid}"


def _name_findings(levels: Levels) -> Iterator[str]:
    concepts = set(levels.table["wnid"])
    for wnid in sorted(concepts & set(levels.seen)):
        yield f"{wnid} is in a level, but seen"
    known = set(load_taxonomy(levels.recipe["wordnet"]).wnids)
    for wnid in sorted((concepts | set(levels.seen)) - known):
        yield f"{wnid} is not in WordNet"


def _verdict(node: int, levels: Levels, ranking: Ranking, recipe: LevelsRecipe) -> str:
    """The level of a concept and its rank, or the first thing that keeps it out of all."""
    eligibility, wnid = ranking.eligibility, ranking.taxonomy.wnids[node]
    eligible = len(ranking.concepts)
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
