"""Images, each with its class, as a listing of classes with sorted paths."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.images.listing import Listing, refuse_unlistable
from cog.plain_text import printable


def grouped(
    root: Path,
    source: str,
    paths: Sequence[str],
    classes: Sequence[str],
    spans: NDArray[np.int64] | None = None,
    containers: tuple[str, ...] = (),
) -> Listing:
    """The listing of images with the names of their classes; all else is as in `Listing`.

    Raises:
        CogError: an image that is there twice, or a name that does not fit into a line of text.
    """
    refuse_unlistable(paths, str(root))
    refuse_unlistable(sorted(set(classes)), f"the labels of {root}")
    refuse_twice(paths, str(root))
    rows: dict[str, list[int]] = {}
    for row in sorted(range(len(paths)), key=paths.__getitem__):
        rows.setdefault(classes[row], []).append(row)
    named = {unicodedata.normalize("NFC", name.strip()): own for name, own in rows.items()}
    if len(named) < len(rows) or "" in named:
        raise CogError(
            f"the labels of {root} are not clear: some are empty, or differ in spaces or in how "
            "Unicode writes one letter",
            "write each class in one way",
        )
    return Listing(
        str(root),
        source,
        {name: tuple(paths[row] for row in own) for name, own in named.items()},
        None if spans is None else {name: spans[own] for name, own in named.items()},
        containers,
    )


def refuse_twice(paths: Sequence[str], where: str) -> None:
    """Raise a CogError for images that are there more than once, as in both parts of a split."""
    if len(set(paths)) == len(paths):
        return
    seen: set[str] = set()
    twice = [path for path in paths if path in seen or seen.add(path)]  # type: ignore[func-returns-value]
    raise CogError(
        f"{len(twice):,} images are there more than once in {where}: "
        f"{', '.join(map(printable, twice[:5]))}",
        "list each image once, with one label, for training or for testing",
    )
