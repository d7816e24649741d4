"""What the mistakes of a probe cost: how far the predicted class is from the right one, in WordNet.

In: the predicted classes of test images, their labels, the tree of the classes. Out: by column of
the results

- `mistake_similarity`: the mean over mistakes of the Lin similarity of right and predicted class;
- `mistake_height`: the mean over mistakes of the height of their lowest common subsumer;
- `top1_height1`, `top1_height2`, …: top-1 in percent after the tree is cut at that height, so that
  classes under one synset of that height, or of less, are one: a class counts as right where the
  lowest common subsumer is that low.

A class that is no class (an output that was NaN) is wrong at every height, and in no mean.
Source: Bertinetto et al., "Making Better Mistakes", CVPR 2020, for the height of mistakes;
cog/wordnet/class_tree.py says what it is here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cog.recipe import CUT_HEIGHTS
from cog.wordnet.class_tree import ClassTree

MISTAKE_SIMILARITY, MISTAKE_HEIGHT = "mistake_similarity", "mistake_height"


def cut_column(height: int) -> str:
    """The column of top-1 after the tree is cut at a height."""
    return f"top1_height{height}"


def mistakes(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], tree: ClassTree
) -> dict[str, float | None]:
    """The columns of one probe, from the first class of each test image [m] and its label [m].

    A mean over mistakes is None where there are none.
    """
    known = predicted < len(tree.synsets)
    wrong = known & (predicted != labels)
    right_of, taken_for = labels[wrong], predicted[wrong]
    heights = tree.pair_heights(right_of, taken_for)
    similarity = tree.pair_similarity(right_of, taken_for)
    n_right = int((predicted == labels).sum())
    cuts: dict[str, float | None] = {
        cut_column(height): 100.0 * (n_right + int((heights <= height).sum())) / len(labels)
        for height in CUT_HEIGHTS
    }
    means: dict[str, float | None] = {
        MISTAKE_SIMILARITY: float(similarity.mean()) if len(similarity) else None,
        MISTAKE_HEIGHT: float(heights.mean()) if len(heights) else None,
    }
    return means | cuts
