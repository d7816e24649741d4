"""Two classifiers on the same images: the exact test of McNemar.

In: how many images only one of the two has right. Out: p, and the smallest difference that counts.

Under the hypothesis that both are right equally often, each image that one alone has right is the
first's or the second's with probability 1/2: their numbers are binomial. p is two-sided.
Source: McNemar, Psychometrika 12 (1947) 153; exact by the binomial distribution as in Dietterich,
Neural Computation 10 (1998) 1895, section 3.1, compares classifiers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Discordant(NamedTuple):
    """Of one result of two runs: how many test images one of the two alone has right."""

    first: int
    second: int
    images: int
    """test images in all"""


def mcnemar_p(counts: Discordant) -> float:
    """The two-sided p of McNemar's exact test; 1 where no image differs.

    >>> mcnemar_p(Discordant(first=0, second=5, images=100))
    0.0625
    """
    from scipy.stats import binom

    fewer, n = min(counts.first, counts.second), counts.first + counts.second
    return min(1.0, 2 * float(binom.cdf(fewer, n, 0.5)))


def largest_difference(counts: Discordant, level: float) -> float:
    """The largest difference, in percent points of the images, that the test does not reject.

    That is, of so many images that only one has right. A difference beyond it has p < 1 − level,
    and no other has.

    >>> largest_difference(Discordant(first=1, second=9, images=100), level=0.95)
    6.0
    """
    from scipy.stats import binom

    n = counts.first + counts.second
    fewest = int(binom.ppf((1 - level) / 2, n, 0.5)) if n else 0
    return 100.0 * (n - 2 * fewest) / counts.images


def joint_p(ps: Sequence[float]) -> float:
    """One p of several, such as those of the seeds, whatever their dependence: twice their mean.

    Of one, itself. Source: Rüschendorf, Advances in Applied Probability 14 (1982) 623; Vovk and
    Wang, Biometrika 107 (2020) 791.

    >>> joint_p([0.01, 0.03])
    0.04
    """
    return ps[0] if len(ps) == 1 else min(1.0, 2 * float(np.mean(ps)))
