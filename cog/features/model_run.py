"""Model runs: the folder of each model's features and results, and its run.json.

In: models, the folder of all results. Out: model runs; a folder of another model is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cog.errors import CogError
from cog.features.bad_images import LISTS, NAMES
from cog.images.jpeg_library import decoding_libraries
from cog.models.model import Model
from cog.partial_files import sweep
from cog.provenance import command, versions
from cog.small_files import read_json
from cog.storage import StoragePath, write_text

RESERVED = ("splits", "results.csv", *NAMES)  # beside the model runs


@dataclass(frozen=True, eq=False)
class ModelRun:
    """One model, or control, and the folder its features and results go to."""

    folder: StoragePath
    model: Model
    fingerprint: str  # of the model, computed once: it reads every weight
    control: str = ""  # which control it is: see cog/evaluation/controls.py
    source: ModelRun | None = None  # whose features a control takes; None: it has its own

    @property
    def of_features(self) -> ModelRun:
        """The model run that has the features."""
        return self.source or self


def plan_model_runs(models: Sequence[Model], out: StoragePath) -> tuple[ModelRun, ...]:
    """The model run of each model.

    Raises:
        CogError: two models have one name, here or on disk.
    """
    model_runs: dict[str, ModelRun] = {}
    for model in models:
        if model.name in RESERVED:
            raise CogError(f"a model cannot be called {model.name}", "give another --name")
        if model.name in model_runs:
            raise CogError(
                f"two models are called {model.name}", "give each its own --name, or drop one"
            )
        model_runs[model.name] = ModelRun(out / model.name, model, model.fingerprint)
        refuse_another(model_runs[model.name])
    return tuple(model_runs.values())


def refuse_another(model_run: ModelRun) -> None:
    """Refuse a folder of another model, or of this one with another preprocessing.

    Raises:
        CogError: what differs; or run.json is damaged.
    """
    path = model_run.folder / "run.json"
    try:
        document = read_json(path)
        found, preprocess = str(document["model_fingerprint"]), dict(document["preprocess"])
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise CogError(
            f"{path} is damaged",
            "remove that file: it is made again, and features and results beside it stay",
        ) from error
    if found == model_run.fingerprint:
        return
    asked = json.loads(json.dumps(model_run.model.preprocess.describe()))
    differ = [f"{key} {str(preprocess.get(key))[:80]}, now {asked[key]}" for key in asked
              if preprocess.get(key) != asked[key]]  # fmt: skip
    raise CogError(
        f"{model_run.folder} holds another model under that name "
        f"({'; '.join([*differ, f'fingerprint {found[:12]}, now {model_run.fingerprint[:12]}'])})",
        "give another --name or --out, or remove that folder",
    )


def sweep_runs(out: StoragePath, model_runs: Iterable[ModelRun]) -> None:
    """Remove what killed writers left in the folder of all results; at a URL there is nothing."""
    if isinstance(out, Path):
        own = ("", "cells", "classes", "ranks", "predictions", "heads", "features")
        runs = [out / run.folder.name / name for run in model_runs for name in own]
        lists = [out / name for name in LISTS]
        for folder in (out, *lists, *out.glob("splits/*"), *runs):
            sweep(folder)


def write_model_run(model_run: ModelRun, settings: Mapping[str, Any]) -> None:
    """Write run.json: the command, the model, the settings and the versions."""
    document = {
        "model": model_run.model.name,
        "model_fingerprint": model_run.fingerprint,
        "dim": model_run.model.dim,
        **({"tokens": model_run.model.tokens} if model_run.model.tokens > 1 else {}),
        "preprocess": model_run.model.preprocess.describe(),
        "seen_data": model_run.model.seen_data,
        **{
            key: getattr(model_run.model, key)
            for key in ("feature", "commit")
            if getattr(model_run.model, key)
        },
        **({"control": model_run.control} if model_run.control else {}),
        **settings,
        "versions": versions() | decoding_libraries(),
        "command": command(),
    }
    write_text(model_run.folder / "run.json", json.dumps(document, indent=1, default=str) + "\n")
