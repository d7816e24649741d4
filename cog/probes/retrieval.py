"""Retrieval by cosine: every test image asks all the others for those of its class; nothing learns.

- The others are ordered by falling cosine. An image of another class with the same cosine comes
  before one of the right class, so no order of the images can flatter: equal features find nothing.
- The rank of an image is how many come before the first one of its class: top-1 of these ranks is
  R@1, top-5 is R@5, and the mean per class is that of R@1.
- `map`: the mean over images of their average precision among all others. As in scikit-learn's
  average_precision_score, images of one cosine are found together.
- `r_precision`: of n others of its class, the share that is among the first n; the mean.
- An image whose class has no other test image can find none: it is left out of all of these, as
  one that is asked (`n_alone` counts them); it still is among what the others must pass by.
Source: Manning, Raghavan & Schütze, Introduction to Information Retrieval, section 8.4; R@k as in
Oh Song et al., CVPR 2016, and average precision and R-precision beside it, as in Musgrave et al.,
"A Metric Learning Reality Check", ECCV 2020.
Cost: 2·m²·d operations for m test images, and the sorting of m rows of m numbers. Memory: a block
of rows. A row is sorted, not searched: of each relevant image we want the number of images before.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cog.errors import CogError
from cog.probes.cost import ProbeSize, seconds_for
from cog.probes.data import (
    OnProgress,
    ProbeData,
    ProbeResult,
    ProbeSettings,
    check_test_data,
    unwatched,
)
from cog.probes.features import UnitFeatures, unit_features
from cog.probes.metrics import has_another
from cog.probes.rows import work_device

NUMBERS = 2**26  # at once: 256 MiB
_COLUMNS = 4096  # images whose features are made float32 together
_BESIDE = 12  # numbers that are made of each cosine of the right class
_SORTING = 200.0  # operations of a matrix product in the time that a number takes to be sorted


def retrieval(
    data: ProbeData, settings: ProbeSettings, progress: OnProgress = unwatched
) -> ProbeResult:
    """Ask every test image for the others of its class; the training images have no part.

    `progress` counts test images. Those without another of their class have rank m.

    Raises:
        CogError: features that are not finite, or no class with two test images.
    """
    check_test_data(data)
    begun = time.perf_counter()
    asked = has_another(data.test_y)
    if not asked.any():
        raise CogError(
            f"expected a class with at least two test images, found one each of {len(asked):,}",
            "give more test images, or leave retrieval out of --probe",
        )
    order = np.argsort(data.test_y, kind="stable")  # then the images of a class are neighbours
    images = unit_features(data.test_x, data.test_y, work_device(settings.device)).only(order)
    found = _search(images, progress)
    ranks: NDArray[np.int64] = np.full(len(asked), len(asked), np.int64)
    ranks[order] = np.where(asked[order], found.before, len(asked))
    n_alone = int((~asked).sum())
    return ProbeResult(
        ranks,
        hyper={},
        trials=[],
        n_train=0,
        n_validation=0,
        seconds=time.perf_counter() - begun,
        notes=alone_note(asked),
        figures={
            "map": 100.0 * float(found.precision[asked[order]].mean()),
            "r_precision": 100.0 * float(found.among_first[asked[order]].mean()),
            "n_alone": n_alone,
        },
    )


def cost(size: ProbeSize, settings: ProbeSettings) -> float:
    """Seconds, roughly: the cosines of all pairs of test images, and their sorting."""
    return seconds_for(float(size.n_test) ** 2 * (2.0 * size.dim + _SORTING), settings)


def alone_note(asked: NDArray[np.bool_]) -> tuple[str, ...]:
    """A line that says how many of the test images have no other of their class, if some do."""
    n_alone = int((~asked).sum())
    text = f"{n_alone:,} of {len(asked):,} test images have no other of their class to find"
    return (f"{text}: left out",) if n_alone else ()


@dataclass(frozen=True)
class _Found:
    """What m images find, in their order; of an image alone in its class nothing that counts."""

    before: NDArray[np.int64]
    """images before the first of the right class [m]"""
    precision: NDArray[np.float64]
    """average precision [m]"""
    among_first: NDArray[np.float64]
    """of n others of the class, the share among the first n [m]"""


def _search(images: UnitFeatures, progress: OnProgress) -> _Found:
    """What images sorted by class find among each other, a block of rows at a time."""
    n, device = len(images), images.source.device
    _, counts = torch.unique_consecutive(images.labels[images.rows], return_counts=True)
    ends = counts.cumsum(0)
    starts, sizes = (each.repeat_interleave(counts) for each in (ends - counts, counts))
    found: list[tuple[Tensor, ...]] = []
    rows = torch.arange(n, device=device)
    a_row = n + _BESIDE * int(counts.max())
    for asked in torch.split(rows, max(NUMBERS // a_row, 1)):
        cosines = _cosines(images, asked)
        cosines[torch.arange(len(asked), device=device), asked] = -torch.inf  # never found
        right = _right(cosines, starts[asked], sizes[asked])
        found.append(_figures(_sorted(cosines), right, sizes[asked] - 1))
        progress(int(asked[-1]) + 1, n)
    return _Found(*(torch.cat(each).cpu().numpy() for each in zip(*found, strict=True)))


def _cosines(images: UnitFeatures, asked: Tensor) -> Tensor:
    """The cosines of some images with all: float32 [b, n]."""
    x = _unit_rows(images, images.rows[asked])
    cosines = x.new_empty(len(x), len(images))
    columns = torch.split(cosines, _COLUMNS, dim=1)
    for part, rows in zip(columns, torch.split(images.rows, _COLUMNS), strict=True):
        torch.mm(x, _unit_rows(images, rows).T, out=part)
    return cosines


def _unit_rows(images: UnitFeatures, rows: Tensor) -> Tensor:
    """Rows of the source without a one for a bias: float32 [b, d]."""
    return images.source[rows].to(images.scale.dtype).mul_(images.scale[rows])


def _right(cosines: Tensor, starts: Tensor, sizes: Tensor) -> Tensor:
    """The cosines of each row's own class, ascending: [b, size of the largest of these classes].

    In front, in place of what smaller classes lack and of the image itself, is −infinity.
    """
    places = torch.arange(int(sizes.max()), device=cosines.device)
    columns = (starts[:, None] + places).clamp_max(cosines.shape[1] - 1)
    own = cosines.gather(1, columns)
    return own.masked_fill_(places >= sizes[:, None], -torch.inf).sort(dim=1).values


def _sorted(cosines: Tensor) -> Tensor:
    """The rows, each sorted in ascending order, in place where they are on a CPU.

    numpy sorts float32 by vector instructions, several times as fast as torch does.
    """
    if cosines.device.type != "cpu":
        return cosines.sort(dim=1).values
    parts = np.array_split(cosines.numpy(), torch.get_num_threads())
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: part.sort(axis=1), parts))
    return cosines


def _figures(cosines: Tensor, right: Tensor, n_right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Images before the first right one, average precision, and share of right ones among as many.

    Args:
        cosines: of each image with all, ascending [b, n].
        right: those of the right class, ascending, with −infinity in front [b, r].
        n_right: how many these are [b]; 0 gives figures that do not count.
    """
    n, r = cosines.shape[1], right.shape[1]
    n_found = n - torch.searchsorted(cosines, right)  # of this cosine or more, also below
    n_right_found = r - torch.searchsorted(right, right)
    n_wrong_found = n_found - n_right_found
    counts = right > -torch.inf
    precision = (n_right_found.double() / n_found).masked_fill(~counts, 0).sum(1)
    places = n_wrong_found + torch.arange(r, 0, -1, device=right.device)  # 1 is the first
    among_first = (counts & (places <= n_right[:, None])).sum(1)
    at_least_one = n_right.clamp_min(1)
    return n_wrong_found[:, -1], precision / at_least_one, among_first.double() / at_least_one
