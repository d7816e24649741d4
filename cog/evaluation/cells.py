"""Cells: each result of a run by its key, the hashes of what it is made from, and its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cog.csv_text import rows_from_csv
from cog.datasets.dataset import Dataset
from cog.datasets.right_classes import RightClasses
from cog.errors import CogError
from cog.features.bad_images import UNREADABLE
from cog.features.model_run import ModelRun
from cog.features.run_stores import feature_fingerprint
from cog.features.settings import Extraction
from cog.hashes import short_hash
from cog.images.decoding import decode
from cog.images.image_list import ImageList, read_bytes
from cog.images.limits import Unreadable
from cog.levels.table import Levels
from cog.probes.metrics import has_another
from cog.probes.settings import Probing
from cog.probes.table import PROBES, Probe
from cog.recipe import TOP1, Recipe, file_name, of_levels
from cog.results.cells import protocol_names, read_cell
from cog.results.columns import full_name
from cog.results.kept_mistakes import mistakes_of_cells, with_mistakes
from cog.small_files import read_text
from cog.storage import StoragePath

VERSION = 1  # raised when a result would change for the same input


@dataclass(frozen=True, eq=False)
class LeftOut:
    """The images of a dataset that earlier runs left out, as unreadable.

    Version 0.1 left truncated images out, without another hash: its results stand where that made
    no difference.
    """

    out: StoragePath
    dataset: Dataset
    extraction: Extraction

    @cached_property
    def read_now(self) -> bool:
        """Whether one of them can be read now, or nobody knows: their list is gone."""
        try:
            text = read_text(self.out / UNREADABLE / f"{file_name(self.dataset.name)}.csv")
        except (OSError, ValueError):
            return True
        listed = {tuple(row[1:3]) for row in rows_from_csv(text)}
        return any(
            self._is_readable(images, index)
            for images in self.dataset.lists
            for index, path in enumerate(images.paths)
            if (images.split, path) in listed
        )

    def _is_readable(self, images: ImageList, index: int) -> bool:
        how = self.extraction
        try:
            decode(read_bytes(images, index), how.decoder, how.truncated)
        except (Unreadable, CogError):
            return False
        return True


@dataclass(frozen=True)
class Cell:
    """One result to come or there: its key, and the hashes of what it is made from."""

    model_run: ModelRun
    dataset: str
    probe: str
    solver: str
    shots: int | None
    seed: int
    hashes: dict[str, str]
    left_out: LeftOut
    fit: str
    """see `fit_hash`"""

    @property
    def shots_validation(self) -> str:
        """Where N shots validate: official or within."""
        return self.hashes.get("shots_validation", "official")

    @property
    def shots_name(self) -> int | str:
        """Shots as results show them."""
        return "all" if self.shots is None else self.shots

    @property
    def path(self) -> StoragePath:
        """The file of the finished cell."""
        key = (self.dataset, self.probe, self.solver, self.shots_name, self.seed)
        return self.model_run.folder / "cells" / f"{cell_name(*key)}.json"

    def finished(self) -> dict[str, Any] | None:
        """The row of the finished cell, if its file is there and has the same hashes."""
        cell = read_cell(self.path)
        if not cell or cell.get("hashes") != self.hashes:
            return None
        row: dict[str, Any] = cell["row"]
        before = row.get("n_unreadable") and "n_truncated" not in row
        return None if before and self.left_out.read_now else row


def cell_name(dataset: str, probe: str, solver: str, shots: int | str, seed: int) -> str:
    """The name of a cell's files without their endings; `shots` as results show them."""
    return f"{file_name(dataset)}--{probe}-{solver}--{shots}--{seed}"


def name_of_row(row: Mapping[str, Any], dataset: str = "") -> str:
    """The `cell_name` of the cell that a row of results is of, or of the same cell of `dataset`."""
    dataset = dataset or full_name(row)
    return cell_name(dataset, row["probe"], row["solver"], row["shots"], row["seed"])


def cell_file(runs: StoragePath, row: Mapping[str, Any]) -> StoragePath:
    """The file of the cell that a row of results is of."""
    return runs / str(row["model"]) / "cells" / f"{name_of_row(row)}.json"


def with_what_mistakes_cost(
    runs: StoragePath, rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows of finished cells with the columns of cog/results/mistakes.py."""
    cells = {cell_file(runs, row): row for row in rows}
    found = mistakes_of_cells(runs, cells, lambda _: None)
    return [with_mistakes(row, found[path]) for path, row in cells.items()]


def protocol_of(recipe: Recipe) -> str:
    """What results call the protocol of a recipe: its name with the version of its results.

    >>> protocol_of(Recipe())
    'cog-1'
    """
    return f"{recipe.protocol}-{VERSION}"


def protocol_in_folder(runs: StoragePath) -> str:
    """What this version calls the protocol whose results lie in a folder of runs.

    That of most model runs' first cells, should there be several; the default's where there is no
    cell.
    """
    names = protocol_names(runs) or [Recipe.protocol]
    return protocol_of(Recipe(protocol=max(sorted(set(names)), key=names.count)))


def list_cells(
    model_runs: Sequence[ModelRun],
    datasets: Iterable[Dataset],
    levels: Levels,
    extraction: Extraction,
    probing: Probing,
    recipe: Recipe,
) -> Iterator[Cell]:
    """Every cell of a run: dataset by dataset, model by model, then in the order of `probing`."""
    for dataset in datasets:
        shared = _of_all_models(dataset, levels, extraction, recipe)
        split = split_hash(dataset.lists, dataset.split.right)
        left_out = LeftOut(model_runs[0].folder.parent, dataset, extraction)
        for model_run in model_runs:
            features = [
                feature_fingerprint(model_run, each, extraction)
                for each in dataset.split.feature_lists
            ]
            learnt = feature_fingerprint(model_run, dataset.split.train, extraction)
            hashes = shared | {"split_hash": split, "features_hash": short_hash(features)}
            for probe, solver, shots, seed in dataset.probing(probing).results():
                if not _can_answer(PROBES[probe], dataset, model_run):
                    continue
                where = {} if shots is None else {"shots_validation": probing.shots_validation}
                if model_run.control:
                    where["control"] = model_run.control
                yield Cell(
                    model_run, dataset.name, probe, solver, shots, seed, hashes | where, left_out,
                    fit=fit_hash((probe, solver, shots, seed), hashes | where, learnt),
                )  # fmt: skip


def _of_all_models(
    dataset: Dataset, levels: Levels, extraction: Extraction, recipe: Recipe
) -> dict[str, str]:
    """What the cells of a dataset are made from whatever their model."""
    shared = {
        "protocol": protocol_of(recipe),
        "recipe_hash": short_hash(dataset.recipe(recipe).recorded()),
    }
    if of_levels(dataset.name):
        shared["levels_hash"] = levels.fingerprint[:16]
    elif dataset.metric != TOP1:
        shared["metric"] = dataset.metric
    return shared | ({"views": str(extraction.views)} if extraction.views else {})


def _can_answer(probe: Probe, dataset: Dataset, model_run: ModelRun) -> bool:
    """Whether a probe has something to say of a model on a dataset.

    One among the test images has not of shuffled labels: those of the training images are, which it
    does not look at.
    """
    unasked = probe.among_test and model_run.control == "shuffled-labels"
    return not (unasked or why_left_out(probe, dataset))


def why_left_out(probe: Probe, dataset: Dataset) -> str:
    """Why a probe can say nothing of a dataset; empty where it can."""
    if probe.among_test and dataset.split.right:
        return "it asks for images of one class, and these have several"
    if probe.among_test and not has_another(dataset.split.test.labels).any():
        return "no class has two test images"
    if not (probe.answers_some or dataset.n_classes == len(dataset.split.train.classes)):
        return "it cannot answer among some of the classes alone"
    return ""


def fit_hash(
    key: tuple[str, str, int | None, int], hashes: Mapping[str, str], features: Mapping[str, Any]
) -> str:
    """The hash of what a probe is fitted from; test images are no part of it.

    Args:
        key: probe, solver, shots and seed.
        hashes: those of the cell.
        features: the fingerprint of the training features.
    """
    where = {name: hashes[name] for name in ("shots_validation", "control") if name in hashes}
    return short_hash([*key, hashes["protocol"], hashes["recipe_hash"], features, where])


def split_hash(lists: Iterable[ImageList], right: RightClasses | None) -> str:
    """The hash of the training and test images of a dataset, and of their right classes."""
    several = [right.fingerprint] if right else []
    return short_hash([*(images.fingerprint for images in lists), *several])
