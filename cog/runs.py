"""The folder of one model's run: run.json says what it is, and another model is refused."""

from __future__ import annotations

import csv
import io
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cog.atomic import write_text
from cog.errors import CogError
from cog.images import ImageList
from cog.models import Model

RESERVED = ("splits", "results.csv", "unreadable.csv")  # what else lies in the folder of runs


@dataclass(frozen=True, eq=False)
class Run:
    """One model and the folder its features and results go to."""

    folder: Path
    model: Model
    fingerprint: str  # of the model, taken once: it reads every weight


def versions() -> dict[str, str]:
    """The versions of the libraries that a number may depend on."""
    found = {}
    for name in ("imagenet-cog", "torch", "torchvision", "timm", "numpy", "optuna", "zarr"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a clone without an install
            found[name] = "unknown"
    return found


def plan_runs(models: Sequence[Model], out: Path) -> tuple[Run, ...]:
    """A run for each model.

    Raises:
        CogError: two models under one name, here or on disk.
    """
    runs: dict[str, Run] = {}
    for model in models:
        if model.name in RESERVED:
            raise CogError(f"a run cannot be called {model.name}", "give another --name")
        if model.name in runs:
            raise CogError(
                f"two models are called {model.name}", "give each its own --name, or drop one"
            )
        runs[model.name] = Run(out / model.name, model, model.fingerprint)
        _refuse_another(runs[model.name])
    return tuple(runs.values())


def _refuse_another(run: Run) -> None:
    """Refuse a folder that holds the run of another model."""
    path = run.folder / "run.json"
    try:
        found = str(json.loads(path.read_text(encoding="utf-8"))["model_fingerprint"])
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise CogError(
            f"{path} is damaged", f"remove {run.folder}, or give another --out"
        ) from error
    if found != run.fingerprint:
        raise CogError(
            f"{run.folder} holds another model under that name "
            f"(fingerprint {found[:12]}, now {run.fingerprint[:12]})",
            "give another --name or --out, or remove that folder",
        )


def write_run(run: Run, settings: Mapping[str, Any]) -> None:
    """Write run.json: the command, the model, the settings and the versions of a run."""
    document = {
        "model": run.model.name,
        "model_fingerprint": run.fingerprint,
        "dim": run.model.dim,
        "preprocess": run.model.preprocess.describe(),
        "seen_data": run.model.seen_data,
        **settings,
        "versions": versions(),
        "command": shlex.join(sys.argv),
    }
    write_text(run.folder / "run.json", json.dumps(document, indent=1, default=str) + "\n")


def record_unreadable(
    out: Path, dataset: str, lists: Sequence[ImageList], reasons: Sequence[Mapping[int, str]]
) -> None:
    """Name the unreadable pictures of a dataset in `out/unreadable.csv`: dataset, split, path, why.

    `reasons` maps row to reason, for each of the `lists`. Rows of other datasets stay.
    """
    path = out / "unreadable.csv"
    header = ["dataset", "split", "path", "reason"]
    kept: list[list[str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            kept = [row for row in csv.reader(file) if row != header and row[0] != dataset]
    new = [
        [dataset, images.split, images.paths[row], why]
        for images, found in zip(lists, reasons, strict=True)
        for row, why in found.items()
    ]
    if new or path.exists():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *sorted([*kept, *new])])
        write_text(path, text.getvalue())
