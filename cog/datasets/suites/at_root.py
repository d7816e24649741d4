"""A suite under the folder where its datasets lie: what is missing there."""

from __future__ import annotations

from pathlib import Path

from cog.datasets.suites.suite import Suite, SuiteSet


def needed(each: SuiteSet) -> tuple[str, ...]:
    """What a set needs, relative to the folder of all sets."""
    return each.needs or (each.place,)


def missing(suite: Suite, root: Path) -> dict[str, tuple[str, ...]]:
    """What is not under `root` of each set, by its name; sets that lack nothing are not there."""
    lacking = {
        name: tuple(path for path in needed(each) if not (root / path).exists())
        for name, each in suite.sets.items()
    }
    return {name: paths for name, paths in lacking.items() if paths}
