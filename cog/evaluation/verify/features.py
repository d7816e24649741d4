"""The feature stores of a folder of runs, against their own checksums and against the splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from cog.errors import CogError
from cog.evaluation.verify.findings import EXTRACT, MAKE, RESTORE, Finding, Found
from cog.evaluation.verify.splits import KeptSplit, split_file
from cog.features.bad_images import bad_images
from cog.features.store.store import FeatureStore
from cog.features.store.verify import verify
from cog.progress import Progress
from cog.recipe import dataset_of_file
from cog.storage import StoragePath


def dataset_and_split(store: StoragePath) -> tuple[str, str]:
    """The dataset and the part of it that a store is of, by its name: `cog_l1-train.zarr`."""
    dataset, _, split = store.stem.rpartition("-")
    return dataset_of_file(dataset), split.partition("+")[0]  # behind it: +views8


def check_store(
    path: StoragePath,
    runs: StoragePath,
    splits: Mapping[str, KeptSplit],
    used: bool,
    progress: Progress,
) -> Iterator[Found]:
    """What does not hold of one store; every byte of it is read.

    `used`: whether there are cells of its features; then no chunk may be missing.
    """
    total = _chunk_count(path)
    label = f"{path.parent.parent.name} {path.name}"
    with progress.bar(label, total, "chunks") as advance:
        verdict = verify(path, advance)
    hint = f"remove the bad chunks: cog store verify --repair {path}; then run {EXTRACT}"
    for chunk, fault in verdict.bad.items():
        yield Finding(f"{path} (chunk {chunk})", "what its checksum says", fault, hint)
    for fault in verdict.faults:
        hint = (
            "put back what was changed, the store or run.json; or remove the store "
            f"(cog store rm {path}) and run {EXTRACT}"
        )
        yield Finding(str(path), "a store that is whole and of this run", fault, hint)
    for fault in verdict.beside:
        hint = f"do that, and run {EXTRACT}"
        yield Finding(str(path), "files of this run alone", fault, hint)
    if verdict.missing and verdict.right:
        lacking = f"{verdict.missing} of {verdict.n_chunks} chunks missing"
        if used:
            yield Finding(str(path), "all chunks, as cells were made of them", lacking, MAKE)
        else:
            yield f"{path}: {lacking}, and no cell needs them yet"
    dataset, split = dataset_and_split(path)
    if dataset in splits and not verdict.faults:
        yield from _against_split(path, runs, splits[dataset], split)


def _chunk_count(path: StoragePath) -> int:
    """How many chunks a store has; 0 if it cannot be opened, which `verify` says."""
    try:
        return len(FeatureStore.open(path).done_chunks())
    except Exception:  # damaged metadata make Zarr raise many things
        return 0


def _against_split(
    path: StoragePath, runs: StoragePath, kept: KeptSplit, split: str
) -> Iterator[Finding]:
    """Whether a store is of the images and labels of the split."""
    images = {"train": kept.train, "test": kept.test}.get(split)
    if images is None:
        yield Finding(str(path), "a store of train or test images", split, RESTORE)
        return
    store = FeatureStore.open(path)
    if store.fingerprint.get("images") != images.fingerprint:
        file = split_file(runs, dataset_and_split(path)[0], split)
        expected = f"the images of {path}, {str(store.fingerprint.get('images'))[:16]}"
        yield Finding(str(file), expected, images.fingerprint[:16], RESTORE)
        return
    (labels,) = store.arrays("labels")
    if not np.array_equal(np.asarray(labels[:]), images.labels):
        hint = f"remove the store: cog store rm {path}; then run {EXTRACT}"
        yield Finding(str(path), "the labels of its split", "other labels", hint)


def listed_images(
    store: FeatureStore, which: str, dataset: str, kept: KeptSplit
) -> set[tuple[str, str, str]] | None:
    """Dataset, split and path of a store's images of a list; None if it cannot be read."""
    split = dataset_and_split(store.path)[1]
    images = kept.train if split == "train" else kept.test
    try:
        return {(dataset, split, images.paths[row]) for row in bad_images(store, which)}
    except (CogError, IndexError):
        return None
