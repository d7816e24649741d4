"""The fit of one cell: on its dataset's training images, or by the head that such a fit has left.

In: a cell, and the features of its dataset. Out: a `ProbeResult` of the cell's test images. A
further test set is scored by the head of its dataset's cell; where that is not kept, or the probe
has none, it is fitted again, on the same training images with the same seed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cog.datasets.dataset import Dataset
from cog.datasets.right_classes import RightClasses
from cog.errors import CogError
from cog.evaluation.cells import Cell
from cog.evaluation.controls import controlled
from cog.evaluation.heads import head_result, keep_head, kept_head, known_of
from cog.evaluation.several_right import once_a_class, once_an_image
from cog.features.run_stores import crops_in, tokens_in
from cog.features.store.store import FeatureStore
from cog.images.image_list import ImageList
from cog.probes.data import Features, OnProgress, ProbeData, ProbeResult, ProbeSettings
from cog.probes.rows import work_device
from cog.probes.table import PROBES
from cog.recipe import parted


def lists_needed(dataset: Dataset, cells: Sequence[Cell]) -> tuple[ImageList, ...]:
    """The images whose features these cells need: training images only where one is fitted."""
    lists = dataset.split.feature_lists
    fitted = not dataset.is_test_set or any(map(_is_fitted, cells))
    return lists if fitted else lists[1:]


def _is_fitted(cell: Cell) -> bool:
    return not PROBES[cell.probe].among_test and kept_head(cell) is None


@dataclass(frozen=True)
class FitData:
    """What the cells of one model on one dataset learn from and are scored on."""

    dataset: Dataset
    control: str
    """which control of a model it is; empty for a model"""
    stores: Sequence[FeatureStore]
    """features of the training images, which may lack where nothing is fitted, and of the tests"""

    @cached_property
    def scored(self) -> ProbeData:
        """Test images with labels among the answers; training images if these are the dataset's."""
        test_x, test_y = self._tests
        lacking = len(self.stores) < len(self.dataset.split.feature_lists)
        if self.dataset.is_test_set or lacking:
            several = 1, tokens_in(self.stores[-1])
            stored = ProbeData(
                test_x[:0], test_y[:0], test_x, test_y, self.dataset.n_classes, *several
            )
        else:
            several = crops_in(self.stores[0]), tokens_in(self.stores[-1])
            stored = ProbeData(*self._trains, test_x, test_y, self.dataset.n_classes, *several)
        return controlled(stored, self.control, self.dataset.name)

    @cached_property
    def asked(self) -> ProbeData:
        """The same, each test image once for each of its right classes."""
        return once_a_class(self.scored, self.right)

    @cached_property
    def fitted(self) -> ProbeData:
        """Of a test set: all training images, and labels among all classes.

        Raises:
            CogError: their features were not made, as heads were there, and a head has gone.
        """
        if len(self.stores) < len(self.dataset.split.feature_lists):
            raise CogError(
                f"{self.dataset.name}: a head that was there when this run began is there no more",
                "run the same command again: it fits what it needs",
            )
        train_x, train_y = self.stores[0].read()
        own = self.asked
        n_classes = len(self.dataset.split.train.classes)
        asked, several = self.answers[own.test_y], (crops_in(self.stores[0]), own.tokens)
        stored = ProbeData(train_x, train_y, own.test_x, asked, n_classes, *several)
        learnt = controlled(stored, self.control, parted(self.dataset.name)[0])
        return replace(learnt, test_x=own.test_x)

    @cached_property
    def right(self) -> RightClasses | None:
        """The right classes of the images of `scored`, where they have several."""
        right = self.dataset.split.right
        return right and right.only(self._found(self.dataset.split.test)[1])

    def _found(self, images: ImageList) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Of images within a list: which of its readable ones they are, and which are."""
        store, rows = self.stores[-1], self.dataset.split.rows_within(images)
        readable = np.ones(len(self.dataset.split.feature_lists[-1]), bool)
        readable[list(store.unreadable())] = False
        return (np.cumsum(readable) - 1)[rows[readable[rows]]], readable[rows]

    @property
    def _tests(self) -> tuple[Features, NDArray[np.int64]]:
        """Features and labels of the test images that could be read."""
        split = self.dataset.split
        return self.stores[-1].read() if split.within is None else self._of_within(split.test)

    @property
    def _trains(self) -> tuple[Features, NDArray[np.int64]]:
        """Those of the training images."""
        split = self.dataset.split
        return self._of_within(split.train) if split.train_within else self.stores[0].read()

    def _of_within(self, images: ImageList) -> tuple[Features, NDArray[np.int64]]:
        """Those of images within a list."""
        rows, are_read = self._found(images)
        return self.stores[-1].read()[0][rows], images.labels[are_read]

    @property
    def answers(self) -> NDArray[np.int64]:
        """Which classes of the training images the answers are: int64[c']."""
        index = {name: at for at, name in enumerate(self.dataset.split.train.classes)}
        return np.array([index[name] for name in self.dataset.split.test.classes], np.int64)

    @property
    def n_unreadable(self) -> int:
        """Images of these lists that could not be read; of a test set, of its own."""
        return sum(self._n_own(store, store.unreadable()) for store in self._own)

    @property
    def n_truncated(self) -> int:
        """Likewise, those that end too early."""
        return sum(self._n_own(store, store.truncated()) for store in self._own)

    @property
    def _own(self) -> Sequence[FeatureStore]:
        return self.stores[-1:] if self.dataset.is_test_set else self.stores

    def _n_own(self, store: FeatureStore, rows: Collection[int]) -> int:
        """How many of some rows of a store are images of these lists."""
        split = self.dataset.split
        if split.within is None or store is not self.stores[-1]:
            return len(rows)
        within = (split.train, split.test) if split.train_within else (split.test,)
        own = {row for images in within for row in split.rows_within(images).tolist()}
        return len(own & {*rows})


def fit_cell(
    cell: Cell, data: FitData, settings: ProbeSettings, keep: bool | None, progress: OnProgress
) -> ProbeResult:
    """Fit the probe of a cell, or score its test set by a head; a new head is kept (see `heads`).

    Raises:
        CogError: what the probe refuses.
    """
    probe, classes = PROBES[cell.probe], data.dataset.split.train.classes
    if probe.among_test:
        return probe.fit(data.scored, settings, progress)
    if not data.dataset.is_test_set:
        result = probe.fit(data.scored, settings, progress)
        keep_head(cell, result, classes, settings.recipe, keep)
        return result
    kept = kept_head(cell)
    if kept is None:
        result = probe.fit(data.fitted, settings, progress)
        if result.head is None:
            return once_an_image(result, data.right)  # among all classes: see `why_left_out`
        keep_head(cell, result, classes, settings.recipe, keep)
        kept = result.head, known_of(result)
    result = head_result(*kept, data.asked, data.answers, work_device(settings.device))
    return once_an_image(result, data.right)
