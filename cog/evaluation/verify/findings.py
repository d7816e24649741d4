"""What a check finds: a claim that does not hold, or a line of what cannot be proved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cog.small_files import NotReadable, read_json
from cog.storage import StoragePath

EXTRACT = "`cog extract` with the options of the run"
EVALUATE = "`cog evaluate` with the options of the run"
MAKE = f"run {EXTRACT}: it makes what is missing, and leaves the rest"
RESTORE = f"put it back as it was, or remove it and run {EXTRACT}: it writes it again"
RESTORE_CELL = f"put it back as it was, or remove it and run {EVALUATE}"


@dataclass(frozen=True)
class Finding:
    """One claim of a file that does not hold."""

    file: str
    expected: str
    found: str
    hint: str
    """what to do"""

    @property
    def line(self) -> str:
        """The finding without the hint, for people."""
        return f"{self.file}: expected {self.expected}, found {self.found}"


Found = Finding | str
"""a finding, or a note: a line that is no fault"""


class BrokenError(Exception):
    """A file that cannot be used for further checks; it has the finding."""

    def __init__(self, finding: Finding) -> None:
        """`finding`: what is wrong with the file."""
        super().__init__(finding.line)
        self.finding = finding


@dataclass(frozen=True)
class Proof:
    """What `cog.verify` found."""

    runs: str
    faults: tuple[Finding, ...]
    """what does not hold"""
    notes: tuple[str, ...]
    """what is no fault: what could not be proved, and why"""
    checked: dict[str, int]
    """how many of each kind were checked"""

    @property
    def sound(self) -> bool:
        """Whether everything holds that could be checked."""
        return not self.faults

    def as_json(self) -> str:
        """All of it as one JSON object."""
        content = {"runs": self.runs, "sound": self.sound, **asdict(self)}
        return json.dumps(content, indent=1) + "\n"


def read_document(path: StoragePath, hint: str) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        BrokenError: the file is not there, or holds something else.
    """
    try:
        content = read_json(path)
    except (OSError, NotReadable) as error:
        raise BrokenError(Finding(str(path), "JSON", why(error), hint)) from error
    if not isinstance(content, dict):
        finding = Finding(str(path), "a JSON object", f"a {type(content).__name__}", hint)
        raise BrokenError(finding)
    return content


def why(error: Exception) -> str:
    """What was found in place of a file that can be read."""
    if isinstance(error, FileNotFoundError):
        return "no file"
    return (error.strerror if isinstance(error, OSError) else "") or f"that {error}"


def beside(path: StoragePath) -> str:
    """What to do about a file beside the cell at `path`: both are written by one fit."""
    return f"put it back as it was, or remove the cell {path} and run {EVALUATE}"


def renamed(model: str) -> str:
    """What to do about the folder of a model run that has another name than its model."""
    return f"call the folder {model} again; or remove it, if {model} has one too"


def some(names: Sequence[object]) -> str:
    """The first three of several names, and how many more there are."""
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f"{', '.join(map(str, names[:3]))}{more}"


def differing(
    rows: Mapping[StoragePath, Mapping[str, Any]],
    column: str,
    expected: Sequence[Any],
    source: object,
    *,
    may_change: str = "",
) -> list[Found]:
    """The cells whose row has another value in a column than `source` says, as one finding.

    Args:
        rows: the row of each cell, by its file.
        column: which value is compared.
        expected: what `source` says; any of these will do.
        source: the file that the expected value comes from. It is named if no cell agrees.
        may_change: why some of the cells may differ; that they do is then a note.
    """
    values = {path: row.get(column) for path, row in rows.items()}
    others = {path: value for path, value in values.items() if value not in expected}
    if not others:
        return []
    shown = some(sorted({str(value) for value in others.values()}))
    wanted = " or ".join(map(str, expected))
    if may_change and len(others) < len(rows):
        names = some([path.name for path in others])
        return [
            f"{len(others)} cells have {column} {shown}, and {source} says {wanted}: {may_change} "
            f"({names})"
        ]
    if len(others) == len(rows):
        claim = f"{column} {shown}, as all its {len(rows)} cells have it"
        return [Finding(str(source), claim, wanted, RESTORE)]
    names = some(list(others))
    return [Finding(names, f"{column} {wanted}, as {source} has it", shown, RESTORE_CELL)]
