"""Whether a folder of levels is sound, and where two benchmarks agree.

In: a folder; two `Levels`. Out: the findings, a line each; a `LevelsComparison`.
"""

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
    """Where two benchmarks agree.

    `moved`: (wnid, name, level in the first, in the second) where the two levels differ; None means
    no level. `seen`: the seen concepts of the first alone, and of the second alone.
    """

    per_level: tuple[tuple[int, int, int, int], ...]  # level, concepts in first, second, both
    moved: tuple[tuple[str, str, int | None, int | None], ...]
    seen: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def equal(self) -> bool:
        """Whether they have the same seen concepts, and the same concepts in every level."""
        return not self.moved and not any(self.seen)

    @property
    def shared(self) -> int:
        """How many concepts are in the same level of both."""
        return sum(both for *_, both in self.per_level)


def compare_levels(first: Levels, second: Levels) -> LevelsComparison:
    """Which concepts two benchmarks put in the same level, and which not."""
    one, two = (each.table.set_index("wnid")["level"].to_dict() for each in (first, second))
    names: dict[str, str] = {}
    for table in (first.table, second.table):
        names |= zip(table["wnid"], table["name"], strict=True)
    per_level = []
    for level in sorted({*first.numbers, *second.numbers}):
        here, there = ({w for w, of in level_of.items() if of == level} for level_of in (one, two))
        per_level.append((level, len(here), len(there), len(here & there)))
    moved = sorted(wnid for wnid in names if one.get(wnid) != two.get(wnid))
    only_first = tuple(sorted({*first.seen} - {*second.seen}))
    only_second = tuple(sorted({*second.seen} - {*first.seen}))
    rows = tuple((wnid, names[wnid], one.get(wnid), two.get(wnid)) for wnid in moved)
    return LevelsComparison(tuple(per_level), rows, (only_first, only_second))


def check_levels(folder: Path | str | None) -> tuple[str, ...]:
    """What is wrong with the levels in a folder, a line each; empty if they are sound.

    Raises CogError where the folder holds no levels to check.
    """
    levels = read_levels(folder, verify=False)
    findings = [*_table_findings(levels), *_name_findings(levels)]
    try:
        read_levels(folder)
    except CogError as error:
        findings.append(error.what)
    return tuple(findings)


def _table_findings(levels: Levels) -> Iterator[str]:
    table, recipe = levels.table, read_recipe(levels.recipe)
    for wnid in table["wnid"][table["wnid"].duplicated()].unique():
        yield f"{wnid} is in the table more than once"
    in_order = levels.numbers == tuple(range(1, len(levels.numbers) + 1))
    if not in_order or len(levels.numbers) != recipe.n_levels:
        yield f"expected levels 1 to {recipe.n_levels}, found {list(levels.numbers)}"
    for level, size in table["level"].value_counts().sort_index().items():
        if size != recipe.size:
            yield f"L{level} has {size} concepts, expected {recipe.size}"
    rows = zip(table["wnid"], table["similarity"], table["level"], strict=True)
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
