"""Labelled images that a function gives: `file.py:function`.

The function takes nothing and returns two sequences, to train and to test, of (image, label). An
image is the path of a file, from the folder of the Python file or absolute, or its encoded bytes; a
label is text or a whole number. It is called at each start, and must give the same each time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from cog.datasets.labelled.grouped import grouped, refuse_twice
from cog.datasets.labelled.labelled import Labelled
from cog.datasets.labelled.pack import pack
from cog.errors import CogError, unknown_name
from cog.images.listing import Listing

Items = Sequence[tuple[Any, Any]]
RETURNS = "return two lists, to train and to test, of (path or bytes, label)"


def find_by_name(name: str) -> Labelled:
    """The labelled images of `file.py:function`.

    Raises:
        CogError: no such file or function, it fails, or it returns something else.
    """
    from cog.models.sources.from_file import call_function, import_file, importable

    file, _, function = name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise CogError(f"no file {path}", "give the path of a Python file, as file.py:function")
    module = import_file(path)
    found = getattr(module, function, None)
    if not callable(found):
        here = [key for key, value in vars(module).items() if callable(value)]
        raise unknown_name(f"function of {path}", function, here)
    with importable(path.parent):
        parts = call_function(lambda: _as_lists(found()), name)
    return _labelled(parts, name, path.parent)


def find_by_function(function: Callable[[], Any]) -> Labelled:
    """The labelled images that a function gives; paths are from the current folder."""
    return _labelled(_as_lists(function()), str(function), Path())


def _as_lists(returned: Any) -> list[list[Any]]:
    """What a function returned as lists; no lists where it returned nothing of that kind."""
    parts = list(returned) if isinstance(returned, Iterable) else []
    return [list(part) for part in parts if isinstance(part, Iterable)]


def _labelled(parts: Sequence[Items], name: str, folder: Path) -> Labelled:
    if len(parts) != 2:
        raise CogError(f"{name} returned {len(parts)} lists, not two", RETURNS)
    for part in parts:
        for item in part:
            _check(item, name)
    kinds = {isinstance(image, bytes) for part in parts for image, _ in part}
    if not all(parts):
        raise CogError(f"{name} returned an empty list", RETURNS)
    if len(kinds) > 1:
        raise CogError(f"{name} returned paths and bytes", "return paths alone, or bytes alone")
    train, test = _of_bytes(parts) if kinds == {True} else _of_files(parts, name, folder)
    return Labelled(train, test, "train/test")


def _check(item: Any, name: str) -> None:
    """Refuse what is no pair of an image and a label."""
    pair = item if isinstance(item, tuple | list) and len(item) == 2 else (None, None)
    label_fits = isinstance(pair[1], str | Integral) and not isinstance(pair[1], bool)
    if not (isinstance(pair[0], str | os.PathLike | bytes) and label_fits):
        raise CogError(f"{name} returned {str(item)[:100]!r} for an image", RETURNS)


def _of_bytes(parts: Sequence[Items]) -> list[Listing]:
    """Images that are given as bytes; each is named by its number and its content.

    Features are kept by the names of images, so other bytes need other names.
    """
    found = []
    for part in parts:
        names = [
            f"{number:07}-{hashlib.sha256(image).hexdigest()[:8]}.img"
            for number, (image, _) in enumerate(part)
        ]
        file, spans = pack(zip(names, (image for image, _ in part), strict=True))
        labels = [str(label) for _, label in part]
        found.append(grouped(file.parent, "webdataset", names, labels, spans, (file.name,)))
    return found


def _of_files(parts: Sequence[Items], name: str, folder: Path) -> list[Listing]:
    """Images that are given as paths; each is named by its path below the folder of all."""
    files = [[os.path.abspath(folder / image) for image, _ in part] for part in parts]  # noqa: PTH100 # keeps links
    every = [file for part in files for file in part]
    refuse_twice(every, name)
    if lost := [file for file in every if not os.path.exists(file)]:  # noqa: PTH110 # there may be millions
        raise CogError(
            f"{len(lost):,} of {len(every):,} images of {name} are not there: {lost[0]}",
            "give paths from the folder of the Python file, or absolute ones",
        )
    root = Path(os.path.commonpath([os.path.dirname(file) for file in every]))  # noqa: PTH120
    return [
        grouped(
            root, "folder", [os.path.relpath(file, root) for file in own],
            [str(label) for _, label in part],
        )
        for own, part in zip(files, parts, strict=True)
    ]  # fmt: skip
