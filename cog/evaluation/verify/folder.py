"""A folder of runs as it is checked: its files, and what has been read of them so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cog.evaluation.verify.features import dataset_and_split
from cog.evaluation.verify.splits import KeptSplit
from cog.progress import Progress
from cog.recipe import dataset_of_file
from cog.results.columns import full_name
from cog.storage import StoragePath

Cells = dict[StoragePath, dict[str, Any]]


@dataclass
class Folder:
    """A folder of runs, and what has been read of it so far."""

    runs: StoragePath
    names: frozenset[str]
    """every file below it, relative"""
    progress: Progress
    cells: Cells = field(default_factory=dict)
    splits: dict[str, KeptSplit] = field(default_factory=dict)

    @property
    def stores(self) -> list[StoragePath]:
        """Every feature store, also one whose metadata are gone."""
        found = {name.split(".zarr/")[0] for name in self.names if ".zarr/" in name}
        own = sorted(name for name in found if name.split("/")[1:-1] == ["features"])
        return [self.runs / f"{name}.zarr" for name in own]

    @property
    def folders(self) -> list[str]:
        """The names of the model runs."""
        own = {name.split("/")[0] for name in self.names if _is_of_model(name)}
        return sorted(own)

    @property
    def datasets(self) -> list[str]:
        """The datasets that have cells, stores or splits."""
        of_stores = {dataset_and_split(path)[0] for path in self.stores}
        of_splits = {
            dataset_of_file(Path(name).stem)
            for name in self.names
            if name.startswith("splits/") and name.endswith(".txt")
        }
        of_cells = {full_name(cell["row"]) for cell in self.cells.values()}
        return sorted(of_stores | of_splits | of_cells)

    def has(self, path: StoragePath) -> bool:
        """Whether a file was there when the folder was listed."""
        return self.relative(path) in self.names

    def relative(self, path: StoragePath) -> str:
        """The path of a file below the folder."""
        return str(path).removeprefix(f"{self.runs}/")

    def rows(self, **wanted: str) -> dict[StoragePath, dict[str, Any]]:
        """The rows of the cells that have these values, by their files; datasets by full name."""
        rows = {path: cell["row"] for path, cell in self.cells.items()}
        return {
            path: row
            for path, row in rows.items()
            if all(_value(row, name) == value for name, value in wanted.items())
        }


def _value(row: Mapping[str, Any], name: str) -> Any:
    return full_name(row) if name == "dataset" else row[name]


def _is_of_model(name: str) -> bool:
    """Whether a file belongs to a model run."""
    _, _, below = name.partition("/")
    return below == "run.json" or below.startswith(("cells/", "features/"))
