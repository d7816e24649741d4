"""The heads that fits have left: each of the fit of its cell, and placing images as cells have it.

- A head must be whole, and be called by what it is of.
- Its fit must be that of the cell: the same probe, recipe, seed and training features.
- Where test features are kept, it must place the images of the cell, and those of every test set
  that was scored by it, as their ranks say. Products are rounded, so two classes whose outputs are
  nearer than that may stand in either order.

Cost: a product of all test features and the layer, for each cell that a head gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cog.datasets.dataset import Dataset
from cog.evaluation.cells import fit_hash, name_of_row
from cog.evaluation.controls import CHANGES
from cog.evaluation.fits import FitData
from cog.evaluation.heads import Known, read_kept
from cog.evaluation.verify.cells import kept_ranks
from cog.evaluation.verify.findings import BrokenError, Finding, Found, read_document, why
from cog.evaluation.verify.folder import Folder
from cog.evaluation.verify.runs import possible_fingerprints
from cog.features.run_stores import features_file
from cog.features.store.store import FeatureStore
from cog.plain_text import printable
from cog.probes.data import ProbeData
from cog.probes.head import Head
from cog.probes.metrics import Ranks
from cog.probes.rows import head_features
from cog.recipe import control_of, file_name, fitted_on
from cog.results.cells import ranks_file
from cog.results.columns import full_name
from cog.small_files import NotReadable
from cog.storage import StoragePath

_KEY = "model", "dataset", "probe", "solver", "shots", "seed"
_HINT = "put it back as it was, or remove it: `cog evaluate` fits again where it needs the head"
_ROUNDING = 2.0**-21  # eight times that of float32; of a product of d numbers, √d times as much


def check_heads(folder: Folder) -> Iterator[Found]:
    """What does not hold of the heads of a folder of runs."""
    sound: dict[StoragePath, StoragePath] = {}
    for name in head_names(folder):
        model, _, file = name.split("/")
        cell = folder.runs / model / "cells" / f"{Path(file).stem}.json"
        faults = list(_of_its_cell(folder, folder.runs / name, cell))
        yield from faults
        if not faults and cell in folder.cells:
            sound[cell] = folder.runs / name
    scored = [
        (path, cell) for path, cell in folder.cells.items()
        if (base := _base(path, cell)) in sound and _is_of_fit(cell, folder.cells[base])
    ]  # fmt: skip
    with folder.progress.bar("heads", len(scored), "cells") as advance:
        for _, group in groupby(scored, lambda each: _of_features(each[1]["row"])):
            own = list(group)
            data = _test_features(folder, own[0][1]["row"])
            for path, of_path in own:
                if data is not None:
                    yield from _places(sound[_base(path, of_path)], path, data)
                advance(1)


def head_names(folder: Folder) -> list[str]:
    """The heads of a folder, relative to it."""
    own = (name for name in folder.names if name.split("/")[1:-1] == ["heads"])
    return sorted(name for name in own if name.endswith(".safetensors"))


def _base(path: StoragePath, cell: Mapping[str, Any]) -> StoragePath:
    """The cell of the fit that gave a cell: its own, or that of the dataset it learns from."""
    row = cell["row"]
    return path.parent / f"{name_of_row(row, fitted_on(full_name(row)))}.json"


def _is_of_fit(cell: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    """Whether the fit of `base` gave a cell: a later run may have fitted it by another recipe."""
    names = "protocol", "recipe_hash", "shots_validation", "control"
    return all(cell["hashes"].get(name) == base["hashes"].get(name) for name in names)


def _of_features(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["model"], full_name(row)


def _of_its_cell(folder: Folder, file: StoragePath, path: StoragePath) -> Iterator[Finding]:
    """What does not hold of a head and of the cell whose fit has left it."""
    try:
        head, about, known = read_kept(file)
    except (OSError, NotReadable) as error:
        yield Finding(str(file), "the head of a fit", why(error), _HINT)
        return
    model, *key = (about.get(name, "") for name in _KEY)
    cell = folder.cells.get(path)
    of = cell["row"]["model"] if cell else path.parent.parent.name
    expected = f"{of} {path.stem}"
    found = f"{model} {file_name(key[0])}--{key[1]}-{'--'.join(key[2:])}"
    if found != expected:
        yield Finding(str(file), f"the head of {expected}", printable(found)[:200], _HINT)
    elif cell:
        yield from _of_its_fit(folder, file, path, head, about.get("fit", ""), known)


def _of_its_fit(
    folder: Folder, file: StoragePath, path: StoragePath, head: Head, fit: str, known: Known
) -> Iterator[Finding]:
    """Whether a head is of the fit that its finished cell has."""
    cell = folder.cells[path]
    row, fits = cell["row"], _fits(folder, cell)
    if fits and fit not in fits:
        yield Finding(str(file), f"the fit {fits[0]}, that of {path}", printable(fit)[:80], _HINT)
    of_fit = {**known.hyper, "n_train": known.n_train, "n_validation": known.n_validation}
    for column, value in of_fit.items():
        if row.get(column) != value:
            expected = f"{column} {row.get(column)}, as {path} has it"
            yield Finding(str(file), expected, str(value), _HINT)
    shape = [row.get("n_classes"), (row.get("dim") or 0) + 1]
    if list(head.layer.shape) != shape:
        yield Finding(str(file), f"a layer of {shape}", str(list(head.layer.shape)), _HINT)


def _fits(folder: Folder, cell: Mapping[str, Any]) -> list[str]:
    """The hashes that the fit of a cell may have; none where nobody can say."""
    row = cell["row"]
    shots = None if row["shots"] == "all" else row["shots"]
    key = (row["probe"], row["solver"], shots, row["seed"])
    return [fit_hash(key, cell["hashes"], made) for made in _made_from(folder, row)]


def _made_from(folder: Folder, row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The fingerprints that the training features of a cell may have, from their store or run.json.

    None where nobody can say.
    """
    store, kept = _features(folder, row, "train"), folder.splits.get(full_name(row))
    if folder.has(store / "zarr.json"):
        with suppress(Exception):  # damaged metadata make Zarr raise many things; said already
            return [FeatureStore.open(store).fingerprint]
    with suppress(BrokenError):  # said already
        run = read_document(folder.runs / row["model"] / "run.json", "")
        return [made for made, *_ in possible_fingerprints(run, row, kept.lists)] if kept else []
    return []


def _features(folder: Folder, row: Mapping[str, Any], split: str) -> StoragePath:
    """The store of the training or test features of a row, in the folder that has them."""
    model, name, kept = row["model"], full_name(row), folder.splits.get(full_name(row))
    if control_of(model) in CHANGES:
        model = model.rpartition("+")[0]
    if kept and kept.right:
        name = fitted_on(name)  # it has the test images of that
    return features_file(folder.runs / model, name, split)


def _test_features(folder: Folder, row: Mapping[str, Any]) -> FitData | None:
    """The test images of a row with their features; None where they are not kept or are damaged.

    Noise of a dataset's own test images is drawn after that of its training images: None as well.
    """
    name, control = full_name(row), control_of(row["model"])
    kept = folder.splits.get(name)
    store = _features(folder, row, "test")
    noise = control == "random-features" and fitted_on(name) == name
    if kept is None or noise or not folder.has(store / "zarr.json"):
        return None
    with suppress(Exception):  # damaged stores make Zarr raise many things; said already
        dataset = Dataset(name, kept.split, len(kept.train.classes))
        data = FitData(dataset, control, [FeatureStore.open(store)])
        return data if len(data.scored.test_y) else None
    return None


def _places(file: StoragePath, path: StoragePath, data: FitData) -> Iterator[Finding]:
    """Whether a head places test images as the cell at `path` has them."""
    try:
        kept = kept_ranks(path, len(data.scored.test_y))
    except BrokenError:
        return  # said already
    if kept is None:
        return
    lowest, highest = rank_bounds(read_kept(file)[0], data.asked, data.answers)
    if data.right:
        lowest, highest = map(data.right.smallest, (lowest, highest))
    odd = int(((kept.ranks < lowest) | (kept.ranks > highest)).sum())
    if odd:
        expected = f"the ranks that {ranks_file(path)} has"
        yield Finding(str(file), expected, f"others for {odd:,} images", _HINT)


def rank_bounds(head: Head, data: ProbeData, answers: NDArray[np.int64]) -> tuple[Ranks, Ranks]:
    """The lowest and the highest ranks [m] that a head may give, however products are rounded.

    Args:
        head: of any classes.
        data: test images, with labels among the answers.
        answers: int64[c'], which classes of the head are answers, in their order.
    """
    own = head.among(answers)
    layer, features = torch.tensor(own.layer), head_features(own, data.test_x, data.test_y, "cpu")
    longest = layer.where(layer.isfinite(), torch.tensor(0.0)).norm(dim=1).max()
    bounds = []
    for x, y in features.blocks(len(layer)):
        outputs = x @ layer.T
        near = _ROUNDING * x.shape[1] ** 0.5 * x.norm(dim=1, keepdim=True) * longest
        right, unknown = outputs.gather(1, y[:, None]), outputs.isnan()
        before = ((outputs > right + near) | unknown).sum(1)
        not_after = ((outputs >= right - near) | unknown).sum(1) - 1  # itself
        not_after[right.isnan()[:, 0]] = len(layer)
        bounds.append(torch.stack([before, not_after]))
    lowest, highest = torch.cat(bounds, dim=1).numpy()
    return lowest, highest
