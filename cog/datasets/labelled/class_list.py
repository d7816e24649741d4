"""The names of the classes of a label set: of a list of names, or of any labelled images.

In: a text file with a name a line, or a source as `--dataset` takes it. Out: the names, each once.
Of folders the images are not looked at.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cog.datasets.dataset import DatasetOptions, Named
from cog.datasets.labelled.coco import annotations_in
from cog.datasets.labelled.find import find_labelled
from cog.datasets.labelled.folders import sub_folders
from cog.datasets.labelled.parts import TESTS, TRAIN, choose_parts
from cog.datasets.labelled.text import SUFFIXES, names_images
from cog.errors import CogError
from cog.small_files import NotReadable, read_lines, shown

_HINT = "give a folder with a sub-folder for each class, or a text file with a name a line"


def class_names(source: str) -> tuple[str, ...]:
    """The names of the classes of a list of names, or of the labelled images of a source.

    A file is a list of images where its lines begin with images. Else as `read_class_names`, and as
    the class names of a dataset.

    Raises:
        CogError: no such source, no classes in it, or a name that a list has twice.
    """
    path = Path(source)
    listed = path.is_file() and path.suffix in ("", *SUFFIXES) and not names_images(path)
    if listed or (path.is_dir() and _has_class_folders(path)):
        return read_class_names(path)
    return find_labelled(Named("", source), DatasetOptions()).classes


def _has_class_folders(root: Path) -> bool:
    """Whether the sub-folders of a folder are classes, not folders of shards or of a JSON's."""
    if annotations_in(root) is not None or not _folders(root):
        return False
    first = sub_folders(root)[0]
    with suppress(OSError), os.scandir(first) as entries:
        return not any(entry.name.endswith((".tar", ".parquet")) for entry in entries)
    return True


def read_class_names(source: Path) -> tuple[str, ...]:
    """The names of the classes of a folder or a list, in Unicode's composed form.

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
