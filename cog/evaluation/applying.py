"""A head that a fit has left, applied to any features: `cog probe --apply HEAD --test FEATURES`.

In: the file of a head, and features with labels. Out: the row of results that `cog probe` gives.

Classes are matched by name where both sides tell them; the store of a run does, by the split beside
it. Else the labels of the features count the classes of the head from 0; those of a head that was
itself fitted on bare labels are these labels. Only classes of the features are answers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.evaluation.heads import head_result, read_kept
from cog.evaluation.probing import outcome
from cog.evaluation.verify.features import dataset_and_split
from cog.evaluation.verify.findings import BrokenError
from cog.evaluation.verify.splits import read_split
from cog.features.exchange import FeatureSet, read_features
from cog.features.store.store import FeatureStore
from cog.object_storage import Url
from cog.plain_text import first_names, printable
from cog.probes.data import ProbeData, ProbeSettings
from cog.probes.head import Head
from cog.probes.rows import work_device
from cog.probes.table import PROBES
from cog.progress import Notify
from cog.recipe import REFIT, Recipe, control_of, file_name, is_refit
from cog.small_files import NotReadable
from cog.storage import StoragePath

BY_LABEL = "label"
"""what `named_by` says of a head whose classes are called as the labels of its features"""
_HINT = "give a file of runs/NAME/heads/, or one that `cog probe --heads` has written"


def read_named(path: StoragePath) -> FeatureSet:
    """Features with the names of their classes, if these are told: of a run's store by its split.

    Raises:
        CogError: see `read_features`.
    """
    features = read_features(path)
    if features.classes or not (isinstance(path, Url) or path.is_dir()):
        return features
    store = path if isinstance(path, Url) else path.resolve()
    dataset, part = dataset_and_split(store)
    try:
        split = read_split(store.parent.parent.parent, dataset)
    except (BrokenError, OSError):
        return features  # a store that lies alone
    images = split.train if part == "train" else split.test
    its = FeatureStore.open(path).fingerprint.get("images") == images.fingerprint
    return replace(features, classes=images.classes) if its else features


def without_plain_names(features: FeatureSet, path: str) -> FeatureSet:
    """Features to export: with names of classes only where labels do not count those of a dataset.

    So it is of a further test set, and where some classes have no image. `path`: of the features.
    """
    plain = "@" not in Path(path).name and len(np.unique(features.y)) == len(features.classes)
    return replace(features, classes=()) if plain else features


def apply_head(
    path: StoragePath, test: FeatureSet, device: str, notify: Notify
) -> tuple[str, dict[str, Any]]:
    """What a head was fitted on, as its file calls it, and its row of results on features.

    `notify` takes how classes are matched.

    Raises:
        CogError: no head at the path; features of another width, of classes that the head does not
            have, or that no probe can be scored on.
    """
    try:
        head, about, known = read_kept(path)
    except (OSError, NotReadable) as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else error
        raise CogError(f"expected the head of a probe at {path}: {why}", _HINT) from error
    key, recipe = _of_fit(path, about)
    _refuse_others(head, about, test)
    learnt_on = about.get("dataset", "")
    if is_refit(learnt_on) and test.name == f"{file_name(learnt_on.removesuffix(REFIT))}-test":
        notify(
            f"some images of {test.name} may have trained this head: the results of {learnt_on} "
            "are of the others"
        )
    answers, labels = _matched(head, about, test, notify)
    nothing = np.empty((0, head.layer.shape[1] - 1), np.float32), np.empty(0, np.int64)
    data = ProbeData(*nothing, test.x, labels, len(answers))
    fit = ProbeSettings(key["solver"], None, key["seed"], recipe, device)
    result = head_result(head, known, data, answers, work_device(fit.device))
    return about.get("model", path.stem), {
        **key,
        "n_classes": len(answers),
        "n_fit_classes": len(head.layer),
        **outcome(result, data, key["probe"], fit.solver, recipe),
    }


def _of_fit(path: StoragePath, about: dict[str, str]) -> tuple[dict[str, Any], Recipe]:
    """Probe, solver, shots and seed, and the recipe of a fit, which the file of its head tells."""
    probe, solver = about.get("probe", ""), about.get("solver", "")
    if probe not in PROBES or solver not in PROBES[probe].solvers:
        raise CogError(
            f"{path} is of the probe {printable(probe)} by {printable(solver)}, which is not known",
            "use the version of cog that has written it",
        )
    try:
        shots = about["shots"]
        drawn = {"shots": shots if shots == "all" else int(shots), "seed": int(about["seed"])}
        return {"probe": probe, "solver": solver, **drawn}, Recipe(**json.loads(about["recipe"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CogError(f"{path} does not tell the recipe of its fit", _HINT) from error


def _refuse_others(head: Head, about: dict[str, str], test: FeatureSet) -> None:
    """Refuse features that the head cannot take."""
    model, width = printable(about.get("model", "its own")), head.layer.shape[1] - 1
    if test.x.shape[1:] != (width,):
        raise CogError(
            f"expected features of {width:,} numbers, as the head of {model} takes, found "
            f"{test.x.shape[-1]:,} in {test.name}",
            f"give features of the model {model}",
        )
    if control_of(about.get("model", "")) == "random-features":
        raise CogError(f"{model} takes random numbers, which no store has", "give another head")


def _matched(
    head: Head, about: dict[str, str], test: FeatureSet, notify: Notify
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which classes of the head are answers, int64[c'] ascending, and labels among these."""
    names, by = _names(head, about, test)
    at = {name: index for index, name in enumerate(head.classes or _numbers(len(head.layer)))}
    lacking = [name for name in names.values() if name not in at]
    if lacking or not names:
        raise CogError(
            f"{len(lacking):,} of {len(names):,} classes of {test.name} are none of the head's "
            f"{len(at):,}: {first_names(lacking)}; it has {first_names(list(at))}",
            "give features of the classes that the head was fitted on, named or numbered alike",
        )
    answers = np.array(sorted(at[name] for name in names.values()), np.int64)
    labels, which = np.unique(test.y, return_inverse=True)  # any numbers, also large ones
    answer_of = [np.searchsorted(answers, at[names[label]]) for label in labels.tolist()]
    if len(answers) < len(at):
        notify(
            f"{test.name} has {len(answers):,} of the head's {len(at):,} classes: it answers among "
            "these alone"
        )
    notify(f"classes are matched by {by}")
    return answers, np.array(answer_of, np.int64)[which]


def _names(head: Head, about: dict[str, str], test: FeatureSet) -> tuple[dict[int, str], str]:
    """What the head calls the class of each label, and by what it is matched."""
    if test.classes and head.classes and about.get("named_by") != BY_LABEL:
        return dict(enumerate(test.classes)), "name"
    labels = np.unique(test.y).tolist()
    if not head.classes or about.get("named_by") == BY_LABEL:
        return {label: str(label) for label in labels}, "label"
    names = dict(enumerate(head.classes))
    return {label: names.get(label, f"label {label}") for label in labels}, "number, from 0"


def _numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]
