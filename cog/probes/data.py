"""What goes into a probe, what comes out, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.probes.head import Head
from cog.probes.metrics import percent_within
from cog.recipe import Recipe
from cog.rounding import largest_of_rows, refuse_worn

Features = NDArray[np.float16] | NDArray[np.float32]

OnProgress = Callable[[int, int], None]
"""called with (done, total), in steps of the probe's own, the last time when all is done"""

SCALE_UP = "extract them again with --dtype float32, or multiply them by 1,000 before they are kept"
HIGHEST = 5  # classes that are kept of each test image
_BLOCK = 65_536  # rows that are checked at once: it takes little memory


def unwatched(done: int, total: int) -> None:
    """Do nothing: the `OnProgress` of a fit that nobody watches."""


@dataclass(frozen=True)
class ProbeData:
    """Features and labels of n training and m test images.

    A class without training images is allowed: images of some classes of a level may be missing.
    Training only lowers the output of such a class, so its test images count as wrong.
    """

    train_x: Features
    """[n, d]"""
    train_y: NDArray[np.int64]
    """[n], in 0…n_classes−1"""
    test_x: Features
    """[m, d]"""
    test_y: NDArray[np.int64]
    """[m], in 0…n_classes−1"""
    n_classes: int
    crops: int = 1
    """of each training image, one behind the other in its row [n, crops · d]: the centre crop, then
    augmented views"""
    tokens: int = 1
    """vectors that a row of features [T · d] is made of, one behind the other"""
    on_device: dict[str, tuple[Any, Any]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """the unit features on each device, kept by `cog.probes.rows.prepared` for the next probe"""


@dataclass(frozen=True)
class ProbeSettings:
    """How a probe is fitted."""

    solver: str
    shots: int | None
    """images a class to train on; None for all"""
    seed: int
    recipe: Recipe
    device: str
    shots_validation: str = "official"
    """of N shots: validate on images beside the N ("official") or on some of them ("within")"""


@dataclass(frozen=True)
class ProbeResult:
    """How well one probe did, and how its hyper-parameters were chosen."""

    ranks: NDArray[np.int64]
    """for each test image how many classes came before the right one: [m]"""
    hyper: dict[str, float]
    """what was chosen on the validation images; its names are columns of the probe's entry"""
    trials: list[dict[str, float]]
    """every setting that was tried, with its `validation_top1` in percent"""
    n_train: int
    """images of the final fit"""
    n_validation: int
    seconds: float
    """of search, final fit and scoring"""
    notes: tuple[str, ...] = ()
    """what the user should know of this fit, a line each"""
    n_short: int | None = None
    """of N shots: how many classes have fewer than N images in the final fit"""
    highest: NDArray[np.int64] | None = None
    """for each test image the classes that came first, as `cog.probes.ranks.Placed` has them:
    [m, min(5, c)]; None of a probe that does not tell"""
    head: Head | None = None
    """the layer that was fitted, of a probe that is one"""
    figures: Mapping[str, float] = field(default_factory=dict)
    """what it says beside its ranks, by the column of the results"""

    @property
    def top1(self) -> float:
        """Percent of the test images whose class came first."""
        return percent_within(self.ranks, 1)


def check_probe_data(data: ProbeData) -> None:
    """Refuse data that no probe can learn from.

    Raises:
        CogError: shapes that do not fit together, no test images, labels out of range, fewer
            than two classes to train on, or features that are not finite or too small for the
            type that they have (see cog/rounding.py).
    """
    _check_part("training", data.train_x, data.train_y, data.n_classes)
    check_test_data(data)
    if data.train_x.shape[1] != data.crops * data.test_x.shape[1]:
        raise CogError(
            f"expected training and test features of one size, "
            f"found {data.train_x.shape[1] / data.crops:g} and {data.test_x.shape[1]}",
            "extract both with the same model",
        )
    if (data.train_y == data.train_y[0]).all():
        raise CogError(
            "expected training images of at least two classes, found one class",
            "give images of more classes",
        )


def check_test_data(data: ProbeData) -> None:
    """Refuse test images that no probe can be scored on, of a probe that learns from no others.

    Raises:
        CogError: see `check_probe_data`.
    """
    _check_part("test", data.test_x, data.test_y, data.n_classes)


def _check_part(name: str, x: Features, y: NDArray[np.int64], n_classes: int) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1] or 0 in x.shape:
        raise CogError(
            f"expected {name} features [m, d] with labels [m], m and d at least 1, "
            f"found {list(x.shape)} and {list(y.shape)}",
            f"look at the {name} images and their features",
        )
    if y.min() < 0 or y.max() >= n_classes:
        raise CogError(
            f"expected {name} labels in 0…{n_classes - 1}, found {y.min()}…{y.max()}",
            "number the classes from 0, in the sorted order of their wnids",
        )
    for start in range(0, len(x), _BLOCK):
        some = x[start : start + _BLOCK]
        finite = np.isfinite(largest_of_rows(some))
        if not finite.all():
            raise CogError(
                f"expected finite {name} features, found NaN or infinity "
                f"in row {start + int(finite.argmin())}",
                "extract them again with --dtype float32, and look at the model's weights",
            )
        refuse_worn(some, None, f"{name} features", SCALE_UP)
