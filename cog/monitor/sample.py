"""The images of a dataset that a monitor looks at: a few of each class, drawn once by a seed.

Training images of the sample are training images of the dataset's own split, test images its test
images. Draws of one seed are nested: those of 5 a class lie within those of 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cog.datasets.dataset import Dataset
from cog.errors import CogError
from cog.images.image_list import ImageList, some_images
from cog.probes.sampling import few_shot
from cog.recipe import level_number

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sample:
    """Some images of one dataset; row i is a training image, or a test image from `n_train` on."""

    name: str
    """as keys have it: L1, in1k, a name of the user's"""
    lists: tuple[ImageList, ImageList]
    """to train and to test; labels are indices in the classes of the sample"""
    fewest: Rows
    """[n], the smallest number of images a class for which each image is drawn"""

    @property
    def n_train(self) -> int:
        """How many rows are training images."""
        return len(self.lists[0])

    @property
    def n_classes(self) -> int:
        """How many answers a probe has."""
        return len(self.lists[0].classes)

    @property
    def labels(self) -> Rows:
        """The label of each row: int64[n]."""
        return np.concatenate([images.labels for images in self.lists])

    def __len__(self) -> int:
        """Number of images."""
        return len(self.fewest)

    def rows(self, per_class: int) -> Rows:
        """The rows of the sample with so many images a class."""
        return np.flatnonzero(self.fewest <= per_class)


def draw_sample(
    dataset: Dataset, per_class: Sequence[int], classes: int | None, seed: int
) -> Sample:
    """Draw training and test images of every class, or of so many `classes`.

    `per_class`: how many images of a class, the largest number first; the smaller ones are what
    the sample can be cut to. A class that has fewer gives what it has.

    Raises:
        CogError: fewer than two classes are asked for.
    """
    chosen = _classes(dataset, classes, seed)
    names = tuple(dataset.split.test.classes[label] for label in chosen.tolist())
    lists, fewest = [], []
    for images in dataset.lists:
        own = np.flatnonzero(np.isin(images.labels, chosen))
        drawn = few_shot(images.labels, per_class[0], own, seed)
        least = np.full(len(drawn), per_class[0])
        for count in per_class[1:]:
            least[np.isin(drawn, few_shot(images.labels, count, own, seed))] = count
        some = some_images(images, drawn)
        labels = np.searchsorted(chosen, some.labels).astype(np.int64)
        lists.append(replace(some, labels=labels, classes=names))
        fewest.append(least)
    return Sample(_label_of(dataset.name), (lists[0], lists[1]), np.concatenate(fewest))


def _classes(dataset: Dataset, count: int | None, seed: int) -> Rows:
    """The labels of the sample's classes, sorted; where some are drawn, each has test images."""
    if count is None:
        return np.arange(dataset.n_classes)
    if count < 2:
        raise CogError(
            f"a probe needs two classes or more, found classes={count}", "give classes=100"
        )
    train, test = dataset.lists
    both = np.intersect1d(train.labels, test.labels)
    drawn = np.random.default_rng([seed, len(both)]).permutation(both)[:count]
    return np.sort(drawn).astype(np.int64)


def _label_of(dataset: str) -> str:
    """What keys call a dataset.

    >>> _label_of("cog_l3"), _label_of("in1k")
    ('L3', 'in1k')
    """
    number = level_number(dataset)
    return dataset if number is None else f"L{number}"
