"""`cog verify`: a folder of results proved, file by file.

In: a folder of runs. Out: a `Proof`. Nothing is written. In this order:

- the split of each dataset: its lists, and the classes that the levels have at its labels;
- the feature stores that are kept: checksums, fingerprints, images and labels;
- how near datasets are to the seen concepts, from the synsets of their classes;
- each cell: its name, its hashes, its accuracies from the ranks kept beside it, and what its
  mistakes cost;
- each head that is kept: of the fit of its cell, and placing images as the cells have them;
- run.json of each model, against the cells;
- results.csv, unreadable.csv and truncated.csv, against what they are made from.

Cost: every byte of every store is read once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cog.errors import CogError
from cog.evaluation.cells import protocol_in_folder
from cog.evaluation.verify.cells import check_cell
from cog.evaluation.verify.distances import check_distances
from cog.evaluation.verify.features import check_store, dataset_and_split, listed_images
from cog.evaluation.verify.findings import (
    EVALUATE,
    MAKE,
    RESTORE,
    RESTORE_CELL,
    BrokenError,
    Finding,
    Found,
    Proof,
    read_document,
    some,
)
from cog.evaluation.verify.folder import Folder
from cog.evaluation.verify.heads import check_heads, head_names
from cog.evaluation.verify.mistakes import check_mistakes
from cog.evaluation.verify.runs import (
    check_features_hash,
    check_run,
    check_split_hash,
    views_of,
    wanted_classes,
)
from cog.evaluation.verify.splits import KeptSplit, read_split, split_file, wrong_classes
from cog.evaluation.verify.tables import check_bad_images, check_results
from cog.features.bad_images import LISTS
from cog.features.run_stores import store_name
from cog.features.store.store import FeatureStore
from cog.levels.files import read_levels
from cog.probes.table import PROBES
from cog.progress import Progress, Silent
from cog.recipe import fitted_on, parted
from cog.results.cells import finished_cells, predictions_file, ranks_file
from cog.results.columns import full_name
from cog.storage import StoragePath, files_below, storage_path


def verify(
    runs: str | StoragePath, levels: str | Path | None = None, progress: Progress | None = None
) -> Proof:
    """Prove a folder of results: compute every claim of its files again. Nothing is written.

    Args:
        runs: the folder or URL of `cog evaluate --out`.
        levels: the folder of its levels; by default `runs/levels`, else the official ones.
        progress: what watches. By default nothing is shown.

    Raises:
        CogError: there are no runs; or `levels` cannot be read.
    """
    root = storage_path(runs)
    folder = Folder(root, frozenset(files_below(root)), progress or Silent())
    if not folder.folders:
        raise CogError(f"no runs in {root}", "give the folder of `cog evaluate --out`")
    checks: tuple[Callable[[], Iterable[Found]], ...] = (
        lambda: _read_cells(folder),
        lambda: _check_splits(folder),
        lambda: _check_levels(folder, levels),
        lambda: _check_stores(folder),
        lambda: _check_cells(folder),
        lambda: check_heads(folder),
        lambda: _check_runs(folder),
        lambda: _check_tables(folder),
        lambda: _left_over(folder),
    )
    found = [each for check in checks for each in check()]
    faults = dict.fromkeys(each for each in found if isinstance(each, Finding))
    notes = dict.fromkeys(each for each in found if isinstance(each, str))
    return Proof(str(root), tuple(faults), tuple(notes), _counts(folder))


def _counts(folder: Folder) -> dict[str, int]:
    """How many of each kind there are."""
    ranks, predictions = (
        sum(folder.has(file(path)) for path in folder.cells)
        for file in (ranks_file, predictions_file)
    )
    return {
        "model runs": len(folder.folders),
        "cells": len(folder.cells),
        "cells proved by their ranks": ranks,
        "cells proved by their predictions": predictions,
        "heads": len(head_names(folder)),
        "splits": len(folder.splits),
        "stores": len(folder.stores),
    }


def _read_cells(folder: Folder) -> Iterator[Found]:
    """Read all cells; those that cannot be used are faults, as everywhere else."""
    left_out: dict[StoragePath | str, str] = {}

    def notify(line: str) -> None:  # of the distances of datasets, which lie beside the cells
        file, suffix, why = line.partition(".json ")
        left_out[f"{file}{suffix.rstrip()}"] = why

    named = protocol_in_folder(folder.runs)
    try:
        folder.cells = finished_cells(folder.runs, named, notify, left_out.__setitem__)
    except CogError:
        yield f"{folder.runs} has no finished cell that can be used"
    for file, why in left_out.items():
        hint = "keep one of the two" if "same result" in why else RESTORE_CELL
        yield Finding(str(file), "a finished cell", f"one that {why}", hint)


def _check_splits(folder: Folder) -> Iterator[Found]:
    """The lists of each dataset."""
    for dataset in folder.datasets:
        try:
            folder.splits[dataset] = read_split(folder.runs, dataset)
        except BrokenError as broken:
            yield broken.finding


def _check_levels(folder: Folder, given: str | Path | None) -> Iterator[Found]:
    """The classes of each dataset against the levels; None means those beside, or the official."""
    beside = folder.runs / "levels"
    own = beside if isinstance(beside, Path) and (beside / "levels.csv").is_file() else None
    try:
        levels = read_levels(given or own)
    except CogError as error:
        if given is not None:
            raise
        yield Finding(str(beside), "the levels that levels.json tells of", error.what, error.hint)
        return
    named = {row["levels_hash"] for row in folder.rows().values() if row.get("levels_hash")}
    found = levels.fingerprint[:16]
    if (others := some(sorted(named - {found}))) and given is not None:
        yield Finding(str(given), f"levels {others}", found, "give the --levels of the run")
    elif others:
        yield f"the levels {others} are not here: give --levels DIR"
    for dataset, kept in folder.splits.items():
        hashes = {row.get("levels_hash") for row in folder.rows(dataset=dataset).values()}
        if hashes == {found}:
            file = split_file(folder.runs, dataset, "train")
            yield from wrong_classes(kept, wanted_classes(levels, dataset), file)
    yield from check_distances(folder, levels)


def _check_stores(folder: Folder) -> Iterator[Found]:
    """Every store that is kept; of a pair, both or none."""
    there = {(str(path.parent), *dataset_and_split(path)) for path in folder.stores}
    for path in folder.stores:
        dataset, split = dataset_and_split(path)
        used = bool(folder.rows(dataset=dataset, model=path.parent.parent.name))
        yield from check_store(path, folder.runs, folder.splits, used, folder.progress)
        if parted(dataset)[1] or (split == "test" and _serves_others(folder, dataset)):
            continue  # the training features are not needed where heads are kept
        other = "test" if split == "train" else "train"
        if used and (str(path.parent), dataset, other) not in there:
            missing = str(path.parent / f"{dataset}-{other}.zarr")
            yield Finding(missing, f"a store, as {path.name} is kept", "none", MAKE)
    if not there:
        yield "no features are kept: their checksums could not be checked"


def _serves_others(folder: Folder, dataset: str) -> bool:
    """Whether the test features of a dataset serve a test set of it too."""
    return any(kept.right for name, kept in folder.splits.items() if parted(name)[0] == dataset)


def _check_cells(folder: Folder) -> Iterator[Found]:
    """Every cell, and the files beside the cells."""
    with folder.progress.bar("cells", len(folder.cells), "cells") as advance:
        for path, cell in folder.cells.items():
            yield from check_cell(path, cell, folder.splits.get(full_name(cell["row"])))
            advance(1)
    yield from check_mistakes(folder)
    yield from _without(folder)
    beside = ["classes"], ["ranks"], ["predictions"], ["heads"]
    files = (name for name in folder.names if name.split("/")[1:-1] in beside)
    hint = f"run {EVALUATE}: it makes what is missing"
    for name in sorted(files):
        model, _, file = name.split("/")
        missing = f"{model}/cells/{Path(file).stem}.json"
        if missing not in folder.names and not name.endswith(".partial"):
            yield Finding(str(folder.runs / missing), f"a cell, as {name} is there", "none", hint)


def _without(folder: Folder) -> Iterator[str]:
    """A note of the cells without ranks, and of those without predictions."""
    why = "(an earlier version kept none, or they were removed)"
    no_predictions = {path for path in folder.cells if not folder.has(predictions_file(path))}
    unasked = {path for path in no_predictions if _finds_images(folder.cells[path]["row"]["probe"])}
    no_ranks = [path for path in folder.cells if not folder.has(ranks_file(path))]
    for what, cells, so in (
        ("ranks", [path for path in no_ranks if path not in no_predictions], ""),
        ("ranks", [path for path in no_ranks if path in no_predictions],
         ", so their top-5 is not proved"),
        ("predictions", sorted(no_predictions - unasked, key=str), ""),
    ):  # fmt: skip
        if cells:
            names = some([folder.relative(path) for path in cells])
            yield f"{len(cells)} cells have no {what} {why}{so}: {names}"


def _finds_images(probe: str) -> bool:
    """Whether a probe places images, not classes: then it predicts none."""
    return probe in PROBES and PROBES[probe].among_test


def _check_runs(folder: Folder) -> Iterator[Found]:
    """run.json of every model, and the hashes of the cells."""
    for name in folder.folders:
        own = folder.runs / name
        rows = folder.rows(model=name)
        try:
            run: Mapping[str, Any] = read_document(own / "run.json", RESTORE)
        except BrokenError as broken:
            yield broken.finding
            continue
        yield from check_run(own, run, rows)
        for dataset, kept in folder.splits.items():
            of_dataset = folder.rows(model=name, dataset=dataset)
            if of_dataset:
                stores = list(_fingerprints(folder, own, dataset, kept, views_of(run)))
                yield from check_features_hash(own, run, of_dataset, kept, stores)
    for dataset, kept in folder.splits.items():
        rows = folder.rows(dataset=dataset)
        if rows:
            yield from check_split_hash(folder.runs, dataset, rows, kept)


def _fingerprints(
    folder: Folder, own: StoragePath, dataset: str, kept: KeptSplit, views: int
) -> Iterator[dict[str, Any]]:
    """The fingerprints of the stores of one model on one dataset, as far as they can be read."""
    of_others = kept.right is not None  # they are of the test images of the dataset itself
    for split in ("test",) if kept.train_within else ("train", "test"):
        of = fitted_on(dataset) if of_others else dataset
        name = store_name(of, split, views if split == "train" else 0)
        path = own / "features" / name
        if folder.has(path / "zarr.json"):
            try:
                yield FeatureStore.open(path).fingerprint
            except Exception:  # damaged metadata make Zarr raise many things; said already
                return


def _check_tables(folder: Folder) -> Iterator[Found]:
    """results.csv, and the lists of unreadable and truncated images with their parts."""
    if folder.cells or "results.csv" in folder.names:
        yield from check_results(folder.runs)
    for which in LISTS:
        of_stores: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
        for path in folder.stores:
            dataset = dataset_and_split(path)[0]
            kept = dataset in folder.splits and folder.has(path / "zarr.json")
            if kept and folder.rows(dataset=dataset):  # else their extraction has not ended yet
                try:
                    store = FeatureStore.open(path)
                    rows = listed_images(store, which, dataset, folder.splits[dataset])
                except Exception:  # as above
                    continue
                of_stores[dataset] |= rows or set()
        yield from check_bad_images(folder.runs, which, folder.names, of_stores)


def _left_over(folder: Folder) -> Iterator[str]:
    """A note of the partial files."""
    parts = {
        "/".join(name.split("/")[: depth + 1])
        for name in folder.names
        for depth, part in enumerate(name.split("/"))
        if part.endswith(".partial")
    }
    if parts:
        yield (
            f"{len(parts)} partial files of writers that were killed or are at work, which nothing "
            f"reads: {some(sorted(parts))}; the next run removes those of killed ones"
        )
