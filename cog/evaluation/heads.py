"""The heads of probes that a run keeps: `runs/NAME/heads/`, beside the cells.

In: a cell. Out: the file of the head of its fit, if it is of this very fit. A further test set is
scored by the head of its dataset's cell. A head is kept if it has at most `SMALL` bytes, or as the
user says.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cog.evaluation.cells import Cell, cell_name
from cog.probes.data import Features, ProbeData, ProbeResult, check_test_data
from cog.probes.head import Head, head_bytes, read_head
from cog.probes.ranks import Placed, layer_places
from cog.probes.rows import head_features
from cog.recipe import Recipe, fitted_on
from cog.small_files import NotReadable, read_small
from cog.storage import StoragePath, write_bytes

SMALL = 2**24  # bytes of a head that is kept unasked: 16 MiB, 1,000 classes of 4,000 numbers
MOST = 2**30  # of a file that is read
_OF_RECIPE = ("trials_per_round", "products", "norm")  # what rows of results have of a recipe


class Known(NamedTuple):
    """What is known of the fit of a head."""

    hyper: dict[str, float]
    n_train: int
    n_validation: int
    n_short: int | None


def known_of(result: ProbeResult) -> Known:
    """What a result says of its fit."""
    return Known(dict(result.hyper), result.n_train, result.n_validation, result.n_short)


def head_file(cell: Cell) -> StoragePath:
    """The head of the fit of a cell: that of the cell of the dataset that it learns from."""
    dataset = fitted_on(cell.dataset)
    name = cell_name(dataset, cell.probe, cell.solver, cell.shots_name, cell.seed)
    return cell.model_run.folder / "heads" / f"{name}.safetensors"


def keep_head(
    cell: Cell, result: ProbeResult, classes: Sequence[str], recipe: Recipe, wanted: bool | None
) -> None:
    """Write the head of a fit, if it has one; `wanted`: None keeps it if it is small.

    `classes`: the names of the classes that it was fitted on.
    """
    head = result.head
    if head is None or not (head.n_bytes <= SMALL if wanted is None else wanted):
        head_file(cell).unlink(missing_ok=True)  # one of another fit, or not wanted any more
        return
    about = {
        "fit": cell.fit,
        "model": cell.model_run.model.name,
        "dataset": fitted_on(cell.dataset),
        "probe": cell.probe,
        "solver": cell.solver,
        "shots": str(cell.shots_name),
        "seed": str(cell.seed),
    }
    write_head(head_file(cell), replace(head, classes=tuple(classes)), result, recipe, about)


def write_head(
    file: StoragePath, head: Head, result: ProbeResult, recipe: Recipe, about: Mapping[str, str]
) -> None:
    """Write the head of a fit with what is known of that, and texts `about` it."""
    of_recipe = {name: getattr(recipe, name) for name in _OF_RECIPE}
    if recipe.few_shot_draw != Recipe.few_shot_draw:
        of_recipe["few_shot_draw"] = recipe.few_shot_draw
    known = {
        "result": json.dumps(known_of(result)._asdict()),
        "recipe": json.dumps(of_recipe),
    }
    write_bytes(file, head_bytes(head, {**about, **known}))


def kept_head(cell: Cell) -> tuple[Head, Known] | None:
    """The head of a cell's fit and what is known of that; None where it is not kept, or another."""
    try:
        head, about, known = read_kept(head_file(cell))
    except (OSError, NotReadable):
        return None
    return (head, known) if about.get("fit") == cell.fit else None


def read_kept(file: StoragePath) -> tuple[Head, dict[str, str], Known]:
    """A head, the texts about it, and what is known of its fit.

    Raises:
        OSError: it is not there, or cannot be read.
        NotReadable: it is no head that a fit has left.
    """
    head, about = read_head(read_small(file, MOST))
    try:
        known = Known(**json.loads(about["result"]))
        hyper, counts = known.hyper.values(), (known.n_train, known.n_validation)
        if not all(type(each) in (int, float) for each in (*hyper, *counts, known.n_short or 0)):
            raise TypeError("expected numbers")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotReadable(f"it does not tell of its fit ({type(error).__name__})") from error
    return head, about, known


def head_result(
    head: Head, known: Known, data: ProbeData, answers: NDArray[np.int64], device: str
) -> ProbeResult:
    """The result of a head on test images.

    Args:
        head: of any classes.
        known: of its fit.
        data: test images alone, with labels among the answers.
        answers: int64[c'], which classes of the head are answers, in their order.
        device: where the products are made.

    Raises:
        CogError: test images that no probe can be scored on.
    """
    begun = time.perf_counter()
    check_test_data(data)
    placed = scored(head, data.test_x, data.test_y, answers, device)
    return ProbeResult(
        placed.ranks,
        hyper=known.hyper,
        trials=[],
        n_train=known.n_train,
        n_validation=known.n_validation,
        seconds=time.perf_counter() - begun,
        n_short=known.n_short,
        highest=placed.highest,
    )


def scored(
    head: Head, x: Features, labels: NDArray[np.int64], classes: NDArray[np.int64], device: str
) -> Placed:
    """How a head places images, answering with some classes alone.

    Args:
        head: of any classes.
        x: features [m, d].
        labels: int64[m], indices in `classes`.
        classes: int64[c'], which classes of the head are answers, in their order.
        device: where the products are made.
    """
    import torch

    from cog.probes.own_arithmetic import own_arithmetic

    with own_arithmetic():
        own = head.among(classes)
        features = head_features(own, x, labels, device)
        return layer_places(torch.tensor(own.layer, device=device), features)
