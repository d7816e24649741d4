"""How near the classes of each dataset of a run are to the seen concepts: one file a dataset.

In: a folder of runs. Out: what `runs/splits/distances/NAME.json` says; every row of that dataset
has its columns; a test set, `in1k@r.json`, those of the classes that it has. They depend on the
classes alone, so cells do not have them, and a table of synsets that is given later or edited needs
no fit again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cog.progress import Notify
from cog.recipe import dataset_of_file, file_name
from cog.results.columns import full_name
from cog.results.kinds import NUMBER
from cog.small_files import NotReadable, read_json
from cog.storage import StoragePath

SIMILARITY, SEEN_SIMILARITY = "similarity", "seen_similarity"
"""the mean best match in the seen concepts of the synsets of a dataset, and of the seen concepts in
these synsets"""
COLUMNS = (SIMILARITY, SEEN_SIMILARITY)
Distances = dict[str, dict[str, float | None]]
"""these columns, by dataset"""


def distances_folder(runs: StoragePath) -> StoragePath:
    """The folder of the files."""
    return runs / "splits" / "distances"


def distance_file(runs: StoragePath, dataset: str) -> StoragePath:
    """The file of one dataset, or of a test set."""
    return distances_folder(runs) / f"{file_name(dataset)}.json"


def read_distance(runs: StoragePath, dataset: str) -> dict[str, Any]:
    """The document of one dataset; empty where there is none that can be read."""
    return _read(distance_file(runs, dataset))


def read_distances(runs: StoragePath, notify: Notify | None = None) -> Distances:
    """The columns of all datasets, by dataset; `notify` takes a line for each damaged file."""
    found: Distances = {}
    paths: list[StoragePath] = list(distances_folder(runs).glob("*.json"))
    for path in sorted(paths, key=str):
        document = _read(path)
        if document:
            found[dataset_of_file(path.stem)] = {name: document[name] for name in COLUMNS}
        elif notify:
            notify(f"{path} cannot be read: run the command again, which makes it; left out")
    return found


def measures_of(runs: StoragePath) -> list[str]:
    """The measures by which datasets of a folder of runs were compared with the seen concepts."""
    documents = map(_read, distances_folder(runs).glob("*.json"))
    return sorted({str(each["measure"]) for each in documents if "measure" in each})


def with_distance(row: Mapping[str, Any], distances: Distances) -> dict[str, Any]:
    """A row of results with the columns of its dataset or test set, if there are any."""
    return {**row, **distances.get(full_name(row), {})}


def _read(path: StoragePath) -> dict[str, Any]:
    try:
        document = read_json(path)
    except (OSError, NotReadable):
        return {}
    if not isinstance(document, dict):
        return {}
    values = [document.get(name, "") for name in COLUMNS]
    fits = all(value is None or NUMBER.fits(value) for value in values)
    return document if fits else {}
