"""What a run will do: its datasets, its cells, and which of them are done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cog.datasets.find import Dataset, DatasetOptions, find_datasets
from cog.datasets.splits import refuse_another_split
from cog.errors import CogError
from cog.evaluation.cells import PROTOCOL, Cell, _cells, _hash, _hashes
from cog.evaluation.options import ModelLike, _sort_options
from cog.features.forward import pick_devices
from cog.features.model_run import ModelRun, plan_model_runs
from cog.features.run_stores import refuse_other_features
from cog.features.settings import Extraction
from cog.levels.files import read_levels
from cog.levels.table import Levels
from cog.models.load import load_model
from cog.models.model import Model
from cog.probes.settings import Probing
from cog.recipe import UNSEEN, Recipe
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

    def cells_of(self, dataset: str) -> list[Cell]:
        """The cells of one dataset."""
        return [cell for cell in self.cells if cell.dataset == dataset]

    def todo(self, dataset: str) -> list[Cell]:
        """The cells of one dataset that are not done."""
        return [cell for cell in self.cells_of(dataset) if cell.finished() is None]


def make_plan(model: ModelLike | Sequence[ModelLike], **options: Any) -> Plan:
    """Load the models, find the images, and list the cells; `evaluate` documents the options.

    Raises:
        CogError: an option nobody knows, or anything that would stop the run.
    """
    parts = _sort_options(options)
    extraction = Extraction(**parts["extraction"])
    probing = Probing(**parts["probing"])
    recipe = replace(parts["rest"].pop("recipe", Recipe()), **parts["recipe"])
    out = storage_path(parts["rest"].pop("out", "runs"))
    levels_folder = parts["rest"].pop("levels", None)
    levels = read_levels(Path(levels_folder) if levels_folder is not None else None)
    wanted = DatasetOptions(**parts["datasets"])
    model_runs = plan_model_runs(_load_models(model, extraction, **parts["rest"]), out)
    datasets = find_datasets(wanted, levels, recipe)
    for dataset in datasets:
        refuse_another_split(dataset.split, out / "splits", dataset.name)
        refuse_other_features(model_runs, dataset.name, dataset.lists, extraction)
    notify = parts["rest"].get("notice")
    if notify:
        _tell_of_models(model_runs, notify)
        for dataset in datasets:
            for note in dataset.split.notes:
                notify(f"{dataset.name}: {note}")
    if notify and wanted.in1k is None and not wanted.only:
        notify("in1k is left out: give --in1k ROOT to include it")
    shared = {
        "protocol": PROTOCOL,
        "recipe_hash": _hash(asdict(recipe)),
        "levels_hash": levels.fingerprint[:16],
    }
    cells = tuple(
        cell
        for dataset in datasets
        for model_run in model_runs
        for cell in _cells(
            model_run, dataset, probing, shared | _hashes(model_run, dataset, extraction)
        )
    )
    devices = _devices(model, extraction)
    return Plan(out, model_runs, levels, datasets, cells, extraction, recipe, devices)


def _load_models(
    model: ModelLike | Sequence[ModelLike],
    extraction: Extraction,
    *,
    name: str | Sequence[str] | None = None,
    notify: Callable[[str], None] | None = None,
    **options: Any,
) -> list[Model]:
    """Every model asked for, on the device; names go to the models in their order."""
    specs = [model] if isinstance(model, str | Path | Model) else list(model)
    names: list[str | None] = [name] if isinstance(name, str) else list(name or [])
    if names and len(names) != len(specs):
        raise CogError(
            f"{len(names)} names for {len(specs)} models", "give one --name for each --model"
        )
    if options.get("weights") is not None and len(specs) != 1:
        raise CogError(
            f"one weights file for {len(specs)} models", "evaluate the models one by one"
        )
    on_cluster = extraction.executor == "ray"  # nodes take the models to their devices themselves
    device = torch.device("cpu") if on_cluster else pick_devices(extraction.device)[0]
    loaded = []
    for spec, called in zip(specs, names or [None] * len(specs), strict=True):
        if isinstance(spec, Model):  # auto leaves a network where its training script put it
            where = spec.device if extraction.device == "auto" and not on_cluster else device
            loaded.append(replace(spec, name=called or spec.name).to(where))
        else:
            loaded.append(
                load_model(str(spec), name=called, device=device, notify=notify, **options)
            )
    return loaded


def _devices(
    model: ModelLike | Sequence[ModelLike], extraction: Extraction
) -> tuple[torch.device, ...]:
    """The devices that make features; a training script's network is not taken to other GPUs."""
    specs = [model] if isinstance(model, str | Path | Model) else model
    own = extraction.device == "auto" and any(isinstance(spec, Model) for spec in specs)
    if own or extraction.executor == "ray":
        return ()
    return pick_devices(extraction.device)


def _tell_of_models(model_runs: Sequence[ModelRun], notify: Callable[[str], None]) -> None:
    """How each model's images are prepared, and whether the levels are unseen for it."""
    for model_run in model_runs:
        model = model_run.model
        settings = ", ".join(f"{key} {value}" for key, value in model.preprocess.describe().items())
        notify(f"{model.name}: {settings}")
        if model.seen_data and model.seen_data != UNSEEN:
            notify(
                f"{model.name} has seen {model.seen_data}: the concepts of the levels are unseen "
                f"only for models that learnt from {UNSEEN} alone"
            )
