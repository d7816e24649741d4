"""How near datasets are to the seen concepts, computed again from the synsets of their classes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cog.errors import CogError
from cog.evaluation.distances import distance_of
from cog.evaluation.verify.findings import EVALUATE, Finding, Found
from cog.evaluation.verify.folder import Folder
from cog.levels.table import Levels
from cog.recipe import dataset_of_file
from cog.results.distances import COLUMNS, distances_folder, read_distance
from cog.wordnet.taxonomy import load_taxonomy

_HINT = f"remove it and run {EVALUATE}: it writes it again"


def check_distances(folder: Folder, levels: Levels) -> Iterator[Found]:
    """The file of each dataset against its own synsets, and their number against the classes."""
    where = distances_folder(folder.runs)
    below = f"{folder.relative(where)}/"
    names = (name.removeprefix(below) for name in folder.names if name.startswith(below))
    for name in sorted(name for name in names if name.endswith(".json")):
        path, dataset = str(where / name), dataset_of_file(name.removesuffix(".json"))
        document = read_distance(folder.runs, dataset)
        if document.get("levels", levels.fingerprint) != levels.fingerprint:
            yield f"{path} is of other levels: give --levels DIR"
            continue
        wnids = document.get("wnids")
        kept = folder.splits.get(dataset)
        if not isinstance(wnids, list) or (kept and len(wnids) != len(kept.test.classes)):
            yield Finding(path, "a synset for each class of the dataset", "something else", _HINT)
            continue
        try:
            taxonomy = load_taxonomy(levels.recipe["wordnet"])
            again = distance_of(taxonomy, tuple(map(str, wnids)), levels)
        except CogError as error:
            yield Finding(path, "synsets of WordNet", error.what, _HINT)
            continue
        for column in COLUMNS:
            now, before = again[column], document[column]
            if now != before and (None in (now, before) or not math.isclose(now, before)):
                yield Finding(path, f"{column} {now}, as its synsets give it", str(before), _HINT)
