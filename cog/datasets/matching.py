"""Find listed images among those that are there: releases differ in case and in extension."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Match(NamedTuple):
    """Rows of the images that are there, in the order of the list; and the absent ones."""

    rows: NDArray[np.intp]
    absent: list[str]
    renamed: dict[str, str]  # listed path → path that is there


def match_listed(listed: Sequence[str], there: Sequence[str]) -> Match:
    """Find listed paths among those of a class: by name, else ignoring case and extension.

    The second way never takes an image that the list itself names, nor one of two images that are
    alike but for case and extension.

    >>> match_listed(["n1/a.JPEG", "n1/b.JPEG", "n1/c.JPEG"], ["n1/A.jpg", "n1/b.JPEG"])
    Match(rows=array([0, 1]), absent=['n1/c.JPEG'], renamed={'n1/a.JPEG': 'n1/A.jpg'})
    """
    row_of = {path: row for row, path in enumerate(there)}
    alike: dict[str, int] | None = None
    rows, absent, renamed = [], [], {}
    for path in dict.fromkeys(listed):  # an image that is listed twice is one
        row = row_of.get(path)
        if row is None:
            if alike is None:
                alike = _by_plain_name(set(row_of) - set(listed), row_of)
            row = alike.pop(_plain(path), None)
            if row is None:
                absent.append(path)
                continue
            renamed[path] = there[row]
        rows.append(row)
    return Match(np.array(rows, np.intp), absent, renamed)


def _by_plain_name(paths: set[str], row_of: dict[str, int]) -> dict[str, int]:
    """Rows by plain name, without names that two paths share."""
    times = Counter(map(_plain, paths))
    return {_plain(path): row_of[path] for path in paths if times[_plain(path)] == 1}


def _plain(path: str) -> str:
    """A path without its extension, if it has one, and in small letters."""
    stem, dot, suffix = path.rpartition(".")
    return (stem if dot and "/" not in suffix else path).lower()
