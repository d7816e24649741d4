"""What the fits on a dataset say whatever the model is: said once, before features are made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cog.datasets.dataset import Dataset
from cog.evaluation.cells import why_left_out
from cog.evaluation.refits import short_classes
from cog.probes.data import ProbeSettings
from cog.probes.metrics import has_another
from cog.probes.retrieval import alone_note
from cog.probes.rows import few_images_note, rows_to_fit
from cog.probes.settings import Probing
from cog.probes.table import PROBES
from cog.recipe import Recipe, fitted_on, is_refit


def fit_line(shots: object, note: str) -> str:
    """A line for the user of a note of a fit with so many shots."""
    return note if shots == "all" else f"{shots} shots: {note}"


def notes_of_fits(dataset: Dataset, probing: Probing, recipe: Recipe) -> list[str]:
    """Lines on classes with too few images, a line each; raises as `short_classes` does.

    `probing`, `recipe`: those of the run.
    """
    if is_refit(dataset.name):
        return short_classes(dataset, probing, recipe)
    own = dataset.probing(probing)
    return [*_of_shots(dataset, own, dataset.recipe(recipe)), *_of_retrieval(dataset, own)]


def _of_shots(dataset: Dataset, probing: Probing, recipe: Recipe) -> Iterator[str]:
    """A line for each N of which some classes have fewer training images."""
    if fitted_on(dataset.name) != dataset.name or not _takes_shots(probing):
        return
    labels, classes = dataset.split.train.labels, len(dataset.split.train.classes)
    least = int(np.bincount(labels, minlength=classes).min())
    to_learn = least - int(np.ceil(recipe.validation_share * least)) - 1
    where = probing.shots_validation
    for shots in probing.shots:
        if shots is not None and to_learn < shots:
            settings = ProbeSettings("", shots, probing.seeds[0], recipe, "cpu", where)
            _, notes = few_images_note(labels, classes, rows_to_fit(labels, settings)[2], shots)
            yield from (fit_line(shots, note) for note in notes)


def _takes_shots(probing: Probing) -> bool:
    return any(not PROBES[probe].among_test for probe in probing.probes)


def _of_retrieval(dataset: Dataset, probing: Probing) -> Iterator[str]:
    """A line where some test images have no other of their class."""
    asks = [PROBES[probe] for probe in probing.probes if PROBES[probe].among_test]
    if any(not why_left_out(probe, dataset) for probe in asks):
        yield from alone_note(has_another(dataset.split.test.labels))
