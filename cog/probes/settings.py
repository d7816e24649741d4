"""Which probes a run fits: their kinds, solvers, shots and seeds.

`cog evaluate`, which has images, and `cog probe`, which has any features, share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cog.errors import CogError, unknown_name
from cog.probes.table import PROBES
from cog.recipe import SEEDS, Recipe

VALIDATIONS = ("official", "within")


@dataclass(frozen=True)
class Probing:
    """Which probes a run fits on the features."""

    probes: tuple[str, ...] = ("logreg", "knn", "ncm", "retrieval")
    solver: str = PROBES["logreg"].official_solver
    """for the probes that have it; the others take their own"""
    shots: tuple[int | None, ...] = (None,)
    """images a class to train on; None for all"""
    shots_validation: str = "official"
    seeds: tuple[int, ...] = SEEDS

    def __post_init__(self) -> None:
        """Refuse names that no probe has."""
        for probe in self.probes:
            if probe not in PROBES:
                raise unknown_name("probe", probe, PROBES)
        known = [solver for probe in PROBES.values() for solver in probe.solvers]
        if self.solver not in known:
            raise unknown_name("solver", self.solver, known)
        if self.shots_validation not in VALIDATIONS:
            raise unknown_name("shots validation", self.shots_validation, VALIDATIONS)
        for seed in self.seeds:
            if not 0 <= seed < 2**32:
                raise CogError(
                    f"expected seeds from 0 to 4294967295, found {seed}", "give other --seeds"
                )

    def solver_of(self, probe: str) -> str:
        """The solver asked for where the probe has it, else the probe's official one."""
        entry = PROBES[probe]
        return self.solver if self.solver in entry.solvers else entry.official_solver

    def refuse_draw(self, recipe: Recipe) -> None:
        """Refuse a recipe that draws other images for the final fit, where no others are used.

        Raises:
            CogError: N shots validate within the N, and the recipe draws anew.
        """
        if self.shots_validation == "within" and recipe.few_shot_draw != Recipe.few_shot_draw:
            raise CogError(
                "N shots that validate within the N use no other image, and the few-shot draw "
                f"{recipe.few_shot_draw} has N others for the final fit",
                "leave out --shots-validation within, or --few-shot-draw official",
            )

    def results(self) -> Iterator[tuple[str, str, int | None, int]]:
        """Probe, solver, shots and seed of every result to come."""
        for probe in self.probes:
            for shots in (None,) if PROBES[probe].among_test else self.shots:
                once = PROBES[probe].first_seed_alone and shots is None
                for seed in self.seeds[:1] if once else self.seeds:
                    yield probe, self.solver_of(probe), shots, seed
