"""What the mistakes of finished cells cost: computed from their predictions, and kept.

In: cells, their predictions, the synsets of their classes as they are now. Out: the rows of the
cells with the columns of cog/results/mistakes.py. Cells do not have these columns: a table of
synsets that is given later or edited needs no fit again, and leaves no stale number.

`runs/NAME/mistakes.json` keeps what was computed, a cell an entry, with a hash of the row and of
the synsets that it is of. Another entry is computed again; without the file, all are. Cost: 4 ms
for a cell of 10,000 test images, and 0.1 ms where it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cog.hashes import short_hash
from cog.progress import Notify
from cog.results.cells import finished_cells
from cog.results.columns import full_name
from cog.results.distances import COLUMNS
from cog.results.kinds import COUNT, NUMBER
from cog.results.mistakes import Mistakes, mistakes
from cog.results.synsets import DatasetSynsets, NoSynsets, read_predicted, synsets_reader
from cog.small_files import NotReadable, read_json
from cog.storage import StoragePath, write_text

Rows = Mapping[StoragePath, Mapping[str, Any]]
"""rows of cells by their files"""
Entries = dict[str, dict[str, Any]]
"""what one mistakes.json holds, by the names of cells"""


def finished_rows(
    runs: StoragePath,
    protocol: str | None = None,
    notify: Notify | None = None,
    *,
    keep: bool = False,
) -> dict[StoragePath, dict[str, Any]]:
    """The cells of `finished_cells`, their rows with what the mistakes cost.

    `keep`: write what had to be computed.
    """
    cells = finished_cells(runs, protocol, notify)
    rows = {path: cell["row"] for path, cell in cells.items()}
    found = mistakes_of_cells(runs, rows, notify or (lambda _: None), keep=keep)
    return {
        path: {**cell, "row": with_mistakes(cell["row"], found[path])}
        for path, cell in cells.items()
    }


def with_mistakes(row: Mapping[str, Any], found: Mistakes | None) -> dict[str, Any]:
    """A row of results with the columns of its mistakes, where they are known."""
    return {**row, **(found.columns() if found else {})}


def mistakes_of_cells(
    runs: StoragePath, rows: Rows, notify: Notify, *, keep: bool = False
) -> dict[StoragePath, Mistakes | None]:
    """The mistakes of cells by their files; None without predictions, or without synsets.

    `keep`: write what had to be computed. `notify` takes a line for each file that is damaged.
    """
    synsets = synsets_reader(runs)
    before = {file: read_entries(file) for file in {entries_file(path) for path in rows}}
    now: dict[StoragePath, Entries] = {file: {} for file in before}
    found: dict[StoragePath, Mistakes | None] = {}
    for path in sorted(rows, key=lambda path: full_name(rows[path])):  # a tree serves many models
        row, file = rows[path], entries_file(path)
        known = synsets(full_name(row))
        entry = before[file].get(path.stem, {})
        if not is_of(entry, row, known):
            entry = made_entry(path, row, known, notify)
        if entry:
            now[file][path.stem] = entry
        found[path] = parsed(entry)
    for file, entries in now.items() if keep else ():
        if entries != before[file]:
            write_text(file, json.dumps(entries, indent=0, sort_keys=True) + "\n")
    return found


def entries_file(cell: StoragePath) -> StoragePath:
    """The mistakes.json of the model run of a cell."""
    return cell.parent.parent / "mistakes.json"


def read_entries(file: StoragePath) -> Entries:
    """The entries of a mistakes.json; empty where it is not there or cannot be read."""
    try:
        document = read_json(file)
    except (OSError, NotReadable):
        return {}
    entries = document.items() if isinstance(document, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, dict)}


def made_entry(
    path: StoragePath, row: Mapping[str, Any], synsets: DatasetSynsets, notify: Notify
) -> dict[str, Any]:
    """The entry of a cell, from its predictions; empty without these, which may still come."""
    entry: dict[str, Any] = {"row": _hash_of(row), "synsets": synsets.fingerprint}
    try:
        predicted = read_predicted(path, synsets, notify)
    except NoSynsets:
        return entry
    if predicted is None:
        return {}
    found = mistakes(predicted.first, predicted.labels, predicted.tree)
    return entry | vars(found) | {"heights": list(found.heights)}


def is_of(entry: Mapping[str, Any], row: Mapping[str, Any], synsets: DatasetSynsets) -> bool:
    """Whether an entry is of this row and of these synsets, and can be read."""
    made_from = (entry.get("row"), entry.get("synsets"))
    same = made_from == (_hash_of(row), synsets.fingerprint)
    return same and (len(entry) == len(made_from) or parsed(entry) is not None)


def parsed(entry: Mapping[str, Any]) -> Mistakes | None:
    """The mistakes that an entry holds; None where it has none, or something else."""
    n_test, n_right, similarity = map(entry.get, ("n_test", "n_right", "similarity"))
    heights = entry.get("heights")
    counts = [n_test, n_right, *heights] if isinstance(heights, list) else []
    if not counts or not all(COUNT.fits(count) for count in counts) or not n_test:
        return None
    if not (similarity is None or NUMBER.fits(similarity)):
        return None
    return Mistakes(int(n_test), int(n_right or 0), tuple(map(int, counts[2:])), similarity)


def _hash_of(row: Mapping[str, Any]) -> str:
    """16 digits that no other fit has: its seconds are among them."""
    return short_hash({name: value for name, value in row.items() if name not in COLUMNS})
