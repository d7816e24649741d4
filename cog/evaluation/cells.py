"""Cells: each result of a run by its key, the hashes of what it is made from, and its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cog.datasets.find import Dataset
from cog.features.model_run import ModelRun
from cog.features.run_stores import feature_fingerprint
from cog.features.settings import Extraction
from cog.probes.settings import Probing
from cog.results.cells import read_cell
from cog.storage import StoragePath

PROTOCOL = "cog-1"  # raised when a result would change for the same input


@dataclass(frozen=True)
class Cell:
    """One result to come, or there: its key, and the hashes of what it is made from."""

    model_run: ModelRun
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
    def path(self) -> StoragePath:
        """The file of the finished cell."""
        return self.model_run.folder / "cells" / f"{self._name}.json"

    @property
    def class_path(self) -> StoragePath:
        """The table of its accuracy on each class."""
        return self.model_run.folder / "classes" / f"{self._name}.csv"

    @property
    def _name(self) -> str:
        return f"{self.dataset}--{self.probe}-{self.solver}--{self.shots_name}--{self.seed}"

    def finished(self) -> dict[str, Any] | None:
        """The row of the finished cell, if it is the one asked for now."""
        cell = read_cell(self.path)
        return cell["row"] if cell and cell.get("hashes") == self.hashes else None


def _hashes(model_run: ModelRun, dataset: Dataset, extraction: Extraction) -> dict[str, str]:
    """What one model's cells on one dataset are made from, as hashes."""
    features = [feature_fingerprint(model_run, images, extraction) for images in dataset.lists]
    return {
        "split_hash": _hash([images.fingerprint for images in dataset.lists]),
        "features_hash": _hash(features),
    }


def _hash(value: Any) -> str:
    """The first 16 hexadecimal digits of the sha256 of a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _cells(
    model_run: ModelRun, dataset: Dataset, probing: Probing, hashes: dict[str, str]
) -> list[Cell]:
    """The cells of one model on one dataset."""
    return [
        Cell(model_run, dataset.name, *key, _with_shots(hashes, key[2], probing))
        for key in probing.results()
    ]


def _with_shots(hashes: dict[str, str], shots: int | None, probing: Probing) -> dict[str, str]:
    """Where N shots validate is part of what a result is made from."""
    return hashes if shots is None else hashes | {"shots_validation": probing.shots_validation}
