"""Levels: unseen concepts in windows of falling similarity to the seen ones; made, read, written.

Comes in: a `LevelsRecipe`, or a folder. Goes out: `Levels`, a table of the concepts in a level.

- `build_levels` cuts the ranking (cog/levels/build.py) of the eligible concepts
  (cog/levels/eligible.py).
- `write_levels` writes levels.csv, seen.csv and levels.json (recipe, report, versions, sha256).
- `read_levels` reads them back, by default the official ones, which come with the package, and
  refuses tables that are not those levels.json tells of.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from cog.errors import CogError
from cog.levels.recipe import read_recipe, require_known_names
from cog.levels.table import LEVEL_COLUMNS, Levels, lines_sha256, text_sha256
from cog.provenance import cog_version

FILES = ("levels.csv", "seen.csv", "levels.json")


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
            dtype={name: kind for name, kind in LEVEL_COLUMNS.items() if name != "similarity"},
            converters={"similarity": float},  # pandas' own reading may miss the last bit
            usecols=list(LEVEL_COLUMNS),
            keep_default_na=False,
            na_values={"images": [""]},
        )[list(LEVEL_COLUMNS)]
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
    """Where the official levels are; in a clone it is a link to levels/."""
    return Path(__file__).parents[1] / "official_levels"


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
            "cog": cog_version(),
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
