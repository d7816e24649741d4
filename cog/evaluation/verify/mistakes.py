"""What mistakes cost, computed again from predictions and from the synsets of the classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from cog.evaluation.verify.findings import EVALUATE, Finding, Found
from cog.evaluation.verify.folder import Folder
from cog.results.columns import full_name
from cog.results.kept_mistakes import entries_file, is_of, made_entry, read_entries
from cog.results.synsets import synsets_reader

_HINT = f"remove it and run {EVALUATE}: it writes it again"


def check_mistakes(folder: Folder) -> Iterator[Found]:
    """Every entry of a mistakes.json that is of a cell as it is; others are read by nobody."""
    synsets = synsets_reader(folder.runs)
    kept = {file: read_entries(file) for file in {entries_file(path) for path in folder.cells}}
    for path in sorted(folder.cells, key=lambda path: full_name(folder.cells[path]["row"])):
        row, file = folder.cells[path]["row"], entries_file(path)
        before, known = kept[file].get(path.stem, {}), synsets(full_name(row))
        if not is_of(before, row, known):
            continue
        now = made_entry(path, row, known, lambda _: None)  # damaged files are said elsewhere
        for name in sorted({*now, *before}) if now else ():
            if not _same(now, before, name):
                expected = f"{name} {now.get(name)} of {path.stem}, as its predictions give it"
                yield Finding(str(file), expected, str(before.get(name)), _HINT)


def _same(now: Mapping[str, Any], before: Mapping[str, Any], name: str) -> bool:
    """Whether two entries agree, but for the last digits of a mean."""
    one, other = now.get(name), before.get(name)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12)
    return bool(one == other)
