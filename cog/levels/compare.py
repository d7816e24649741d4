"""Where two benchmarks agree.

In: two `Levels`. Out: a `LevelsComparison`.
"""

from __future__ import annotations

from dataclasses import dataclass

from cog.levels.table import Levels


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
    one, two = (
        dict(zip(levels.table["wnid"], levels.table["level"].tolist(), strict=True))
        for levels in (first, second)
    )
    names: dict[str, str] = {}
    for levels in (first, second):
        names |= dict(zip(levels.table["wnid"], levels.table["name"], strict=True))
    per_level = []
    for level in sorted({*first.numbers, *second.numbers}):
        here, there = ({w for w, of in level_of.items() if of == level} for level_of in (one, two))
        per_level.append((level, len(here), len(there), len(here & there)))
    moved = tuple(
        (wnid, names[wnid], one.get(wnid), two.get(wnid))
        for wnid in sorted(names)
        if one.get(wnid) != two.get(wnid)
    )
    alone = (set(first.seen) - set(second.seen), set(second.seen) - set(first.seen))
    return LevelsComparison(
        tuple(per_level), moved, (tuple(sorted(alone[0])), tuple(sorted(alone[1])))
    )
