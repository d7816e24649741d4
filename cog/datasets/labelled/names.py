"""What a dataset of the user's may be called: its name is a part of file names and of options."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cog.errors import CogError
from cog.plain_text import printable
from cog.recipe import IN1K, LEVEL, level_number

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TAKEN = re.compile(rf"{IN1K}|({LEVEL}|l)\d+")  # what `--only` and results call the benchmark's own


def check_names(names: Iterable[str]) -> None:
    """Refuse names of datasets that cannot be used.

    Raises:
        CogError: letters, digits, `.`, `_` and `-` alone make a name; `--` separates the parts of
            a cell's name; in1k, L1 and cog_l1 are the benchmark's; two names differ in case alone.
    """
    known: dict[str, str] = {}
    for name in names:
        if not SAFE.fullmatch(name) or "--" in name:
            raise CogError(
                f"a dataset cannot be called {printable(name)[:80]!r}",
                "give it a name of at most 64 letters (a to z), digits, ., _ and -, without --",
            )
        if _TAKEN.fullmatch(name.lower()):
            raise CogError(
                f"a dataset cannot be called {name}: that is one of the benchmark's own",
                "give it another name; --in1k and --images say where the benchmark's images are",
            )
        if other := known.get(name.lower()):
            same = "twice" if other == name else f"and {other}, which differs in case alone"
            raise CogError(f"the dataset {name} is there {same}", "give each a name of its own")
        known[name.lower()] = name


def short_name(name: str) -> str:
    """A dataset's name in small letters, that of a level as people may write it.

    >>> short_name(" COG_L1"), short_name("L1"), short_name("cog_lions")
    ('l1', 'l1', 'cog_lions')
    """
    name = name.strip().lower()
    return name if level_number(name) is None else name.removeprefix("cog_")
