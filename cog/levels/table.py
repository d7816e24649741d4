"""The table of levels, and its hashes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cog.errors import unknown_name

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

    @property
    def fingerprint(self) -> str:
        """sha256 over the level and wnid of every concept and over the seen wnids."""
        pairs = sorted(zip(self.table["level"], self.table["wnid"], strict=True))
        lines = [f"{level},{wnid}" for level, wnid in pairs] + [f"seen,{w}" for w in self.seen]
        return lines_sha256(lines)


def level_named(text: str) -> int | None:
    """The number of the level that people write as L3, l3 or cog_l3; None for other texts.

    >>> level_named("L3"), level_named("cog_l12"), level_named("lion")
    (3, 12, None)
    """
    named = re.fullmatch(r"(?:cog_)?l([0-9]+)", text.strip().lower())
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
