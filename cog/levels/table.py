"""The table of levels, and the hashes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cog.errors import unknown_name

LEVEL_COLUMNS = {
    "wnid": "str",
    "name": "str",
    "level": "int64",
    "rank": "int64",
    "similarity": "float64",
    "nearest_wnid": "str",
    "nearest_name": "str",
    "lcs_wnid": "str",
    "lcs_name": "str",
    "images": "Int64",
}


@dataclass(frozen=True, eq=False)
class Levels:
    """A benchmark: its levels, its seen concepts and how they came about.

    `table`: one row per concept in a level, in the order of the ranking, columns as `COLUMNS`
    (`rank` counts from 1 among all eligible concepts; `images` is missing where unknown).
    `seen`: sorted wnids. `recipe`: the choices, as `read_recipe` takes them.
    `report`: how many candidates there were, what each filter removed, how many were left.
    """

    table: pd.DataFrame
    seen: tuple[str, ...]
    recipe: dict[str, Any]
    report: dict[str, Any]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the levels, ascending."""
        return tuple(sorted(int(level) for level in self.table["level"].unique()))

    def wnids(self, level: int) -> tuple[str, ...]:
        """The sorted wnids of one level; an image's label is its position among them."""
        return tuple(sorted(self.rows(level)["wnid"]))

    def rows(self, level: int) -> pd.DataFrame:
        """The rows of one level; raises CogError where there is none of that number."""
        if level not in self.numbers:
            raise unknown_name("level", f"L{level}", [f"L{number}" for number in self.numbers])
        return self.table[self.table["level"] == level]

    @property
    def fingerprint(self) -> str:
        """sha256 over the level and wnid of every concept and over the seen wnids."""
        pairs = sorted(zip(self.table["level"], self.table["wnid"], strict=True))
        lines = [f"{level},{wnid}" for level, wnid in pairs] + [f"seen,{w}" for w in self.seen]
        return lines_sha256(lines)


def text_sha256(text: str) -> str:
    """The sha256 of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def lines_sha256(lines: Iterable[str]) -> str:
    r"""The sha256 of lines, each with its newline.

    >>> lines_sha256(["n02084071"]) == text_sha256("n02084071\n")
    True
    """
    return text_sha256("".join(f"{line}\n" for line in lines))
