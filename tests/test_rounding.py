"""What rounding takes from features: refused where a row loses much, never on ordinary ones."""

from __future__ import annotations

import numpy as np
import pytest

from cog.errors import CogError
from cog.rounding import (
    MOST_LOST,
    largest_of_rows,
    likely_loss,
    refuse_worn,
    require_fit,
    rounding_loss,
    worn_rows,
)

RNG = np.random.default_rng(0)
GAUSS = RNG.normal(size=(40, 512))
LOGITS = np.exp(2 * RNG.normal(size=(40, 1000)))
ORDINARY = {
    "gauss": GAUSS,
    "relu": GAUSS.clip(0),
    "nearly all zeros": GAUSS * (RNG.random(GAUSS.shape) < 0.02),
    "small beside large": GAUSS * 10.0 ** -RNG.integers(0, 12, GAUSS.shape),
    "one large": np.where(np.arange(512) == 7, 1.0, 1e-9 * GAUSS),
    "probabilities": LOGITS / LOGITS.sum(1, keepdims=True),
    "zeros": np.zeros((3, 5)),
    "a row of zeros": GAUSS * (np.arange(40)[:, None] > 3),
    "of 1e-4": GAUSS * 1e-4,
    "of 1e4": GAUSS * 1e4,
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_features_lose_little_in_float16_and_are_taken(name):
    x = ORDINARY[name].astype(np.float32)
    assert rounding_loss(x, "float16").max() < MOST_LOST / 6
    assert likely_loss(x.astype(np.float16)).max() < MOST_LOST / 6
    require_fit(x, "float16", "a")
    refuse_worn(x.astype(np.float16), None, "a", "b")


@pytest.mark.parametrize(("factor", "refused"), [(1e-5, 0), (1e-6, 40), (1e-9, 40), (1e-30, 40)])
def test_features_that_vanish_are_refused_with_what_to_do(factor, refused):
    x = (GAUSS * factor).astype(np.float32)
    assert len(worn_rows(x, "float16")) == refused
    if refused:
        with pytest.raises(
            CogError, match=r"40 of 40 images are too small for float16.*\(a\)"
        ) as e:
            require_fit(x, "float16", "a")
        assert "--dtype float32" in e.value.hint
    require_fit(x, "float32", "a")


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_what_was_rounded_before_it_came_is_found_by_its_spacing(dtype):
    least = np.finfo(dtype).smallest_subnormal
    worn = (GAUSS * 3 * float(least)).astype(dtype)
    assert len(worn_rows(worn)) == len(worn)
    assert len(worn_rows((GAUSS * float(np.finfo(dtype).tiny)).astype(dtype) * dtype(64))) == 0


def test_one_row_is_enough():
    x = GAUSS.astype(np.float32)
    x[3] *= 1e-8
    assert worn_rows(x, "float16").tolist() == [3]


def test_loss_is_the_angle_that_a_row_turns_by():
    x = (GAUSS[:8] * 3e-7).astype(np.float32)
    rounded = x.astype(np.float16).astype(np.float64)
    cosine = (x * rounded).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(rounded, axis=1)
    np.testing.assert_allclose(np.arccos(cosine), rounding_loss(x, "float16"), rtol=0.01)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_largest_of_rows_is_that_of_numpy(dtype):
    x = (GAUSS * 10.0 ** RNG.integers(-7, 3, GAUSS.shape)).astype(dtype)
    np.testing.assert_array_equal(largest_of_rows(x), np.abs(x).max(axis=1))
    np.testing.assert_array_equal(largest_of_rows(x.T), np.abs(x.T).max(axis=1))
    for strange in (np.nan, -np.nan, np.inf, -np.inf):
        x[2, 3] = strange
        assert (~np.isfinite(largest_of_rows(x))).nonzero()[0].tolist() == [2]


@pytest.mark.parametrize(
    ("value", "dtype", "match"),
    [(7e4, "float16", "70000 does not fit in float16"), (1e39, "float32", "fit in float32"),
     (np.nan, "float16", "not finite"), (np.inf, "float32", "not finite")],
)  # fmt: skip
def test_what_is_too_large_or_not_finite_is_refused(value, dtype, match):
    with pytest.raises(CogError, match=match):
        require_fit(np.full((2, 3), value), dtype, "a")
