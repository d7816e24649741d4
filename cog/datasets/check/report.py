"""The report of `cog check-data`: CSV that grows by one class at a time.

A row is a finding; after the findings about the images of a class comes its row `checked`. A run
that continues the report ignores the rows of a class that lacks that row: its check was cut off.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from cog.csv_text import rows_as_csv, rows_from_csv
from cog.errors import CogError
from cog.progress import Notify
from cog.small_files import NotReadable, read_small
from cog.storage import write_text

HEADER = ("dataset", "wnid", "path", "finding", "detail")
OF_IMAGES = ("unreadable", "truncated", "odd", "duplicate")  # found by reading images
CHECKED = "checked"
SYNSETS = "synsets"  # of a table of synsets that does not fit its dataset


class Finding(NamedTuple):
    """One row: what is wrong or odd about a class, or about one of its images."""

    dataset: str
    wnid: str
    path: str  # of the image; empty for a class
    finding: str
    detail: str


def read_report(file: Path) -> dict[tuple[str, str], tuple[Finding, ...]]:
    """The rows of every checked class, by dataset and wnid; none if there is no report.

    The last row of each is `checked`, and its detail says which images were checked, and how.

    Raises:
        CogError: the file is something else.
    """
    try:
        text = read_small(file).decode("utf-8", "replace")
        whole = text[: text.rfind("\n") + 1]  # a kill may have cut the last row
        rows = list(rows_from_csv(whole))
        if text and rows[:1] != [list(HEADER)]:
            raise NotReadable("it has other columns")
    except FileNotFoundError:
        return {}
    except (NotReadable, csv.Error) as error:
        what = f"{file} is not a report of cog check-data: {error}"
        raise CogError(what, "give --report another file") from error
    checked: dict[tuple[str, str], tuple[Finding, ...]] = {}
    pending: dict[tuple[str, str], list[Finding]] = {}
    for finding in (Finding(*row) for row in rows[1:] if len(row) == len(HEADER)):
        key = finding.dataset, finding.wnid
        if finding.finding == CHECKED:
            checked[key] = (*pending.pop(key, ()), finding)
        elif finding.finding in OF_IMAGES:
            pending.setdefault(key, []).append(finding)
    return checked


def start_report(
    file: Path,
    of_classes: Iterable[Finding],
    checked: Iterable[tuple[Finding, ...]],
    notify: Notify | None = None,
) -> None:
    """Write the report anew, by rename: findings of the listing, and classes checked before."""
    write_text(file, rows_as_csv([HEADER, *of_classes, *chain.from_iterable(checked)], notify))


def add_class(file: Path, checked: tuple[Finding, ...], notify: Notify | None = None) -> None:
    """Append a class. `notify` gets a line if texts are changed, so that none is a formula."""
    with file.open("a", encoding="utf-8", newline="") as opened:
        opened.write(rows_as_csv(checked, notify))
