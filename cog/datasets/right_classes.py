"""Several right classes of an image: an answer is right if it is any of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RightClasses:
    """The right classes of each of m images, at least one, in the order of the images."""

    counts: Ints
    """[m], how many each image has"""
    classes: Ints
    """[k], those of the first image, then of the second one, …; the label of an image comes first,
    the others follow in their order"""

    @classmethod
    def of(cls, right: Sequence[Sequence[int]]) -> RightClasses:
        """From the classes of each image.

        >>> RightClasses.of([[3], [0, 2]]).images.tolist()
        [0, 1, 1]
        """
        classes = [each for of_image in right for each in of_image]
        return cls(np.array([len(each) for each in right], np.int64), np.array(classes, np.int64))

    @cached_property
    def images(self) -> Ints:
        """Which image each of the classes is of: int64[k]."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def starts(self) -> Ints:
        """Where the classes of each image begin: int64[m]."""
        return np.cumsum(self.counts) - self.counts

    @property
    def labels(self) -> Ints:
        """The label of each image: int64[m]."""
        return self.classes[self.starts]

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of all of it."""
        arrays = (each.astype("<i8").tobytes() for each in (self.counts, self.classes))
        return hashlib.sha256(b"".join(arrays)).hexdigest()

    def smallest(self, values: Ints) -> Ints:
        """For each image the smallest of values [k] that its right classes have: int64[m].

        >>> RightClasses.of([[3], [0, 2]]).smallest(np.array([5, 4, 1])).tolist()
        [5, 1]
        """
        smallest: Ints = np.minimum.reduceat(values, self.starts)
        return smallest

    def only(self, images: NDArray[np.bool_]) -> RightClasses:
        """Those of some images, bool[m]."""
        return RightClasses(self.counts[images], self.classes[images[self.images]])

    def of_each(self) -> list[list[int]]:
        """The classes of each image, as lists."""
        return [each.tolist() for each in np.split(self.classes, self.starts[1:])]
