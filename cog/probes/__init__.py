"""Probes: what is learnt on frozen features, one file for each kind.

To add a probe: a file with a function like `logreg`, and its entries here.
"""

from __future__ import annotations

from collections.abc import Callable

from cog.probes.data import ProbeData, ProbeResult, ProbeSettings, Progress
from cog.probes.logreg import logreg

PROBES: dict[str, Callable[[ProbeData, ProbeSettings, Progress | None], ProbeResult]] = {
    "logreg": logreg,
}

SOLVERS: dict[str, tuple[str, ...]] = {"logreg": ("sgd", "lbfgs")}
"""the solvers of each probe, the official one first"""

__all__ = ["PROBES", "SOLVERS", "ProbeData", "ProbeResult", "ProbeSettings"]
