"""Features in fewer bits: how much of a row is lost where its numbers are rounded.

Rounding to a type of p bits moves a number by at most 2⁻ᵖ of itself, whatever its size, as long as
the type has room below: float16 (p = 11) ends at 2⁻²⁴, and below 2⁻¹⁴ has fewer bits, one less for
each halving. Features of that size lose their direction, which is all that a probe looks at.

- The loss of a row x is |rounded(x) − x| / |x|: the angle, in radians, by which the row turns. In
  float16 it is at most 2⁻¹¹ for a row in the normal range, however small some of its numbers are
  beside the large ones; 0 for a row of zeros; 1 for one that vanishes.
- A row is worn where its loss is over 2⁻⁸, eight times the most of the normal range: fewer than
  eight bits of it are left. Its numbers are then of about 4·10⁻⁶. Measured on synthetic clusters: a
  loss of 2⁻⁸ moves no accuracy by more than its noise, 5 % by up to 0.5 points, 17 % by 1 to 4.
  What images of one kind differ by is a part of the row, and loses as many times more.
- Below 2⁻¹²⁶ float32 ends too. A row without a number over that is worn whatever is left of it: 1
  over its length is no float32.
- Of numbers that are rounded already, the loss is the root mean square of an error that is spread
  evenly over the spacing of each number that is not 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError

MOST_LOST = 2.0**-8
_TOO_LARGE = {"float16": 65_520.0, "float32": 2.0**128 - 2.0**103}  # rounds to infinity
_FEWER_BITS = {"float16": "6e-5", "float32": "1e-38", "float64": "2e-308"}  # the least normal
_LEAST_LENGTH = 2.0**-126
MULTIPLY = "multiply the features by a constant: only their direction counts"
_GIVE_FLOAT32 = "give --dtype float32, and another --out or --name if there are features already"
Numbers = NDArray[np.floating[Any]]


def rounding_loss(x: Numbers, dtype: str) -> NDArray[np.float64]:
    """The loss of each row where `x` [m, d] is rounded to `dtype`: float64 [m].

    >>> rounding_loss(np.array([[0.0, 0.0], [1 / 3, 1e-7], [1e-7, 1e-8]]), "float16").round(2)
    array([0.  , 0.  , 0.22])
    """
    exact = _scaled(x.astype(np.float64))
    with np.errstate(over="ignore"):
        rounded = x.astype(dtype).astype(np.float64)
    return _share(_scaled(rounded, x) - exact, exact)


def likely_loss(x: Numbers) -> NDArray[np.float64]:
    """The loss that each row of `x` [m, d], of the type that it has, is likely to have: [m].

    >>> likely_loss(np.array([[0, 0], [1, 0], [1e-7, 0]], np.float16)).round(4)
    array([0.    , 0.0003, 0.1443])
    """
    steps = np.where(x == 0, 0, np.spacing(np.abs(x))).astype(np.float64) / np.sqrt(12)
    return _share(_scaled(steps, x), _scaled(x.astype(np.float64)))


def worn_rows(x: Numbers, dtype: str | None = None) -> NDArray[np.intp]:
    """The rows of finite `x` [m, d] that are worn where they are rounded to `dtype`.

    None: that are worn as they are. Nearly all rows are found sound by their largest number alone.
    """
    limits = np.finfo(dtype or x.dtype)
    largest = largest_of_rows(x).astype(np.float64)
    enough = 2 / MOST_LOST * float(limits.smallest_subnormal) * np.sqrt(x.shape[1])
    doubtful = np.flatnonzero((largest > 0) & (largest < max(enough, _LEAST_LENGTH)))
    loss = rounding_loss(x[doubtful], dtype) if dtype else likely_loss(x[doubtful])
    return doubtful[(loss > MOST_LOST) | (largest[doubtful] < _LEAST_LENGTH)]


def refuse_worn(x: Numbers, dtype: str | None, name: str, hint: str) -> None:
    """Refuse features `x` [m, d] of which rows are worn; `name` says whose they are.

    Raises:
        CogError: how many rows are worn, and how large their numbers are.
    """
    worn = worn_rows(x, dtype)
    if len(worn):
        kept, largest = dtype or str(x.dtype), float(largest_of_rows(x[worn]).max())
        raise CogError(
            f"the features of {len(worn):,} of {len(x):,} images are too small for {kept}: none of "
            f"their numbers is over {largest:.2g}, and below {_FEWER_BITS[kept]} {kept} has fewer "
            f"and fewer bits ({name})",
            hint,
        )


def require_fit(x: Numbers, dtype: str, name: str) -> None:
    """Refuse features `x` [m, d] that cannot be kept in `dtype`; `name` says whose they are.

    Raises:
        CogError: a number that is not finite, or too large for the type, or rows that would be
            worn.
    """
    largest = largest_of_rows(x).astype(np.float64)
    if not (largest < _TOO_LARGE[dtype]).all():  # NaN is not below anything
        if not np.isfinite(largest).all():
            raise CogError(
                f"features that are not finite, for {name}",
                "check the model with `cog models check`; mixed precision may also overflow",
            )
        raise CogError(
            f"a feature of {largest.max():.6g} does not fit in {dtype} ({name})",
            MULTIPLY if dtype == "float32" else _GIVE_FLOAT32,
        )
    refuse_worn(x, dtype, name, MULTIPLY if dtype == "float32" else _GIVE_FLOAT32)


def largest_of_rows(x: Numbers) -> Numbers:
    """The largest absolute value of each row [m]; NaN or infinity where a row has one.

    Numbers of float16 are compared by their bits without the sign, which are in the same order:
    many times faster.
    """
    if x.dtype != np.float16:
        return np.asarray(np.maximum(x.max(axis=1), -x.min(axis=1)))
    bits = np.ascontiguousarray(x).view(np.uint16) & 0x7FFF
    largest: Numbers = bits.max(axis=1).view(np.float16)
    return largest


def _scaled(values: NDArray[np.float64], by: Numbers | None = None) -> NDArray[np.float64]:
    """Each row divided by the largest number of `by`, so that no square is lost in float64."""
    largest = np.abs(values if by is None else by).max(axis=1, keepdims=True).astype(np.float64)
    scaled: NDArray[np.float64] = values / np.where(largest > 0, largest, 1.0)
    return scaled


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(whole, axis=1)
    share: NDArray[np.float64] = np.linalg.norm(part, axis=1) / np.where(length > 0, length, 1.0)
    return share
