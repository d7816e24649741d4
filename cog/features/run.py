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
from cog.storage import Place, clear_partial, write_text

RESERVED = (
    "splits",
    "unreadable",
    "results.csv",
    "unreadable.csv",
)  # not runs


@dataclass(frozen=True, eq=False)
class Run:
    """One model and the folder its features and results go to."""

    folder: Place
    model: Model
    fingerprint: str  # of the model, taken once: it reads every weight


def plan_runs(models: Sequence[Model], out: Place) -> tuple[Run, ...]:
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
    """Refuse a folder that holds the run of another model, or of another preprocessing of it."""
    path = run.folder / "run.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found, preprocess = str(document["model_fingerprint"]), dict(document["preprocess"])
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise CogError(
            f"{path} is damaged", f"remove {run.folder}, or give another --out"
        ) from error
    if found == run.fingerprint:
        return
    asked = json.loads(json.dumps(run.model.preprocess.describe()))
    differ = [f"{key} {preprocess.get(key)}, now {asked[key]}" for key in asked
              if preprocess.get(key) != asked[key]]  # fmt: skip
    raise CogError(
        f"{run.folder} holds another model under that name "
        f"({'; '.join([*differ, f'fingerprint {found[:12]}, now {run.fingerprint[:12]}'])})",
        "give another --name or --out, or remove that folder",
    )


def write_run(run: Run, settings: Mapping[str, Any]) -> None:
    """Write run.json: the command, the model, the settings and the versions of a run.

    What killed writers left half written beside it goes.
    """
    if isinstance(run.folder, Path):
        clear_partial(run.folder.glob("*.partial"))
        clear_partial(run.folder.glob("c*/*.partial"))  # cells, classes
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
    out: Place, dataset: str, lists: Sequence[ImageList], reasons: Sequence[Mapping[int, str]]
) -> None:
    """Name the unreadable pictures of a dataset: dataset, split, path, reason.

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
    parts: list[Place] = list(out.glob("unreadable/*.csv"))
    every = [line for path in sorted(parts, key=str) for line in _lines_of_csv(path)]
    write_text(out / "unreadable.csv", _as_csv([["dataset", "split", "path", "reason"], *every]))


def _as_csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _lines_of_csv(path: Place) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
