"""The names of the classes of a label set: the sub-folders of a folder, or the lines of a list.

In: a folder or a text file. Out: the names, each once. Which images a class has is no matter here.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from cog.errors import CogError
from cog.small_files import NotReadable, read_lines, shown

PARTS = ("train", "test", "val", "valid", "validation")  # folders that hold the classes of a part


def read_class_names(source: Path) -> tuple[str, ...]:
    """The names of the classes of `source`.

    A folder: its sub-folders, sorted; if these are parts (train, test, …), the sub-folders of all
    of them. A file: its lines in their order, but for empty ones and those that begin with "# ".
    Raises CogError where there is no class, and for a name that a list has twice.
    """
    if source.is_dir():
        names = _folders(source)
        parts = [name for name in names if name.lower() in PARTS]
        if parts and len(parts) == len(names):
            names = sorted({name for part in parts for name in _folders(source / part)})
    else:
        names = _lines(source)
    if not names:
        raise CogError(
            f"no classes in {str(source)!r}",
            "give a folder with a sub-folder for each class, or a text file with a name a line",
        )
    return tuple(names)


def _folders(folder: Path) -> list[str]:
    """The sub-folders, but for hidden ones."""
    try:
        return sorted(
            entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."
        )
    except OSError as error:
        raise CogError(
            f"cannot read the folder {str(folder)!r}: {error.strerror or error}",
            "give a folder that can be read",
        ) from error


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in read_lines(path)]
    except (OSError, NotReadable) as error:
        raise CogError(
            f"cannot read the names of classes in {str(path)!r}: {error}",
            "give a folder with a sub-folder for each class, or a text file with a name a line",
        ) from error
    names = [line for line in lines if line and not line.startswith("# ")]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CogError(
            f"the class {shown(twice[0])} is more than once in {str(path)!r}",
            "give each class a name of its own: crane (bird), crane (device)",
        )
    return names
