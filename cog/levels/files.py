"""The folder of levels: levels.csv, seen.csv and levels.json.

In: `Levels`, or a folder. Out: the three files, or `Levels`.

levels.json has the recipe, the report, the versions, and the sha256 of the two tables. Reading
refuses tables that do not match it. The official levels come with the package.
"""

from __future__ import annotations

import csv
import json
import platform
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from cog.csv_text import table_as_csv
from cog.errors import CogError
from cog.levels.recipe import paths_for, paths_from, read_recipe
from cog.levels.table import Levels, lines_sha256, read_table, text_sha256
from cog.partial_files import is_partial, partial_file, sweep
from cog.provenance import cog_version
from cog.recipe import WNID
from cog.small_files import NotReadable, parse_json, read_text, shown

FILES = ("levels.csv", "seen.csv", "levels.json")


def read_levels(folder: Path | str | None = None, *, verify: bool = True) -> Levels:
    """The levels in a folder; None and "official" mean the official ones.

    Raises CogError where a file is missing or is not such a table, and, unless `verify` is off,
    where a table does not match the sha256 in levels.json.
    """
    folder = official_folder() if folder is None or str(folder) == "official" else Path(folder)
    texts = {name: _read_text(folder, name) for name in FILES}
    try:
        described = parse_json(texts["levels.json"])
        recipe, report = described["recipe"], described["report"]
        recipe = vars(read_recipe(recipe)) | recipe  # refuses one that is damaged
        recipe = paths_from(recipe, folder)
        if type(report["eligible"]) is not int or report["eligible"] < 0:
            raise ValueError(f"its report has eligible = {shown(repr(report['eligible']))}")
        seen = tuple(sorted(texts["seen.csv"].split()[1:]))
        if strange := next((wnid for wnid in seen if not WNID.fullmatch(wnid)), None):
            raise ValueError(f"{shown(strange)} in seen.csv is no wnid")
        levels = Levels(read_table(texts["levels.csv"]), seen, recipe, report)
        expected = described["sha256"]
        changed = [name for name in FILES[:2] if expected[name] != text_sha256(texts[name])]
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise CogError(
            f"{folder} does not hold levels as `cog build-levels` writes them:"
            f" {' '.join(str(error).split())[:300]}",
            "build them again with --out and another folder",
        ) from error
    if changed and verify:
        raise CogError(
            f"{folder / changed[0]} is not the file that levels.json was written with",
            f"see `cog levels check {folder}`, or build the levels again",
        )
    return levels


def write_levels(levels: Levels, folder: Path | str, overwrite: bool = False) -> None:
    """Write the three files into `folder`: all of them, or none.

    A full disk leaves the levels that were there. levels.json comes last, so that its sha256
    reveals a folder in which a kill left some old and some new files.
    Raises CogError where it cannot write, and, unless `overwrite`, where the folder holds anything
    but these same levels.
    """
    folder = Path(folder)
    texts = _render(levels, folder)
    try:
        sweep(folder)  # of a run that was killed
        if folder.exists() and not overwrite:
            _require_same(folder, texts)
        _write_together(folder, texts)
    except OSError as error:
        raise CogError(
            f"cannot write levels to {folder}: {error.strerror or error}",
            "name a folder that can be written with --out DIR",
        ) from error


def official_folder() -> Path:
    """The folder of the official levels; in a clone it is a link to levels/."""
    return Path(__file__).parents[1] / "official_levels"


def _render(levels: Levels, folder: Path) -> dict[str, str]:
    """File name → text; levels.json last, since it has the sha256 of the others."""
    texts = {
        "levels.csv": table_as_csv(levels.table),
        "seen.csv": "".join(f"{line}\n" for line in ("wnid", *levels.seen)),
    }
    described = {
        "recipe": paths_for(levels.recipe, folder),
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
    return texts | {"levels.json": json.dumps(described, indent=2, ensure_ascii=False) + "\n"}


def _write_together(folder: Path, texts: dict[str, str]) -> None:
    """Write all files before any is renamed; a new folder appears with all of them."""
    in_the_way = [str(folder / name) for name in texts if (folder / name).is_dir()]
    if in_the_way:
        raise CogError(
            f"expected a file, but {in_the_way[0]} is a folder",
            "move it away, or name another folder with --out DIR",
        )
    if not folder.exists():
        with partial_file(folder) as partial:
            partial.mkdir()
            for name, text in texts.items():
                (partial / name).write_text(text, encoding="utf-8")
        return
    with ExitStack() as stack:  # which renames the last first
        for name, text in reversed(texts.items()):
            file = stack.enter_context(partial_file(folder / name))
            file.write_text(text, encoding="utf-8")


def _require_same(folder: Path, texts: dict[str, str]) -> None:
    """Raise where writing would replace, or join, anything but these same levels."""
    others = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name not in FILES and not is_partial(entry)  # another process writes there now
    )
    there = [name for name in FILES[:2] if (folder / name).exists()]
    differing = [name for name in there if _read_text(folder, name) != texts[name]]
    if others or differing:
        raise CogError(
            f"{folder} already holds something else: {', '.join([*differing, *others][:3])}",
            "name another folder with --out DIR, or replace its levels with --overwrite",
        )


def _read_text(folder: Path, name: str) -> str:
    try:
        text = read_text(folder / name)
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, NotReadable) as error:
        raise CogError(
            f"no levels in {str(folder)!r}: cannot read {name} ({error})",
            "build them with `cog build-levels --out DIR`, or name the official ones: official",
        ) from error
