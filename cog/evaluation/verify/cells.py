"""A finished cell: its name, its hashes, its accuracies by class, its ranks and its predictions.

Every accuracy is computed again from the ranks kept beside the cell, and from its predictions: both
must agree, image by image. A cell of a version that kept neither has its accuracies by class: they
give all but top-5.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.evaluation.cells import name_of_row
from cog.evaluation.probing import class_rows
from cog.evaluation.verify.findings import (
    RESTORE_CELL,
    BrokenError,
    Finding,
    Found,
    beside,
    renamed,
    why,
)
from cog.evaluation.verify.predictions import (
    agreement,
    fits,
    kept_predictions,
    predicted_ranks,
)
from cog.evaluation.verify.splits import KeptSplit
from cog.plain_text import from_spreadsheet
from cog.probes.metrics import METRICS
from cog.probes.table import scored
from cog.results.cells import class_file, predictions_file, ranks_file
from cog.results.ranks import KeptRanks, read_ranks, sha256
from cog.small_files import JSON_BYTES, NotReadable, read_small, whole_number
from cog.storage import StoragePath

MOST_TEST_IMAGES = 10**8  # in a table that may be damaged


@dataclass(frozen=True)
class ClassTable:
    """The accuracies by class of one cell."""

    content: bytes
    wnids: tuple[str, ...]
    counts: tuple[int, ...]
    """test images of each class"""
    shown: tuple[str, ...]
    """top-1 of each class, as the file has it"""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of every test image: lists of images are sorted by class."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


def check_cell(
    path: StoragePath, cell: Mapping[str, Any], split: KeptSplit | None
) -> Iterator[Found]:
    """What does not hold of one cell and of the two files beside it.

    `split`: of its dataset; None where it cannot be read. A cell without ranks is no fault.
    """
    row = cell["row"]
    yield from _names(path, cell)
    try:
        table = read_classes(path)
        ranks = kept_ranks(path, len(table.labels))
        predictions = kept_predictions(path, len(table.labels), len(table.counts))
    except BrokenError as broken:
        yield broken.finding
        return
    yield from _sizes(path, row, table, split)
    right = split.right if split else None
    if predictions is not None and not fits(right, row, len(table.labels)):
        yield f"{predictions_file(path)} could not be checked: images were left out"
        predictions = None
    if ranks is not None:
        yield from _seals(path, ranks, table)
        yield from _accuracies(path, row, table, ranks.ranks, ranks_file(path))
    if predictions is not None:
        yield from _seal(path, predictions.cell, path, predictions_file(path))
        predicted = predicted_ranks(predictions, table.labels, right)
        yield from agreement(path, predictions, len(table.counts), ranks, predicted)
        if ranks is None:
            yield from _accuracies(path, row, table, predicted, predictions_file(path))
    if ranks is None and predictions is None:
        yield from _accuracies(path, row, table, None, class_file(path))


def kept_ranks(path: StoragePath, n_test: int) -> KeptRanks | None:
    """The ranks beside a cell; None where there are none.

    Raises:
        BrokenError: the file is damaged.
    """
    file = ranks_file(path)
    try:
        return read_ranks(read_small(file, JSON_BYTES), n_test)
    except FileNotFoundError:
        return None
    except (OSError, NotReadable) as error:
        expected = f"the ranks of {n_test:,} test images"
        raise BrokenError(Finding(str(file), expected, why(error), beside(path))) from error


def read_classes(path: StoragePath) -> ClassTable:
    """The accuracies by class of the cell at `path`.

    Raises:
        BrokenError: the file is missing or damaged.
    """
    file = class_file(path)
    try:
        content = read_small(file)
        rows = list(csv.reader(io.StringIO(content.decode())))
        if not rows or rows[0] != ["wnid", "n_test", "top1"]:
            raise NotReadable("its head is another one")
        wnids, counts, shown = zip(*rows[1:], strict=True)
        numbers = tuple(map(whole_number, counts))
        if min(numbers) < 0 or not 0 < sum(numbers) < MOST_TEST_IMAGES:
            raise NotReadable(f"it has {sum(numbers)} test images")
    except (OSError, ValueError, csv.Error) as error:
        raise BrokenError(
            Finding(str(file), "wnid, n_test and top1", why(error), beside(path))
        ) from error
    return ClassTable(content, tuple(map(from_spreadsheet, wnids)), numbers, shown)


def _names(path: StoragePath, cell: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether a cell's file, folder, row and hashes say the same."""
    row = cell["row"]
    name = name_of_row(row)
    folder = path.parent.parent.name
    if name != path.stem:
        yield Finding(str(path), f"the result {path.stem}", name, RESTORE_CELL)
    if row["model"] != folder:
        model = str(row["model"])
        yield Finding(str(path), f"a result of {folder}, its folder", model, renamed(model))
    for key, value in cell["hashes"].items():
        if row.get(key) != value:
            yield Finding(
                str(path), f"{key} {value}, as in its hashes", str(row.get(key)), RESTORE_CELL
            )


def _sizes(
    path: StoragePath, row: Mapping[str, Any], table: ClassTable, split: KeptSplit | None
) -> Iterator[Finding]:
    """Whether a cell has the classes and the test images of its split."""
    for column, value in (("n_classes", len(table.counts)), ("n_test", len(table.labels))):
        if row.get(column) != value:
            expected = f"{column} {value}, as {class_file(path)} has them"
            yield Finding(str(path), expected, str(row.get(column)), RESTORE_CELL)
    if split is None:
        return
    if table.wnids != split.test.classes:
        yield Finding(str(class_file(path)), "the classes of its split", "other ones", beside(path))
    some_unlabelled = split.within is not None and split.right is not None
    n_unlabelled = len(split.split.feature_lists[-1]) - len(split.test) if some_unlabelled else None
    if row.get("n_unlabelled") != n_unlabelled:
        found, expected = str(row.get("n_unlabelled")), f"n_unlabelled {n_unlabelled}"
        yield Finding(str(path), f"{expected}, as its split has it", found, RESTORE_CELL)
    left_out = len(split.test) - len(table.labels)
    if not 0 <= left_out <= (row.get("n_unreadable") or 0):
        expected = f"{len(split.test):,} test images less the {row.get('n_unreadable')} unreadable"
        yield Finding(str(class_file(path)), expected, f"{len(table.labels):,}", beside(path))


def _seals(path: StoragePath, ranks: KeptRanks, table: ClassTable) -> Iterator[Finding]:
    """Whether the cell and its accuracies by class are, byte for byte, those of the ranks."""
    yield from _seal(path, ranks.cell, path, ranks_file(path))
    yield from _seal(path, ranks.classes, class_file(path), ranks_file(path), table.content)


def _seal(
    path: StoragePath,
    expected: str,
    file: StoragePath,
    source: StoragePath,
    content: bytes | None = None,
) -> Iterator[Finding]:
    """Whether a file of the cell at `path` has the sha256 that `source` says."""
    found = sha256(file.read_bytes() if content is None else content)
    if found != expected:
        wanted = f"sha256 {expected[:16]}, as {source} has it"
        yield Finding(str(file), wanted, found[:16], beside(path))


def _accuracies(
    path: StoragePath,
    row: Mapping[str, Any],
    table: ClassTable,
    ranks: NDArray[np.int64] | None,
    source: StoragePath,
) -> Iterator[Finding]:
    """Whether every accuracy follows from the ranks, or from what stands in for them: `source`."""
    own = _ranks_of(table) if ranks is None else ranks
    labels, n_classes = table.labels, len(table.counts)
    counted = scored(row["probe"], labels)
    shown = tuple(text for _, _, text in class_rows(own, labels, table.wnids, row["probe"]))
    for wnid, now, before in zip(table.wnids, shown, table.shown, strict=True):
        if now != before:
            expected = f"top1 {now or 'empty'} of {wnid}, as {source} gives it"
            yield Finding(str(class_file(path)), expected, before or "nothing", beside(path))
    top5 = {"top5"} if ranks is None else set()
    own, labels = own[counted], labels[counted]
    found = {name: of(own, labels, n_classes) for name, of in METRICS.items() if name not in top5}
    for name, value in found.items():
        if row.get(name) is None or value is None:
            continue
        if not math.isclose(value, row[name], rel_tol=1e-12, abs_tol=1e-12):
            expected = f"{name} {value}, as {source} gives it"
            yield Finding(str(path), expected, str(row[name]), RESTORE_CELL)


def _ranks_of(table: ClassTable) -> NDArray[np.int64]:
    """Ranks that give the accuracies by class: as many 0 as images were right, and 1 elsewhere."""
    ranks = np.ones(len(table.labels), np.int64)
    starts = np.cumsum((0, *table.counts))
    for start, count, text in zip(starts, table.counts, table.shown, strict=False):
        try:
            right = round(float(text or 0) * count / 100)
        except (ValueError, OverflowError):
            right = 0
        ranks[start : start + min(max(right, 0), count)] = 0
    return ranks
