"""The report of `cog check-data`: CSV that grows by one class at a time.

A row is a finding; after the findings about the images of a class comes its row `checked`. A run
that continues the report ignores the rows of a class that lacks that row: its check was cut off.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cog.errors import CogError
from cog.storage import rows_as_csv, write_text

HEADER = ("dataset", "wnid", "path", "finding", "detail")
OF_IMAGES = ("unreadable", "odd", "duplicate")  # found by reading images
CHECKED = "checked"


class Finding(NamedTuple):
    """One row: what is wrong or odd about a class, or about one of its images."""

    dataset: str
    wnid: str
    path: str  # of the image; empty for a class
    finding: str
    detail: str


class CheckedClass(NamedTuple):
    """A class whose images are all checked: their state, and what was found."""

    state: str
    findings: tuple[Finding, ...]


def read_report(file: Path) -> dict[tuple[str, str], CheckedClass]:
    """The checked classes of a report, by dataset and wnid; none if there is no report.

    Raises:
        CogError: the file is something else.
    """
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    whole = text[: text.rfind("\n") + 1]  # a kill may have cut the last row
    rows = list(csv.reader(io.StringIO(whole)))
    if text and rows[:1] != [list(HEADER)]:
        raise CogError(f"{file} is not a report of cog check-data", "give --report another file")
    checked: dict[tuple[str, str], CheckedClass] = {}
    pending: dict[tuple[str, str], list[Finding]] = {}
    for row in rows[1:]:
        if len(row) != len(HEADER):
            continue
        finding = Finding(*row)
        key = finding.dataset, finding.wnid
        if finding.finding == CHECKED:
            checked[key] = CheckedClass(finding.detail, tuple(pending.pop(key, ())))
        elif finding.finding in OF_IMAGES:
            pending.setdefault(key, []).append(finding)
    return checked


def start_report(
    file: Path,
    of_classes: Iterable[Finding],
    checked: dict[tuple[str, str], CheckedClass],
) -> None:
    """Write the report anew, by rename: findings of the listing, and classes checked before."""
    rows: list[tuple[str, ...]] = [HEADER, *of_classes]
    for (dataset, wnid), done in checked.items():
        rows += _class_rows(dataset, wnid, done)
    write_text(file, rows_as_csv(rows))


def add_class(file: Path, dataset: str, wnid: str, done: CheckedClass) -> None:
    """Append a class, with its row `checked` last."""
    with file.open("a", encoding="utf-8", newline="") as opened:
        opened.write(rows_as_csv(_class_rows(dataset, wnid, done)))


def _class_rows(dataset: str, wnid: str, done: CheckedClass) -> list[Finding]:
    return [*done.findings, Finding(dataset, wnid, "", CHECKED, done.state)]
