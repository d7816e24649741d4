"""Whether levels are what they say: sizes, order, names, and against other levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cog.errors import CogError
from cog.levels.files import read_levels
from cog.levels.recipe import read_recipe
from cog.levels.table import Levels
from cog.wordnet.taxonomy import load_taxonomy


@dataclass(frozen=True)
class LevelsComparison:
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


def compare_levels(first: Levels, second: Levels) -> LevelsComparison:
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
    return LevelsComparison(
        tuple(per_level), moved, (tuple(sorted(alone[0])), tuple(sorted(alone[1])))
    )


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
    table, recipe = levels.table, read_recipe(levels.recipe)
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
