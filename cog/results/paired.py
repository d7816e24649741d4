"""Two results on the same test images: how many of these only one of the two has right.

In: two runs, each a folder with its cells or a table. Out: for a result of both, `Discordant`, or
why nobody can say. It takes the ranks beside both cells, and that these are of the same images in
the same order: splits of one hash, and the same test images left out as unreadable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cog.csv_text import rows_from_csv
from cog.progress import Notify
from cog.recipe import REFIT, file_name, parted
from cog.results.cells import ranks_file
from cog.results.columns import KEY, full_name
from cog.results.controls import models_only
from cog.results.files import is_table, read_results
from cog.results.kept_mistakes import finished_rows
from cog.results.mcnemar import Discordant
from cog.results.ranks import read_ranks, sha256
from cog.results.table import tidy, with_full_names
from cog.small_files import JSON_BYTES, NotReadable, read_small, read_text
from cog.storage import StoragePath

Key = tuple[Any, ...]
"""the values of `KEY` of one result"""
A_TABLE, OTHER_IMAGES = "a table has no ranks", "not surely the same test images"
NO_RANKS = "no ranks that can be read"


@dataclass(frozen=True)
class Run:
    """One side of a comparison."""

    path: StoragePath
    table: pd.DataFrame
    """the tidy table, without controls; test sets are datasets of their own"""
    cells: Mapping[Key, StoragePath] = field(default_factory=dict)
    """the file of each cell; none of a table"""


def read_run(path: StoragePath, notify: Notify) -> Run:
    """A folder of runs with its cells, or a table; arguments and errors as in `read_results`."""
    if is_table(path):
        return Run(path, with_full_names(models_only(read_results(path, notify=notify))))
    cells = finished_rows(path, None, notify)
    files = {_key(cell["row"]): file for file, cell in cells.items()}
    table = with_full_names(models_only(tidy(cell["row"] for cell in cells.values())))
    return Run(path, table, files)


class Pairs:
    """The results that two runs have in common, image by image."""

    def __init__(self, first: Run, second: Run, names: Mapping[str, str], notify: Notify) -> None:
        """`names` renames models of `first`, as in `rename_models`.

        `notify` takes a line for each file of ranks that is damaged.
        """
        self._runs, self._notify, self._unreadable = (first, second), notify, cache(_unreadable)
        self._old_names = {new: old for old, new in names.items()}
        self._rows: list[dict[Key, Any]] = [{_key(row): row for row in run.table.to_dict("records")}
                      for run in self._runs]  # fmt: skip

    def discordant(self, key: Key) -> Discordant | str:
        """The counts of the result `key`, as the second run calls it; or why there are none."""
        keys = (self._old_names.get(key[0], key[0]), *key[1:]), key
        if not all(run.cells for run in self._runs):
            return A_TABLE
        rows = [rows[own] for rows, own in zip(self._rows, keys, strict=True)]
        if not self._same_images(rows[0], rows[1]):
            return OTHER_IMAGES
        first, second = (
            _right(run.cells[own], int(row["n_test"]), self._notify)
            for run, own, row in zip(self._runs, keys, rows, strict=True)
        )
        if first is None or second is None:
            return NO_RANKS
        alone = rows[0]["n_alone"]  # of retrieval: they are right in neither
        n_images = len(first) - (0 if pd.isna(alone) else int(alone))
        return Discordant(int((first & ~second).sum()), int((second & ~first).sum()), n_images)

    def _same_images(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
        """Whether two rows are of the same test images, in the same order."""
        same = all(first[name] == second[name] for name in ("split_hash", "n_test"))
        if not (same and first["split_hash"]):
            return False
        left_out = [
            frozenset() if row["n_unreadable"] == 0 else self._unreadable(run.path, row["dataset"])
            for run, row in zip(self._runs, (first, second), strict=True)
        ]
        return left_out[0] is not None and left_out[0] == left_out[1]


def _key(row: Mapping[Any, Any]) -> Key:
    return tuple("" if name == "test_set" else full_name(row) if name == "dataset" else row[name]
                 for name in KEY)  # fmt: skip


def _unreadable(runs: StoragePath, dataset: str) -> frozenset[str] | None:
    """The test images that were left out, as `runs/unreadable` lists them; None without a list.

    Those of a refit are of its test set. A test set without a list has images of its dataset, with
    other labels: then that one's counts.
    """
    for name in (file_name(dataset.removesuffix(REFIT)), parted(dataset)[0]):
        try:
            rows = list(rows_from_csv(read_text(runs / "unreadable" / f"{name}.csv")))
            return frozenset(path for _, split, path, _ in rows if split == "test")
        except (OSError, ValueError):
            continue
    return None


def _right(cell: StoragePath, n_test: int, notify: Notify) -> NDArray[np.bool_] | None:
    """Which test images a cell has right, bool[m]; None where its ranks cannot be read."""
    file = ranks_file(cell)
    try:
        kept = read_ranks(read_small(file, JSON_BYTES), n_test)
        if kept.cell != sha256(read_small(cell)):
            raise NotReadable("it belongs to another cell")
    except FileNotFoundError:
        return None
    except (OSError, NotReadable) as error:
        notify(f"{file} cannot be used: {error}")
        return None
    found: NDArray[np.bool_] = kept.ranks == 0
    return found
