"""Test images that are training images too are found by their features, and only those."""

from __future__ import annotations

import numpy as np
import pytest

from cog.features.same_images import same_rows


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("width", [3, 96])
def test_rows_that_differ_by_rounding_are_the_same_and_near_ones_are_not(dtype, width):
    rng = np.random.default_rng(0)
    centres = rng.normal(3, 1, (20, width))
    train = np.maximum(centres[rng.integers(0, 20, 2000)] + 0.3 * rng.normal(size=(2000, width)), 0)
    test = np.maximum(centres[rng.integers(0, 20, 300)] + 0.3 * rng.normal(size=(300, width)), 0)
    copied = rng.permutation(2000)[:50]
    test[:50] = train[copied] * (1 + 1e-6 * rng.normal(size=(50, width)))
    test[50:100] = train[copied] + 0.03 * rng.normal(size=(50, width))
    found = same_rows(train.astype(dtype), test.astype(dtype))
    assert found[:50].tolist() == copied.tolist()
    if width == 96:  # in three dimensions 2,000 rows lie close
        assert (found[50:] == -1).all()


def test_features_without_any_difference_tell_nothing():
    assert (same_rows(np.ones((5, 4), np.float32), np.ones((3, 4), np.float32)) == -1).all()
