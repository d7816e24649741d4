"""The table of levels, and its hashes."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cog.errors import unknown_name
from cog.plain_text import from_spreadsheet
from cog.recipe import WNID
from cog.small_files import finite_number, shown, whole_number

LEVEL_COLUMNS = {  # column of levels.csv → its type
    "wnid": "str",
    "name": "str",
    "level": "int64",
    "rank": "int64",  # from 1, among all eligible concepts
    "similarity": "float64",  # to the nearest seen concept
    "nearest_wnid": "str",
    "nearest_name": "str",
    "lcs_wnid": "str",  # the lowest common subsumer of the two; empty if there is none
    "lcs_name": "str",
    "images": "Int64",  # missing where the number is unknown
}


@dataclass(frozen=True, eq=False)
class Levels:
    """A benchmark: its levels, its seen concepts and how they were made."""

    table: pd.DataFrame  # a row for each concept, columns LEVEL_COLUMNS, most similar first
    seen: tuple[str, ...]  # sorted wnids
    recipe: dict[str, Any]  # the choices, as `read_recipe` takes them
    report: dict[str, Any]  # how many candidates, how many each filter removed, …
    notes: tuple[str, ...] = ()  # for the user who builds them; not kept

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the levels, ascending."""
        return tuple(sorted(int(level) for level in self.table["level"].unique()))

    def wnids(self, level: int) -> tuple[str, ...]:
        """The sorted wnids of one level; an image's label is its index among them."""
        return tuple(sorted(self.rows(level)["wnid"]))

    def rows(self, level: int) -> pd.DataFrame:
        """The rows of one level; raises CogError for a number that it does not have."""
        if level not in self.numbers:
            raise unknown_name("level", f"L{level}", [f"L{number}" for number in self.numbers])
        return self.table[self.table["level"] == level]

    def levels_of(self, wnids: Iterable[str]) -> tuple[int, ...]:
        """The level of each concept; 0 for one that is in none."""
        level_of = dict(zip(self.table["wnid"], self.table["level"].tolist(), strict=True))
        return tuple(level_of.get(wnid, 0) for wnid in wnids)

    @property
    def fingerprint(self) -> str:
        """sha256 over the level and wnid of every concept and over the seen wnids."""
        pairs = sorted(zip(self.table["level"], self.table["wnid"], strict=True))
        lines = [f"{level},{wnid}" for level, wnid in pairs] + [f"seen,{w}" for w in self.seen]
        return lines_sha256(lines)


def read_table(text: str) -> pd.DataFrame:
    """The table of levels from CSV as `table_as_csv` writes it; other columns are passed over.

    Raises:
        ValueError: a row or column that such a table does not have.
        csv.Error: quotes that do not end.
    """
    head, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    if missing := [name for name in LEVEL_COLUMNS if name not in head]:
        raise ValueError(f"it has no column {', '.join(missing)}")
    places = {name: head.index(name) for name in LEVEL_COLUMNS}
    values: dict[str, list[Any]] = {name: [] for name in LEVEL_COLUMNS}
    if not rows:
        raise ValueError("it has no concepts")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(head):
            raise ValueError(f"row {number} has {len(row)} fields, the head {len(head)}")
        try:
            for name, place in places.items():
                values[name].append(_FIELDS[name](row[place]))
        except ValueError as error:
            raise ValueError(f"row {number}, {name}: {error}") from error
    columns = {name: pd.Series(values[name], dtype=LEVEL_COLUMNS[name]) for name in LEVEL_COLUMNS}
    return pd.DataFrame(columns)


def _count(text: str) -> int:
    number = whole_number(text)
    if not 1 <= number < 2**63:
        raise ValueError(f"expected a number from 1 up, found {number}")
    return number


def _wnid(text: str) -> str:
    if not WNID.fullmatch(text):
        raise ValueError(f"{shown(text)} is no wnid")
    return text


_FIELDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(LEVEL_COLUMNS, from_spreadsheet),
    "wnid": _wnid,
    "level": _count,
    "rank": _count,
    "similarity": finite_number,
    "images": lambda text: _count(text) if text not in ("", "0") else (0 if text else None),
}


def level_named(text: str) -> int | None:
    """The number of the level that people write as L3, l3 or cog_l3; None for other texts.

    >>> level_named("L3"), level_named("cog_l12"), level_named("lion")
    (3, 12, None)
    """
    named = re.fullmatch(r"(?:cog_)?l([0-9]{1,9})", text.strip().lower())
    return int(named[1]) if named else None


def text_sha256(text: str) -> str:
    """The sha256 of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def lines_sha256(lines: Iterable[str]) -> str:
    r"""The sha256 of lines, each with its newline.

    >>> lines_sha256(["n02084071"]) == text_sha256("n02084071\n")
    True
    """
    return text_sha256("".join(f"{line}\n" for line in lines))
