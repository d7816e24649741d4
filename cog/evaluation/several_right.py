"""Test images with several right classes, as probes see them: once for each of these classes.

A probe takes an image with one label, and says how many classes come before that. With several
right classes the image is given once for each. Of the ranks that it then has the smallest counts:
that of the class that is placed best, before which there are wrong classes alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cog.datasets.right_classes import RightClasses
from cog.probes.data import ProbeData, ProbeResult
from cog.wordnet.class_tree import ClassTree


def once_a_class(data: ProbeData, right: RightClasses | None) -> ProbeData:
    """The data with each test image once for each of its right classes."""
    if right is None:
        return data
    return replace(data, test_x=data.test_x[right.images], test_y=right.classes)


def once_an_image(result: ProbeResult, right: RightClasses | None) -> ProbeResult:
    """The result of the images, from that of `once_a_class`."""
    if right is None:
        return result
    ranks = np.minimum.reduceat(result.ranks, right.starts)
    highest = None if result.highest is None else result.highest[right.starts]
    return replace(result, ranks=ranks, highest=highest)


def nearest_right(
    predicted: NDArray[np.int64], right: RightClasses, tree: ClassTree
) -> NDArray[np.int64]:
    """Of each image [m] the right class nearest to the predicted one: that one, if it is right.

    Nearest by the height of the lowest common subsumer; of equals, by the greater similarity. Where
    the prediction is no class, the label.
    """
    taken_for = predicted[right.images]
    heights = np.full(len(taken_for), np.inf)
    similarity = np.zeros(len(taken_for))
    wrong = (taken_for < len(tree.synsets)) & (taken_for != right.classes)
    heights[taken_for == right.classes] = -1
    pairs = right.classes[wrong], taken_for[wrong]
    heights[wrong], similarity[wrong] = tree.pair_heights(*pairs), tree.pair_similarity(*pairs)
    nearest_first = np.lexsort((-similarity, heights, right.images))
    return right.classes[nearest_first[right.starts]]
