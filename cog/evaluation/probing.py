"""Probes on features: fits them and makes a row of the results of each fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cog.csv_text import rows_as_csv
from cog.datasets.dataset import Dataset
from cog.errors import CogError
from cog.evaluation.cells import Cell, protocol_of
from cog.evaluation.fit_notes import fit_line
from cog.evaluation.fits import FitData, fit_cell
from cog.evaluation.heads import write_head
from cog.evaluation.plan import Plan
from cog.features.exchange import FeatureSet, by_names, in_common_classes, label_names
from cog.features.executors.device import Device
from cog.features.store.store import FeatureStore
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, unwatched
from cog.probes.metrics import METRICS, Labels, Ranks, per_class_top1
from cog.probes.settings import Probing
from cog.probes.table import PROBES, TAKES, scored
from cog.progress import Notify, percent_of
from cog.provenance import versions
from cog.recipe import Recipe, fitted_on, parted
from cog.results.cells import cell_text, class_file, predictions_file, ranks_file
from cog.results.predictions import predictions_text
from cog.results.ranks import ranks_text
from cog.storage import StoragePath, write_text


def outcome(
    result: ProbeResult, data: ProbeData, probe: str, solver: str, recipe: Recipe
) -> dict[str, Any]:
    """The columns that a fit gives to its row of the results.

    `seed_decides` says what the spread over seeds is a spread of: where that is the search alone,
    the interval `top1_low` to `top1_high` is the error to look at.
    """
    entry = PROBES[probe].solvers[solver]
    of_recipe: dict[str, Any] = {"trials_per_round": None, "products": "float32"}
    of_recipe |= {name: getattr(recipe, name) for name in entry.recipe_columns}
    if recipe.norm != Recipe.norm and not PROBES[probe].by_cosine:
        of_recipe["norm"] = recipe.norm
    of_shots: dict[str, Any] = {} if result.n_short is None else {"n_short": result.n_short}
    if of_shots and recipe.few_shot_draw != Recipe.few_shot_draw:
        of_shots["few_shot_draw"] = recipe.few_shot_draw
    own = scored(probe, data.test_y)
    ranks, labels = result.ranks[own], data.test_y[own]
    return {
        **{name: of(ranks, labels, data.n_classes) for name, of in METRICS.items()},
        **result.figures,
        **result.hyper,
        "n_train": result.n_train,
        "n_validation": result.n_validation,
        "n_test": len(data.test_y),
        "dim": data.test_x.shape[1],
        "seed_decides": entry.seed_decides,
        **of_recipe,
        **of_shots,
        "seconds": result.seconds,
    }


def probe_features(
    train: FeatureSet,
    test: FeatureSet,
    probing: Probing,
    recipe: Recipe,
    device: str,
    progress: Callable[[str], OnProgress] = lambda label: unwatched,
    notify: Notify = lambda text: None,
    heads: StoragePath | None = None,
) -> Iterator[dict[str, Any]]:
    """Fit the probes on any features; gives the row of each result when it is done.

    The classes are those of both sets together (see `by_names` and `in_common_classes`).
    `progress` makes the `OnProgress` of each fit from its label. `notify` takes what the user
    should know of the labels and of each fit. Layers that are fitted are kept in the folder
    `heads`, if it is given.

    Raises:
        CogError: features that no probe can learn from.
    """
    train, test = by_names(train, test)
    named, by = label_names(train, test)
    train, test, n_classes, notes = in_common_classes(train, test)
    for note in notes:
        notify(note)
    data = ProbeData(train.x, train.y, test.x, test.y, n_classes)
    tell = _each_once(notify)
    _refuse_several(probing.probes)
    for probe, solver, shots, seed in probing.results():
        settings = ProbeSettings(solver, shots, seed, recipe, device, probing.shots_validation)
        shots_name: int | str = "all" if shots is None else shots
        label = f"{probe} {shots_name} seed {seed}"
        result = PROBES[probe].fit(data, settings, progress(label))
        tell(fit_line(shots_name, note) for note in result.notes)
        key = {"probe": probe, "solver": solver, "shots": shots_name, "seed": seed}
        if heads is not None and result.head is not None:
            about = {"model": train.name, "named_by": by, **{k: str(v) for k, v in key.items()}}
            file = heads / f"{probe}-{solver}--{shots_name}--{seed}.safetensors"
            write_head(file, replace(result.head, classes=named), result, recipe, about)
        row = key | {"n_classes": n_classes} | outcome(result, data, probe, solver, recipe)
        yield row if recipe.protocol == Recipe.protocol else row | {"protocol": protocol_of(recipe)}


def _refuse_several(probes: Sequence[str]) -> None:
    """Refuse probes of other features than one vector an image."""
    for probe in probes:
        if PROBES[probe].takes != "pooled":
            raise CogError(
                f"the probe {probe} takes {TAKES[PROBES[probe].takes]}, not one vector an image",
                "give it to cog evaluate, which makes these features",
            )


def _each_once(notify: Notify) -> Callable[[Iterable[str]], None]:
    """A function of lines that tells each of them once."""
    told: set[str] = set()

    def tell(lines: Iterable[str]) -> None:
        for line in lines:
            if line not in told:
                told.add(line)
                notify(line)

    return tell


def class_table(result: ProbeResult, data: ProbeData, wnids: Sequence[str], probe: str) -> str:
    """CSV: each class, its number of test images, and its top-1 in percent."""
    rows = class_rows(result.ranks, data.test_y, wnids, probe)
    return rows_as_csv([("wnid", "n_test", "top1"), *rows])


def class_rows(
    ranks: Ranks, labels: Labels, wnids: Sequence[str], probe: str
) -> list[tuple[str, int, str]]:
    """The rows of `class_table` from the ranks and labels of the test images."""
    own = scored(probe, labels)
    accuracies = per_class_top1(ranks[own], labels[own], len(wnids))
    shown = ("" if np.isnan(accuracy) else f"{accuracy:.6g}" for accuracy in accuracies)
    counts = np.bincount(labels, minlength=len(wnids)).tolist()
    return list(zip(wnids, counts, shown, strict=True))


def probe_cells(
    plan: Plan,
    dataset: Dataset,
    stores: Sequence[FeatureStore],
    cells: Sequence[Cell],
    device: Device,
) -> Iterator[dict[str, Any]]:
    """Fit the probes of one model's cells on one dataset; writes each cell and gives its row.

    `plan`: of this model run alone.
    `stores`: the features of the training images, which a test set may lack, and of test images.
    """
    of_fits = FitData(dataset, plan.model_runs[0].control, stores)
    data, names = of_fits.scored, dataset.split.test.classes
    counts = {"n_unreadable": of_fits.n_unreadable, "n_truncated": of_fits.n_truncated}
    recipe = dataset.recipe(plan.recipe)
    where, tell = str(device.device), _each_once(device.progress.notify)
    known = {*plan.notes.get(dataset.name, ()), *plan.notes.get(fitted_on(dataset.name), ())}
    for cell in cells:
        settings = ProbeSettings(
            cell.solver, cell.shots, cell.seed, recipe, where, cell.shots_validation
        )
        name = cell.model_run.model.name
        label = f"{name} {dataset.name} {cell.probe} {cell.shots_name} seed {cell.seed}"
        with device.progress.bar(label, 100, "%") as advance:
            watch = percent_of(advance)
            result = fit_cell(cell, of_fits, settings, plan.keep_heads, watch)
        lines = (fit_line(cell.shots_name, note) for note in result.notes)
        tell(f"{name} {dataset.name}: {line}" for line in lines if line not in known)
        row = _row(plan, dataset, cell, device.kind(cell.model_run.model))
        row |= outcome(result, data, cell.probe, cell.solver, recipe)
        row |= counts
        text = cell_text({"hashes": cell.hashes, "row": row, "trials": result.trials})
        classes = class_table(result, data, names, cell.probe)
        write_text(class_file(cell.path), classes)
        write_text(ranks_file(cell.path), ranks_text(result.ranks, text, classes))
        if result.highest is not None:
            predictions = predictions_text(result.highest, dataset.n_classes, text)
            write_text(predictions_file(cell.path), predictions)
        write_text(cell.path, text)  # the last: it makes the cell a finished one
        yield row


def _row(plan: Plan, dataset: Dataset, cell: Cell, kind: str) -> dict[str, Any]:
    """The columns of a row that do not depend on the fit; `kind`: of the model's device."""
    found = versions()
    base, test_set = parted(cell.dataset)
    within = dataset.split.within if dataset.split.right else None
    how, width = plan.extraction, np.dtype(plan.extraction.dtype).itemsize
    vectors = sum(len(each) * (1 + how.views_of(each.split)) for each in dataset.own_lists)
    return {
        "model": cell.model_run.model.name,
        "dataset": base,
        **({"test_set": test_set} if test_set else {}),
        "probe": cell.probe,
        "solver": cell.solver,
        "shots": cell.shots_name,
        "seed": cell.seed,
        "n_classes": dataset.n_classes,
        **({"n_fit_classes": len(dataset.split.train.classes)} if test_set else {}),
        **({"n_unlabelled": len(within) - len(dataset.split.test)} if within else {}),
        "complete": dataset.n_classes == dataset.n_wanted,
        "seen_data": cell.model_run.model.seen_data,
        "family": cell.model_run.model.family,
        "parameters": cell.model_run.model.n_parameters,
        "feature_bytes": vectors * cell.model_run.model.dim * width,
        "split": dataset.split.kind,
        "precision": plan.extraction.precision,
        "dtype": plan.extraction.dtype,
        "device": kind,
        "model_fingerprint": cell.model_run.fingerprint[:16],
        **cell.hashes,
        "cog_version": found["imagenet-cog"],
        "torch_version": found["torch"],
        "timm_version": found["timm"],
    }
