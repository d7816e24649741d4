"""Whether a folder of levels is sound: sizes, order, names, and the hashes of its files.

In: a folder. Out: the findings, a line each.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from cog.errors import CogError
from cog.levels.files import read_levels
from cog.levels.recipe import read_recipe
from cog.levels.table import Levels
from cog.wordnet.taxonomy import load_taxonomy


def check_levels(folder: Path | str | None) -> tuple[str, ...]:
    """What is wrong with the levels in a folder, a line each; empty if they are sound.

    Raises CogError where the folder holds no levels to check.
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
