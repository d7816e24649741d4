"""The names of the classes of a label set: the sub-folders of a folder, or the lines of a list.

In: a folder as find_folders takes it, or a text file. Out: the names, each once. Their images are
not looked at.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cog.datasets.labelled.folders import sub_folders
from cog.datasets.labelled.parts import TESTS, TRAIN, choose_parts
from cog.errors import CogError
from cog.small_files import NotReadable, read_lines, shown

_HINT = "give a folder with a sub-folder for each class, or a text file with a name a line"


def read_class_names(source: Path) -> tuple[str, ...]:
    """The names of the classes of `source`, in Unicode's composed form.

    A folder: its sub-folders, sorted; if it has train/ and test/ (or val/, …), those of the two
    parts that an evaluation uses; if it has one part and nothing else, those of that part. A file:
    its lines in their order, but for empty ones and those that begin with "# ".
    Raises CogError where there is no class, and for a name that a list has twice.
    """
    names = _folders(source) if source.is_dir() else _lines(source)
    if not names:
        raise CogError(f"no classes in {str(source)!r}", _HINT)
    return tuple(names)


def _folders(root: Path) -> list[str]:
    folders = sub_folders(root)
    names = [folder.name for folder in folders]
    parts: Sequence[str] = names if len(names) == 1 and names[0].lower() in (*TRAIN, *TESTS) else ()
    if chosen := choose_parts(names):
        parts = (chosen.train, chosen.test)
    if parts:
        folders = [folder for part in parts for folder in sub_folders(root / part)]
    return sorted({_composed(folder.name) for folder in folders})


def _lines(path: Path) -> list[str]:
    try:
        lines = [_composed(line.strip()) for line in read_lines(path)]
    except (OSError, NotReadable) as error:
        raise CogError(
            f"cannot read the names of classes in {str(path)!r}: {error}", _HINT
        ) from error
    names = [line for line in lines if line and not line.startswith("# ")]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CogError(
            f"the class {shown(twice[0])} is more than once in {str(path)!r}",
            "give each class a name of its own: crane (bird), crane (device)",
        )
    return names


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
