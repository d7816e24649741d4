"""The fit of one cell: on its dataset's training images, or by the head that such a fit has left.

In: a cell, and the features of its dataset. Out: a `ProbeResult` of the cell's test images. A
further test set is scored by the head of its dataset's cell; where that is not kept, or the probe
has none, it is fitted again, on the same training images with the same seed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cog.datasets.dataset import Dataset
from cog.evaluation.cells import Cell
from cog.evaluation.controls import controlled
from cog.evaluation.heads import Known, keep_head, kept_head, known_of, scored
from cog.features.model_run import ModelRun
from cog.features.store.store import FeatureStore
from cog.images.image_list import ImageList
from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings, check_test_data
from cog.probes.head import Head
from cog.probes.rows import work_device
from cog.probes.table import PROBES
from cog.recipe import parted


def lists_needed(dataset: Dataset, cells: Sequence[Cell]) -> tuple[ImageList, ...]:
    """The images whose features these cells need: training images only where one is fitted."""
    if not dataset.is_test_set or any(_is_fitted(cell) for cell in cells):
        return dataset.lists
    return dataset.own_lists


def _is_fitted(cell: Cell) -> bool:
    return not PROBES[cell.probe].among_test and kept_head(cell) is None


@dataclass(frozen=True)
class FitData:
    """What the cells of one model on one dataset learn from and are scored on."""

    dataset: Dataset
    model_run: ModelRun
    stores: Sequence[FeatureStore]
    """features of the training images, which a test set may lack, and of the test images"""

    @cached_property
    def scored(self) -> ProbeData:
        """Test images with labels among the answers; of a test set without training images."""
        test_x, test_y = self.stores[-1].read()
        if self.dataset.is_test_set:
            stored = ProbeData(test_x[:0], test_y[:0], test_x, test_y, self.dataset.n_classes)
        else:
            train_x, train_y = self.stores[0].read()
            stored = ProbeData(train_x, train_y, test_x, test_y, self.dataset.n_classes)
        return controlled(stored, self.model_run, self.dataset.name)

    @cached_property
    def fitted(self) -> ProbeData:
        """Of a test set: all training images, and labels among all classes."""
        train_x, train_y = self.stores[0].read()
        own = self.scored
        n_classes = len(self.dataset.split.train.classes)
        stored = ProbeData(train_x, train_y, own.test_x, self.answers[own.test_y], n_classes)
        learnt = controlled(stored, self.model_run, parted(self.dataset.name)[0])
        return replace(learnt, test_x=own.test_x)

    @property
    def answers(self) -> NDArray[np.int64]:
        """Which classes of the training images the answers are: int64[c']."""
        index = {name: at for at, name in enumerate(self.dataset.split.train.classes)}
        return np.array([index[name] for name in self.dataset.split.test.classes], np.int64)

    @property
    def n_unreadable(self) -> int:
        """Images of these stores that could not be read; of a test set, of its own."""
        return sum(len(store.unreadable()) for store in self._own)

    @property
    def n_truncated(self) -> int:
        """Likewise, those that end too early."""
        return sum(len(store.truncated()) for store in self._own)

    @property
    def _own(self) -> Sequence[FeatureStore]:
        return self.stores[-1:] if self.dataset.is_test_set else self.stores


def fit_cell(
    cell: Cell, data: FitData, settings: ProbeSettings, keep: bool | None, progress: OnProgress
) -> ProbeResult:
    """Fit the probe of a cell, or score its test set by a head; a new head is kept (see `heads`).

    Raises:
        CogError: what the probe refuses.
    """
    probe = PROBES[cell.probe]
    if probe.among_test:
        return probe.fit(data.scored, settings, progress)
    if not data.dataset.is_test_set:
        result = probe.fit(data.scored, settings, progress)
        keep_head(cell, result, keep)
        return result
    kept = kept_head(cell)
    if kept is None:
        result = probe.fit(data.fitted, settings, progress)
        if result.head is None:
            return result  # among all classes: see `answers_all`
        keep_head(cell, result, keep)
        kept = result.head, known_of(result)
    return _scored(kept, data, work_device(settings))


def _scored(kept: tuple[Head, Known], data: FitData, device: str) -> ProbeResult:
    """The result of a head on a test set."""
    begun = time.perf_counter()
    (head, known), own = kept, data.scored
    check_test_data(own)
    placed = scored(head, own.test_x, own.test_y, data.answers, device)
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
