"""How a dataset of a suite is evaluated where that is not as the options of the run say."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from cog.probes.settings import Probing
from cog.probes.table import PROBES
from cog.recipe import Recipe

RATIO = 10**0.5
"""of neighbours in the search for C: from 1e-5 to 1e6 there are 23"""


@dataclass(frozen=True)
class Protocol:
    """How the sets that name it are evaluated; what is left out stays as the run's options say."""

    about: str
    solver: str = ""
    """of logreg"""
    norm: str = ""
    """of features, for the probes that do not compare by cosine"""
    c: tuple[float, ...] = ()
    """the ends of the search for L-BFGS's C, the inverse of the penalty, as scikit-learn has it"""
    test_per_class: int = 0
    """test images of each class that a seeded draw takes"""
    min_train: int = 0
    """training images that a class of a level needs"""

    def splitting(self, recipe: Recipe) -> Recipe:
        """The recipe by which the images of a dataset are split."""
        return replace(
            recipe,
            test_per_class=self.test_per_class or recipe.test_per_class,
            min_train=self.min_train or recipe.min_train,
        )

    def recipe(self, recipe: Recipe, n_train: int) -> Recipe:
        """The recipe for a dataset of so many training images.

        scikit-learn minimises C · Σ loss + |W|²/2, L-BFGS here the mean loss + decay · |W|²/2: so
        the decay is 1 / (C · n). Small validation sets like many neighbours equally well: the
        middle one is then taken, not the end of so wide a range.
        """
        recipe = self.splitting(recipe)
        if self.norm:
            recipe = replace(recipe, norm=self.norm)
        if self.c:
            decays = tuple(1 / (c * n_train) for c in equal_ratios(*self.c))
            recipe = replace(recipe, lbfgs_decays=decays, lbfgs_ties="middle")
        return recipe

    def probing(self, probing: Probing) -> Probing:
        """The probes of a run with the solver of this protocol."""
        return replace(probing, solver=self.solver) if self.solver else probing


SOLVERS = tuple(PROBES["logreg"].solvers)
"""what `Protocol.solver` may be"""


def equal_ratios(low: float, high: float) -> tuple[float, ...]:
    """Numbers from `low` to `high`, neighbours about `RATIO` apart.

    >>> equal_ratios(1, 10), len(equal_ratios(1e-5, 1e6))
    ((1.0, 3.1622776601683795, 10.0), 23)
    """
    steps = max(1, round(math.log(high / low, RATIO)))
    return tuple(low * (high / low) ** (step / steps) for step in range(steps + 1))
