"""The lists of unreadable and of truncated images that lie beside the model runs.

In: the stores of a dataset. Out: `out/unreadable/DATASET.csv`, and `out/unreadable.csv`, which
joins those of all datasets; likewise `truncated`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cog.csv_text import rows_as_csv
from cog.errors import CogError
from cog.features.store.store import FeatureStore
from cog.images.image_list import ImageList
from cog.recipe import file_name
from cog.small_files import NotReadable, read_text
from cog.storage import StoragePath, write_text

UNREADABLE, TRUNCATED = LISTS = ("unreadable", "truncated")
NAMES = (*LISTS, *(f"{name}.csv" for name in LISTS))
"""the files and folders beside the model runs"""
HEAD = rows_as_csv([["dataset", "split", "path", "reason"]])


def record_bad_images(
    out: StoragePath, dataset: str, lists: Sequence[ImageList], stores: Sequence[FeatureStore]
) -> Iterator[str]:
    """Write the lists of a dataset; gives a line for each that has images.

    `stores`: the features of each of the `lists`, under any model.
    """
    for name in LISTS:
        reasons = [bad_images(store, name) for store in stores]
        count = sum(map(len, reasons))
        part = out / name / f"{file_name(dataset)}.csv"
        if not count and not part.exists():
            continue
        rows = [
            [dataset, images.split, images.paths[row], why]
            for images, found in zip(lists, reasons, strict=True)
            for row, why in found.items()
        ]
        changed: list[str] = []
        write_text(part, rows_as_csv(sorted(rows), changed.append))
        yield from changed
        parts: list[StoragePath] = list(out.glob(f"{name}/*.csv"))
        texts = [_text(path) for path in sorted(parts, key=str)]
        write_text(out / f"{name}.csv", "".join([HEAD, *texts]))
        if count:
            yield f"{dataset}: {count} {name}, listed in {out / f'{name}.csv'}"


def _text(part: StoragePath) -> str:
    """The list of one dataset, which another run may have written."""
    try:
        return read_text(part)
    except NotReadable as error:
        raise CogError(
            f"{part} is damaged: {error}",
            "remove it: `cog evaluate` on that dataset writes it again",
        ) from error


def bad_images(store: FeatureStore, name: str) -> dict[int, str]:
    """Row and reason of the images of a store that belong in a list."""
    return store.unreadable() if name == UNREADABLE else store.truncated()
