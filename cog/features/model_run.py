"""The folder of one model's run: run.json says what it is, and another model is refused."""

from __future__ import annotations

import csv
import io
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cog.errors import CogError
from cog.images.image_list import ImageList
from cog.models.model import Model
from cog.provenance import versions
from cog.storage import StoragePath, clear_partial, write_text

RESERVED = (
    "splits",
    "unreadable",
    "results.csv",
    "unreadable.csv",
)  # not runs


@dataclass(frozen=True, eq=False)
class ModelRun:
    """One model and the folder its features and results go to."""

    folder: StoragePath
    model: Model
    fingerprint: str  # of the model, taken once: it reads every weight


def plan_model_runs(models: Sequence[Model], out: StoragePath) -> tuple[ModelRun, ...]:
    """A run for each model.

    Raises:
        CogError: two models under one name, here or on disk.
    """
    model_runs: dict[str, ModelRun] = {}
    for model in models:
        if model.name in RESERVED:
            raise CogError(f"a run cannot be called {model.name}", "give another --name")
        if model.name in model_runs:
            raise CogError(
                f"two models are called {model.name}", "give each its own --name, or drop one"
            )
        model_runs[model.name] = ModelRun(out / model.name, model, model.fingerprint)
        _refuse_another(model_runs[model.name])
    return tuple(model_runs.values())


def _refuse_another(model_run: ModelRun) -> None:
    """Refuse a folder that holds the run of another model, or of another preprocessing of it."""
    path = model_run.folder / "run.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found, preprocess = str(document["model_fingerprint"]), dict(document["preprocess"])
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise CogError(
            f"{path} is damaged", f"remove {model_run.folder}, or give another --out"
        ) from error
    if found == model_run.fingerprint:
        return
    asked = json.loads(json.dumps(model_run.model.preprocess.describe()))
    differ = [f"{key} {preprocess.get(key)}, now {asked[key]}" for key in asked
              if preprocess.get(key) != asked[key]]  # fmt: skip
    raise CogError(
        f"{model_run.folder} holds another model under that name "
        f"({'; '.join([*differ, f'fingerprint {found[:12]}, now {model_run.fingerprint[:12]}'])})",
        "give another --name or --out, or remove that folder",
    )


def write_model_run(model_run: ModelRun, settings: Mapping[str, Any]) -> None:
    """Write run.json: the command, the model, the settings and the versions of a run.

    What killed writers left half written beside it goes.
    """
    if isinstance(model_run.folder, Path):
        clear_partial(model_run.folder.glob("*.partial"))
        clear_partial(model_run.folder.glob("c*/*.partial"))  # cells, classes
    document = {
        "model": model_run.model.name,
        "model_fingerprint": model_run.fingerprint,
        "dim": model_run.model.dim,
        "preprocess": model_run.model.preprocess.describe(),
        "seen_data": model_run.model.seen_data,
        **settings,
        "versions": versions(),
        "command": shlex.join(sys.argv),
    }
    write_text(model_run.folder / "run.json", json.dumps(document, indent=1, default=str) + "\n")


def record_unreadable(
    out: StoragePath, dataset: str, lists: Sequence[ImageList], reasons: Sequence[Mapping[int, str]]
) -> None:
    """Name the unreadable images of a dataset: dataset, split, path, reason.

    `reasons` maps row to reason, for each of the `lists`. They go to `out/unreadable/DATASET.csv`,
    which is this dataset's alone; `out/unreadable.csv` is a fold of those files, rebuilt.
    """
    part = out / "unreadable" / f"{dataset}.csv"
    rows = [
        [dataset, images.split, images.paths[row], why]
        for images, found in zip(lists, reasons, strict=True)
        for row, why in found.items()
    ]
    if not rows and not part.exists():
        return
    write_text(part, _as_csv(sorted(rows)))
    parts: list[StoragePath] = list(out.glob("unreadable/*.csv"))
    every = [line for path in sorted(parts, key=str) for line in _lines_of_csv(path)]
    write_text(out / "unreadable.csv", _as_csv([["dataset", "split", "path", "reason"], *every]))


def _as_csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _lines_of_csv(path: StoragePath) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
