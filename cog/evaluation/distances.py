"""How near the classes of each dataset of a run are to the seen concepts, before its first fit.

In: a plan, whose datasets know the synsets of their classes. Out: a file a dataset, which
cog/results/distances.py reads: the mean best match both ways, how the matches are distributed, and
what they are made from.

- The measure is that of the levels, by default Lin's, and the seen concepts are theirs. The
  information content is by the official corpus and the classes. Synsets count once each, as in
  `cog similarity`. So the number of an official level is the mean of its similarities in
  levels.csv, and that of in1k is 1.
- A file that is made from the same is kept: nothing is computed, and WordNet is not loaded.

Cost: 0.2 s of one core for a dataset of 1,000 classes, once a folder of runs.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from cog.datasets.dataset import Dataset
from cog.evaluation.plan import Plan
from cog.levels.table import Levels
from cog.progress import Notify
from cog.recipe import of_levels, parted
from cog.results.distances import (
    SEEN_SIMILARITY,
    SIMILARITY,
    Distances,
    distance_file,
    read_distance,
    read_distances,
)
from cog.storage import write_text
from cog.wordnet.concept_sets import Side, compare_sides
from cog.wordnet.taxonomy import Taxonomy, load_taxonomy

_CHOICES = ("wordnet", "measure", "subsumer")  # of the levels' recipe


def write_distances(plan: Plan, notify: Notify) -> Distances:
    """Write the file of each dataset whose classes have synsets, where it is not there already.

    Gives the columns of all datasets in the folder. A plan without cells has no rows, and so none.
    """
    if not plan.cells:
        return {}
    _write(plan, notify)
    return read_distances(plan.out)


def _write(plan: Plan, notify: Notify) -> None:
    taxonomy: Taxonomy | None = None
    by_name = {dataset.name: dataset for dataset in plan.datasets}
    for dataset in plan.datasets:
        base = by_name[parted(dataset.name)[0]]
        wnids = _wnids(dataset, base)
        if wnids is None:
            continue
        made_from = _made_from(dataset, base, wnids, plan.levels)
        before = read_distance(plan.out, dataset.name)
        if {name: before.get(name) for name in made_from} == made_from:
            continue
        taxonomy = taxonomy or load_taxonomy(plan.levels.recipe["wordnet"])
        unknown = [wnid for wnid in wnids if wnid not in taxonomy.index_of]
        if unknown:
            notify(
                f"{dataset.name}: {len(unknown)} of its classes are no noun synsets of WordNet, "
                f"such as {unknown[0]}: nothing is said of how near they are to the seen concepts"
            )
            continue
        found = distance_of(taxonomy, wnids, plan.levels)
        document = {"dataset": dataset.name, **found, **made_from}
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        write_text(distance_file(plan.out, dataset.name), text)
        if not of_levels(base.name) and found[SIMILARITY] is not None:
            notify(
                f"{dataset.name}: similarity to the seen concepts {found[SIMILARITY]:.3f}; "
                f"of the seen concepts to its classes {found[SEEN_SIMILARITY]:.3f}"
            )


def _wnids(dataset: Dataset, base: Dataset) -> tuple[str, ...] | None:
    """The synset of each class of a dataset; a test set has those of its dataset, `base`."""
    if base.wnids is None or dataset is base:
        return base.wnids
    of_class = dict(zip(base.split.train.classes, base.wnids, strict=True))
    return tuple(of_class[name] for name in dataset.split.test.classes)


def _made_from(
    dataset: Dataset, base: Dataset, wnids: tuple[str, ...], levels: Levels
) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "levels": levels.fingerprint,
        **{name: levels.recipe[name] for name in _CHOICES},
        "table_sha256": base.synsets.sha256 if base.synsets else None,
        "classes": list(dataset.split.test.classes) if base.synsets else None,
        "wnids": list(wnids),
    }


def distance_of(taxonomy: Taxonomy, wnids: tuple[str, ...], levels: Levels) -> dict[str, Any]:
    """The numbers of the synsets `wnids`: both means (None: none is finite), both distributions."""
    own, seen = (
        Side(text, tuple(dict.fromkeys(taxonomy.indices(names).tolist())), True, ())
        for text, names in (("the dataset", wnids), ("the seen concepts", levels.seen))
    )
    measure, subsumer = levels.recipe["measure"], levels.recipe["subsumer"]
    found = compare_sides(taxonomy, own, seen, measure, subsumer)
    (_, _, to_seen), (_, _, from_seen) = found.spreads
    return {
        SIMILARITY: to_seen.mean,
        SEEN_SIMILARITY: from_seen.mean,
        "to_seen": asdict(to_seen),
        "from_seen": asdict(from_seen),
    }
