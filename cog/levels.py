"""Levels: unseen concepts in windows of falling similarity to the seen ones; made, read, written.

Comes in: a `LevelsRecipe`, or a folder. Goes out: `Levels`, a table of the concepts in a level.

- `build_levels` cuts the ranking (cog/ranking.py) of the eligible concepts (cog/eligible.py).
- `write_levels` writes levels.csv, seen.csv and levels.json (recipe, report, versions, sha256).
- `read_levels` reads them back, by default the official ones, which come with the package, and
  refuses tables that are not those levels.json tells of.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import cog
from cog.eligible import LevelsRecipe, read_recipe
from cog.errors import CogError, unknown_name
from cog.ranking import (
    COLUMNS,
    levels_table,
    rank_concepts,
    require_known_names,
    tell_filters,
    window_starts,
)

FILES = ("levels.csv", "seen.csv", "levels.json")


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
        """The sorted wnids of one level; a picture's label is its position among them."""
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


def build_levels(recipe: LevelsRecipe | None = None, **choices: Any) -> Levels:
    """The levels of a recipe, by default of the official one; `choices` change fields of it.

    `build_levels(eligible="official")` gives the official levels. Raises CogError where a list
    cannot be read, a name is unknown, or too few concepts are eligible.
    """
    recipe = replace(recipe or LevelsRecipe(), **choices)
    ranking = rank_concepts(recipe)
    starts = window_starts(len(ranking.concepts), recipe)
    rows = np.concatenate([np.arange(start, start + recipe.size) for start in starts])
    levels = np.repeat(np.arange(1, recipe.n_levels + 1), recipe.size)
    seen = tuple(ranking.taxonomy.wnids[i] for i in ranking.eligibility.seen)
    return Levels(
        levels_table(ranking, rows, levels), seen, recipe.as_dict(), tell_filters(ranking)
    )


def read_levels(folder: Path | str | None = None, *, verify: bool = True) -> Levels:
    """The levels in a folder; None and "official" stand for the official ones.

    Raises CogError where a file is missing or is no such table, and, unless `verify` is off,
    where a table is not the one that levels.json was written with.
    """
    folder = official_folder() if folder is None or str(folder) == "official" else Path(folder)
    texts = {name: _read_text(folder, name) for name in FILES}
    try:
        story = json.loads(texts["levels.json"])
        table = pd.read_csv(
            StringIO(texts["levels.csv"]),
            dtype={name: kind for name, kind in COLUMNS.items() if name != "similarity"},
            converters={"similarity": float},  # pandas' own reading may miss the last bit
            usecols=list(COLUMNS),
            keep_default_na=False,
            na_values={"images": [""]},
        )[list(COLUMNS)]
        seen = tuple(sorted(texts["seen.csv"].split()[1:]))
        recipe, report = read_recipe(story["recipe"]), story["report"]
        if type(report["eligible"]) is not int:
            raise ValueError(f"its report has eligible = {report['eligible']!r}")
        levels = Levels(table, seen, story["recipe"], report)
        expected = story["sha256"]
        changed = [name for name in FILES[:2] if expected[name] != text_sha256(texts[name])]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CogError(
            f"{folder} does not hold levels as `cog build-levels` writes them:"
            f" {' '.join(str(error).split())}",
            "build them again with --out and another folder",
        ) from error
    require_known_names(recipe)
    if changed and verify:
        raise CogError(
            f"{folder / changed[0]} is not the file that levels.json was written with",
            f"see `cog levels check {folder}`, or build the levels again",
        )
    return levels


def write_levels(levels: Levels, folder: Path | str, overwrite: bool = False) -> None:
    """Write the three files into `folder`: whole, or not at all.

    All three are written beside their place before the first is renamed into it: a full disk
    leaves the levels that were there. levels.json comes last, so that its sha256 would give a
    half-replaced folder away.
    Raises CogError where it cannot write, and where the folder holds anything else than these
    very levels, unless `overwrite`.
    """
    folder = Path(folder)
    texts = _render(levels)
    try:
        if folder.exists() and not overwrite:
            _require_own(folder, texts)
        _write(folder, texts)
    except OSError as error:
        raise CogError(
            f"cannot write levels to {folder}: {error.strerror or error}",
            "name a folder that can be written with --out DIR",
        ) from error


def official_folder() -> Path:
    """Where the official levels are: in the installed package, or beside it in a clone."""
    package = Path(__file__).parent
    inside = package / "official_levels"
    return inside if inside.is_dir() else package.parent / "levels"


def text_sha256(text: str) -> str:
    """The sha256 of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def lines_sha256(lines: Iterable[str]) -> str:
    r"""The sha256 of lines, each with its newline.

    >>> lines_sha256(["n02084071"]) == text_sha256("n02084071\n")
    True
    """
    return text_sha256("".join(f"{line}\n" for line in lines))


def _render(levels: Levels) -> dict[str, str]:
    """File name → text; levels.json last, since it tells the sha256 of the others."""
    texts = {
        "levels.csv": levels.table.to_csv(index=False, lineterminator="\n"),
        "seen.csv": "".join(f"{line}\n" for line in ("wnid", *levels.seen)),
    }
    story = {
        "recipe": levels.recipe,
        "report": levels.report,
        "fingerprint": levels.fingerprint,
        "sha256": {name: text_sha256(text) for name, text in texts.items()},
        "sha256_of_wnids": {f"L{k}": lines_sha256(levels.wnids(k)) for k in levels.numbers},
        "versions": {
            "cog": cog.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pandas": pd.__version__,
        },
    }
    return texts | {"levels.json": json.dumps(story, indent=2, ensure_ascii=False) + "\n"}


def _write(folder: Path, texts: dict[str, str]) -> None:
    new = not folder.exists()
    temporary = (folder.parent if new else folder) / f".{folder.name}.{os.getpid()}"
    in_the_way = [str(folder / name) for name in texts if (folder / name).is_dir()]
    if in_the_way:
        raise CogError(
            f"expected a file, but {in_the_way[0]} is a folder",
            "move it away, or name another folder with --out DIR",
        )
    try:
        temporary.mkdir(parents=True)
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
        if new:
            temporary.rename(folder)
            return
        for name in texts:
            (temporary / name).replace(folder / name)
        temporary.rmdir()
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _require_own(folder: Path, texts: dict[str, str]) -> None:
    """Raise where writing would replace or join anything but these very levels."""
    others = sorted(entry.name for entry in folder.iterdir() if entry.name not in FILES)
    differing = [
        name
        for name in FILES[:2]
        if (folder / name).exists() and _read_text(folder, name) != texts[name]
    ]
    if others or differing:
        raise CogError(
            f"{folder} holds something else already: {', '.join([*differing, *others][:3])}",
            "name another folder with --out DIR, or replace its levels with --overwrite",
        )


def _read_text(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CogError(
            f"no levels in {str(folder)!r}: cannot read {name} ({error})",
            "make them with `cog build-levels --out DIR`; `official` stands for the official ones",
        ) from error
