"""Test images that are training images too, whatever their files are called: found by features.

In: features of the training and the test images. Out: which rows are the same. Equal images have
equal features but for rounding, as batches of other sizes are summed in another order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.features.store.store import FeatureStore
from cog.images.image_list import ImageList
from cog.plain_text import printable

DIRECTIONS = 8  # in which rows are looked up: a tree of few dimensions is fast
NEAR = 1e-3  # of the usual distance to the mean; rounding alone moved features by 1e-5 of it
_BLOCK = 65_536  # rows at once


def same_rows(train: NDArray[Any], test: NDArray[Any]) -> NDArray[np.int64]:
    """For each test row the training row that is the same; −1 where there is none: int64[m].

    Args:
        train: features [n, d].
        test: features [m, d].
    """
    from scipy.spatial import cKDTree

    mean = train[:_BLOCK].astype(np.float32).mean(0)
    random = np.random.default_rng(0).standard_normal((train.shape[1], DIRECTIONS))
    directions = np.linalg.qr(random)[0].astype(np.float32)

    def looked_up(rows: NDArray[Any]) -> NDArray[np.float32]:
        blocks = [rows[at : at + _BLOCK] for at in range(0, len(rows), _BLOCK)]
        return np.concatenate([(block - mean) @ directions for block in blocks])

    usual = np.median(np.linalg.norm(test[:_BLOCK] - mean, axis=1))
    _, nearest = cKDTree(looked_up(train)).query(looked_up(test))
    found = np.full(len(test), -1, np.int64)
    for at in range(0, len(test), _BLOCK):
        pairs = nearest[at : at + _BLOCK]
        moved = test[at : at + _BLOCK].astype(np.float32) - train[pairs].astype(np.float32)
        same = np.linalg.norm(moved, axis=1) < NEAR * usual
        found[at : at + _BLOCK][same] = pairs[same]
    return found


def same_images_note(
    dataset: str,
    train: tuple[ImageList, FeatureStore],
    test: tuple[ImageList, FeatureStore],
) -> str:
    """What is said of test images that are training images too; nothing where there are none."""
    centre_crops = train[1].read()[0][:, : test[1].dim]
    found = same_rows(centre_crops, test[1].read()[0])
    same = np.flatnonzero(found >= 0)
    if not len(same):
        return ""
    names = [
        printable(_readable(*part)[row]) for part, row in ((test, same[0]), (train, found[same[0]]))
    ]
    return (
        f"{dataset}: {len(same):,} of {len(found):,} test images are training images too, by their "
        f"features ({names[0]} of the test part is {names[1]}): its accuracies are too high"
    )


def _readable(images: ImageList, store: FeatureStore) -> list[str]:
    """The paths of the images that have features, in their order."""
    bad = store.unreadable()
    return [path for row, path in enumerate(images.paths) if row not in bad]
