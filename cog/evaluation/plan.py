"""What a run will do: its datasets, its cells, and which of them are done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from cog.datasets.dataset import Dataset, DatasetOptions, source_text
from cog.datasets.find import find_datasets, refuse_nothing, wanted_labelled
from cog.datasets.splits import refuse_another_split
from cog.datasets.suites.at_root import with_suites
from cog.datasets.test_sets import wanted_test_sets
from cog.errors import CogError
from cog.evaluation.cells import Cell, list_cells, why_left_out
from cog.evaluation.controls import with_controls
from cog.evaluation.few_rows import few_rows_note
from cog.evaluation.fit_notes import notes_of_fits
from cog.evaluation.models import ModelOptions, load_models, pick_own_devices
from cog.evaluation.protocols.fixing import (
    of_its_folder,
    refuse_another_protocol,
    splits_of_suites_alone,
)
from cog.evaluation.settings import read_settings
from cog.evaluation.takes import disk_notes, suited
from cog.features.model_run import ModelRun, plan_model_runs
from cog.features.run_stores import refuse_other_features, store_path
from cog.features.settings import Extraction
from cog.images.decoding import decoder_note
from cog.levels.files import read_levels
from cog.levels.table import Levels
from cog.probes.settings import Probing
from cog.probes.table import PROBES
from cog.progress import Notify, said_once
from cog.recipe import UNSEEN, Recipe, parted
from cog.results.suites import Suites
from cog.storage import StoragePath, storage_path


@dataclass(frozen=True)
class Plan:
    """Everything that a run will do."""

    out: StoragePath
    model_runs: tuple[ModelRun, ...]
    levels: Levels
    datasets: tuple[Dataset, ...]
    cells: tuple[Cell, ...]
    extraction: Extraction
    recipe: Recipe
    devices: tuple[torch.device, ...] = ()  # that make features; none: wherever each model is
    image_key: str | None = None  # of WebDataset samples
    keep_heads: bool | None = None  # of probes; None: small ones
    sources: Mapping[str, str] = field(default_factory=dict)  # of labelled images, by name
    suites: Suites = field(default_factory=Suites)  # what readers of the results must know of them
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)  # said of each dataset

    @property
    def settings(self) -> dict[str, Any]:
        """What run.json says of the plan."""
        key: dict[str, Any] = {"image_key": self.image_key} if self.image_key else {}
        if self.sources:
            key["datasets"] = dict(self.sources)
        if tables := {each.name: each.synsets for each in self.datasets if each.synsets}:
            key["synsets"] = {
                name: {"table": synsets.table, "sha256": synsets.sha256}
                for name, synsets in tables.items()
            }
        if recipes := {
            each.name: each.recipe(self.recipe).recorded()
            for each in self.datasets
            if each.protocol is not None
        }:
            key["recipes"] = recipes
        return {
            "levels": self.levels.fingerprint,
            "recipe": self.recipe.recorded(),
            "extraction": self.extraction.recorded(),
            **key,
        }

    def groups(self) -> list[list[Dataset]]:
        """The datasets, each with its test sets."""
        groups: dict[str, list[Dataset]] = {}
        for dataset in self.datasets:
            groups.setdefault(parted(dataset.name)[0], []).append(dataset)
        return list(groups.values())

    def todo(self, dataset: str) -> list[Cell]:
        """The cells of one dataset that are not done."""
        own = (cell for cell in self.cells if cell.dataset == dataset)
        return [cell for cell in own if cell.finished() is None]

    def without_cells(self) -> Plan:
        """The same plan for the features alone."""
        return replace(self, cells=())

    def wanted_features(self, todo: Sequence[Cell]) -> list[ModelRun]:
        """The model runs whose features these cells need; all of a plan without cells."""
        wanted = (cell.model_run.of_features for cell in todo) if self.cells else self.extracted
        return list(dict.fromkeys(wanted))

    @property
    def extracted(self) -> tuple[ModelRun, ...]:
        """The model runs with features of their own."""
        return tuple(model_run for model_run in self.model_runs if not model_run.source)

    def store_paths(self) -> list[StoragePath]:
        """Where the features of all models on all datasets are."""
        return [
            store_path(model_run, dataset.name, images.split, self.extraction)
            for model_run in self.extracted
            for dataset in self.datasets
            for images in dataset.own_lists
        ]


def plan_from(options: Mapping[str, Any], notify: Notify | None = None) -> Plan:
    """The plan that the arguments of `cog.evaluate` ask for, by name; None leaves a default.

    `cog.evaluate` and the command line come here: what an option is has one place.

    Raises:
        CogError: see `make_plan`.
    """
    out = storage_path(options.get("out") or "runs")
    features_alone = "probes" not in options
    read = read_settings(of_its_folder(options, out) if features_alone else options)
    datasets, notes = with_suites(read.datasets)
    datasets, more = splits_of_suites_alone(datasets, read.recipe.protocol)
    notes += more
    if notify:
        for note in notes:
            notify(note)
    refuse_another_protocol(out, read.recipe)
    levels = read_levels(options.get("levels"))
    refuse_nothing(datasets, levels)  # before weights are downloaded
    fitted = None if features_alone else read.probing.probes
    plan = make_plan(
        read.models,
        datasets,
        suited(read.extraction, fitted, datasets),
        read.probing,
        read.recipe,
        levels,
        out,
        notify,
        bool(options.get("controls")),
        options.get("keep_heads"),
    )
    if notify and (few := few_rows_note(plan.cells, plan.datasets)):
        notify(few)
    return plan


def make_plan(
    models: ModelOptions,
    datasets: DatasetOptions,
    extraction: Extraction,
    probing: Probing,
    recipe: Recipe,
    levels: Levels,
    out: StoragePath,
    notify: Notify | None = None,
    controls: bool = False,
    keep_heads: bool | None = None,
) -> Plan:
    """Load the models, find the images, and list the cells; nothing is written.

    `notify` takes what the user should know: how images are prepared, what is left out. With
    `controls` each model has its controls beside it.

    Raises:
        CogError: anything that would stop the run.
    """
    model_runs = plan_model_runs(load_models(models, extraction, notify), out)
    if controls:
        tell = notify or (lambda _: None)
        model_runs = with_controls(model_runs, models, extraction.precision, out, tell)
    found = find_datasets(datasets, levels, recipe)
    notes = disk_notes(model_runs, found, extraction)
    for dataset in found:
        refuse_unvalidated(dataset, dataset.probing(probing).results())
        notes[dataset.name] = _notes(dataset, probing, recipe)
        refuse_another_split(dataset.split, out / "splits", dataset.name)
        refuse_other_features(model_runs, dataset.name, dataset.own_lists, extraction)
    if notify:
        _notify_of_models(model_runs, notify)
        if note := decoder_note(extraction.decoder, extraction.resize_on == "cpu"):
            notify(note)
        of_datasets = ((name, line) for name, lines in notes.items() for line in lines)
        for line in said_once(of_datasets, numbers=True):
            notify(line)
        if datasets.in1k is None and datasets.images and not (datasets.only or datasets.suites):
            notify("in1k is left out: give --in1k ROOT to include it")
    cells = tuple(list_cells(model_runs, found, levels, extraction, probing, recipe))
    devices, key = pick_own_devices(models, extraction), datasets.image_key
    test_sets = wanted_test_sets(found, datasets)
    given = (*wanted_labelled(datasets), *test_sets)
    sources = {each.name: source_text(each.source) for each in given}
    keep = True if keep_heads is None and test_sets else keep_heads
    return Plan(
        out, model_runs, levels, found, cells, extraction, recipe, devices, key, keep, sources,
        _suites_of(datasets), notes,
    )  # fmt: skip


def _suites_of(datasets: DatasetOptions) -> Suites:
    """What a reader of the results must know of the suites of a run."""
    left_out: dict[str, tuple[str, ...]] = {}
    for suite, name in datasets.left_out:
        left_out[suite] = (*left_out.get(suite, ()), name)
    return Suites(left_out, {name: protocol.about for name, protocol in datasets.protocols})


def refuse_unvalidated(
    dataset: Dataset, results: Iterable[tuple[str, str, int | None, int]]
) -> None:
    """Refuse a dataset without images to validate on, before its features are made.

    Raises:
        CogError: no class has two training images, and a probe chooses settings on held-out ones.
    """
    if len(dataset.split.train) > dataset.n_classes:
        return
    validated = {
        probe for probe, solver, *_ in results
        if "validation" in PROBES[probe].solvers[solver].seed_decides
    }  # fmt: skip
    if validated and np.bincount(dataset.split.train.labels).max() < 2:
        raise CogError(
            f"{dataset.name}: no class has two training images, and {', '.join(sorted(validated))} "
            "choose their settings on images that are held out",
            "give more training images, or --probe ncm, which has no settings",
        )


def _notes(dataset: Dataset, probing: Probing, recipe: Recipe) -> list[str]:
    """What the user should know of a dataset, a line each; raises as `short_classes` does."""
    of_synsets = dataset.synsets.notes if dataset.synsets else ()
    left_out, of_fits = _left_out(dataset, probing), notes_of_fits(dataset, probing, recipe)
    return [*dataset.split.notes, *of_synsets, *left_out, *of_fits]


def _left_out(dataset: Dataset, probing: Probing) -> Iterator[str]:
    """A line for each probe that can say nothing of a dataset."""
    for probe in probing.probes:
        if why := why_left_out(PROBES[probe], dataset):
            yield f"{probe} is left out: {why}"


def _notify_of_models(model_runs: Sequence[ModelRun], notify: Notify) -> None:
    """How each model's images are prepared, and whether the levels are unseen for it."""
    models = [model_run.model for model_run in model_runs if not model_run.control]
    for line in said_once((model.name, model.preprocess.in_words()) for model in models):
        notify(line)
    unseen_for = f"the concepts of the levels are unseen only for models that learnt from {UNSEEN}"
    others = [model for model in models if model.seen_data not in ("", UNSEEN)]
    for line in said_once((each.name, f"has seen {each.seen_data}") for each in others):
        notify(f"{line}; {unseen_for} alone")
