"""What a run will do: its datasets, its cells, and which of them are done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from cog.chunks import Extraction
from cog.datasets import Dataset, Pictures, find_datasets
from cog.errors import CogError, unknown_name
from cog.forward import pick_devices
from cog.images.splits import refuse_another_split
from cog.levels import Levels, read_levels
from cog.models import Model, load_model
from cog.models.zoo import UNSEEN
from cog.places import Place, place
from cog.probing import RECIPE_OPTIONS, Probing
from cog.recipe import Recipe
from cog.results import read_cell
from cog.run_stores import feature_fingerprint, refuse_other_features
from cog.runs import Run, plan_runs

PROTOCOL = "cog-1"  # raised when a result would change for the same input


@dataclass(frozen=True)
class Cell:
    """One result to come, or there: its key, and the hashes of what it is made from."""

    run: Run
    dataset: str
    probe: str
    solver: str
    shots: int | None
    seed: int
    hashes: dict[str, str]

    @property
    def shots_validation(self) -> str:
        """Where N shots validate."""
        return self.hashes.get("shots_validation", "official")

    @property
    def shots_name(self) -> int | str:
        """Shots as results show them."""
        return "all" if self.shots is None else self.shots

    @property
    def path(self) -> Place:
        """The file of the finished cell."""
        return self.run.folder / "cells" / f"{self._name}.json"

    @property
    def class_path(self) -> Place:
        """The table of its accuracy on each class."""
        return self.run.folder / "classes" / f"{self._name}.csv"

    @property
    def _name(self) -> str:
        return f"{self.dataset}--{self.probe}-{self.solver}--{self.shots_name}--{self.seed}"

    def finished(self) -> dict[str, Any] | None:
        """The row of the finished cell, if it is the one asked for now."""
        cell = read_cell(self.path)
        return cell["row"] if cell and cell.get("hashes") == self.hashes else None


@dataclass(frozen=True)
class Plan:
    """Everything that a run will do."""

    out: Place
    runs: tuple[Run, ...]
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


ModelLike = str | Path | Model


def make_plan(model: ModelLike | Sequence[ModelLike], **options: Any) -> Plan:
    """Load the models, find the pictures, and list the cells; `evaluate` documents the options.

    Raises:
        CogError: an option nobody knows, or anything that would stop the run.
    """
    parts = _sort_options(options)
    extraction = Extraction(**parts["extraction"])
    probing = Probing(**parts["probing"])
    recipe = replace(parts["rest"].pop("recipe", Recipe()), **parts["recipe"])
    out = place(parts["rest"].pop("out", "runs"))
    levels_folder = parts["rest"].pop("levels", None)
    levels = read_levels(Path(levels_folder) if levels_folder is not None else None)
    pictures = Pictures(**parts["pictures"])
    runs = plan_runs(_load_models(model, extraction, **parts["rest"]), out)
    datasets = find_datasets(pictures, levels, recipe)
    for dataset in datasets:
        refuse_another_split(dataset.split, out / "splits", dataset.name)
        refuse_other_features(runs, dataset.name, dataset.lists, extraction)
    notice = parts["rest"].get("notice")
    if notice:
        _tell_of_models(runs, notice)
        for dataset in datasets:
            for note in dataset.split.notes:
                notice(f"{dataset.name}: {note}")
    if notice and pictures.in1k is None and not pictures.only:
        notice("in1k is left out: give --in1k ROOT to include it")
    shared = {
        "protocol": PROTOCOL,
        "recipe_hash": _hash(asdict(recipe)),
        "levels_hash": levels.fingerprint[:16],
    }
    cells = tuple(
        cell
        for dataset in datasets
        for run in runs
        for cell in _cells(run, dataset, probing, shared | _hashes(run, dataset, extraction))
    )
    devices = _devices(model, extraction)
    return Plan(out, runs, levels, datasets, cells, extraction, recipe, devices)


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    """`L1,L5` or a sequence of names."""
    return tuple(value.split(",")) if isinstance(value, str) else tuple(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "images": Path,
    "in1k": Path,
    "split": Path,
    "only": _names,
    "probes": _names,
    "shots": tuple,
    "seeds": tuple,
}


def _sort_options(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Options by the dataclass that takes them; paths and lists of names may come as text."""
    homes = {"pictures": Pictures, "extraction": Extraction, "probing": Probing}
    names = {home: {field.name for field in fields(kind)} for home, kind in homes.items()}
    names["recipe"] = {"test_per_class", "min_train", "max_train", *RECIPE_OPTIONS}
    names["rest"] = {"out", "levels", "recipe", "name", "notice", *_MODEL_OPTIONS}
    parts: dict[str, dict[str, Any]] = {home: {} for home in names}
    for key, value in options.items():
        home = next((home for home, known in names.items() if key in known), None)
        if home is None:
            raise unknown_name("option", key, [name for known in names.values() for name in known])
        if value is not None:
            parts[home][key] = _READERS.get(key, lambda as_is: as_is)(value)
    return parts


_MODEL_OPTIONS = ("weights", "pretrained", "pool", "official_quirks", "trust_checkpoint")


def _load_models(
    model: ModelLike | Sequence[ModelLike],
    extraction: Extraction,
    *,
    name: str | Sequence[str] | None = None,
    notice: Callable[[str], None] | None = None,
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
                load_model(str(spec), name=called, device=device, notice=notice, **options)
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


def _tell_of_models(runs: Sequence[Run], notice: Callable[[str], None]) -> None:
    """How each model's pictures are prepared, and whether the levels are unseen for it."""
    for run in runs:
        model = run.model
        settings = ", ".join(f"{key} {value}" for key, value in model.preprocess.describe().items())
        notice(f"{model.name}: {settings}")
        if model.seen_data and model.seen_data != UNSEEN:
            notice(
                f"{model.name} has seen {model.seen_data}: the concepts of the levels are unseen "
                f"only for models that learnt from {UNSEEN} alone"
            )


def _hashes(run: Run, dataset: Dataset, extraction: Extraction) -> dict[str, str]:
    """What one model's cells on one dataset are made from, as hashes."""
    features = [feature_fingerprint(run, images, extraction) for images in dataset.lists]
    return {
        "split_hash": _hash([images.fingerprint for images in dataset.lists]),
        "features_hash": _hash(features),
    }


def _hash(value: Any) -> str:
    """The first 16 hexadecimal digits of the sha256 of a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _cells(run: Run, dataset: Dataset, probing: Probing, hashes: dict[str, str]) -> list[Cell]:
    """The cells of one model on one dataset."""
    return [
        Cell(run, dataset.name, *key, _with_shots(hashes, key[2], probing))
        for key in probing.results()
    ]


def _with_shots(hashes: dict[str, str], shots: int | None, probing: Probing) -> dict[str, str]:
    """Where N shots validate is part of what a result is made from."""
    return hashes if shots is None else hashes | {"shots_validation": probing.shots_validation}
