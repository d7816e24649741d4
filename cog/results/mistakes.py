"""What the mistakes of a probe cost: how far the predicted class is from the right one, in WordNet.

In: the predicted classes of test images, their labels, the tree of the classes. Out: `Mistakes`,
from which the columns of the results follow:

- `mistake_similarity`: the mean over mistakes of the Lin similarity of right and predicted class;
- `mistake_height`: the mean over mistakes of the height of their lowest common subsumer;
- `top1_height1`, `top1_height2`, …: top-1 in percent after the tree is cut at that height, so that
  classes under one synset of that height, or of less, are one: a class counts as right where the
  lowest common subsumer is that low.

Where an image has several right classes, that one counts which is nearest to the predicted class.
A class that is no class (an output that was NaN) is wrong at every height, and in no mean.
Source: Bertinetto et al., "Making Better Mistakes", CVPR 2020, for the height of mistakes;
cog/wordnet/class_tree.py says what it is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.recipe import CUT_HEIGHTS
from cog.wordnet.class_tree import ClassTree

MISTAKE_SIMILARITY, MISTAKE_HEIGHT = "mistake_similarity", "mistake_height"


def cut_column(height: int) -> str:
    """The column of top-1 after the tree is cut at a height."""
    return f"top1_height{height}"


@dataclass(frozen=True)
class Mistakes:
    """The mistakes of one probe on one list of test images."""

    n_test: int
    n_right: int
    heights: tuple[int, ...]
    """how many mistakes have a lowest common subsumer of height 0, 1, …"""
    similarity: float | None
    """mean Lin similarity of right and predicted class; None where there is no mistake"""

    def top1_cut(self, height: int) -> float:
        """Top-1 in percent after the tree is cut at a height.

        >>> Mistakes(10, 6, (0, 2, 1), 0.5).top1_cut(1)
        80.0
        """
        return 100.0 * (self.n_right + sum(self.heights[: height + 1])) / self.n_test

    def columns(self, heights: Sequence[int] = CUT_HEIGHTS) -> dict[str, float | None]:
        """The columns of the results, with top-1 at these heights."""
        count = sum(self.heights)
        total = sum(height * count for height, count in enumerate(self.heights))
        return {
            MISTAKE_SIMILARITY: self.similarity,
            MISTAKE_HEIGHT: total / count if count else None,
            **{cut_column(height): self.top1_cut(height) for height in heights},
        }


def mistakes(predicted: NDArray[np.int64], labels: NDArray[np.int64], tree: ClassTree) -> Mistakes:
    """The mistakes of one probe, from the first class of each test image [m] and its label [m]."""
    known = predicted < len(tree.synsets)
    wrong = known & (predicted != labels)
    right_of, taken_for = labels[wrong], predicted[wrong]
    similarity = tree.pair_similarity(right_of, taken_for)
    return Mistakes(
        n_test=len(labels),
        n_right=int((predicted == labels).sum()),
        heights=tuple(np.bincount(tree.pair_heights(right_of, taken_for)).tolist()),
        similarity=float(similarity.mean()) if len(similarity) else None,
    )


def nearest_right(
    predicted: NDArray[np.int64],
    classes: NDArray[np.int64],
    counts: NDArray[np.int64],
    tree: ClassTree,
) -> NDArray[np.int64]:
    """Of each image [m] the right class nearest to the predicted one: that one, if it is right.

    `classes`: the right classes of the first image, then of the second one, …, the label of an
    image first; `counts`: how many each image has [m]. Nearest by the height of the lowest common
    subsumer; of equals, by the greater similarity. Where the prediction is no class, the label.
    """
    images, starts = np.repeat(np.arange(len(counts)), counts), np.cumsum(counts) - counts
    taken_for = predicted[images]
    heights = np.full(len(taken_for), np.inf)
    similarity = np.zeros(len(taken_for))
    wrong = (taken_for < len(tree.synsets)) & (taken_for != classes)
    heights[taken_for == classes] = -1
    pairs = classes[wrong], taken_for[wrong]
    heights[wrong], similarity[wrong] = tree.pair_heights(*pairs), tree.pair_similarity(*pairs)
    nearest_first = np.lexsort((-similarity, heights, images))
    nearest: NDArray[np.int64] = classes[nearest_first[starts]]
    return nearest
