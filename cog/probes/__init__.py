"""Probes: what is learnt on frozen features, one file for each kind.

To add a probe: a file with a function like `logreg`, and its entries here.
"""

from __future__ import annotations

from collections.abc import Callable

from cog.probes.data import ProbeData, ProbeResult, ProbeSettings, Progress
from cog.probes.knn import knn
from cog.probes.logreg import logreg
from cog.probes.mlp import mlp
from cog.probes.ncm import ncm
from cog.probes.ridge import ridge

PROBES: dict[str, Callable[[ProbeData, ProbeSettings, Progress | None], ProbeResult]] = {
    "logreg": logreg,
    "knn": knn,
    "ncm": ncm,
    "ridge": ridge,
    "mlp": mlp,
}

SOLVERS: dict[str, tuple[str, ...]] = {
    "logreg": ("sgd", "lbfgs"),
    "knn": ("exact",),
    "ncm": ("exact",),
    "ridge": ("exact",),
    "mlp": ("adamw",),
}
"""the solvers of each probe, the official one first"""

SEED_DECIDES: dict[tuple[str, str], str] = {
    ("logreg", "sgd"): "validation split, trials, start, batches",
    ("logreg", "lbfgs"): "validation split",
    ("knn", "exact"): "validation split",
    ("ncm", "exact"): "nothing",
    ("ridge", "exact"): "validation split",
    ("mlp", "adamw"): "validation split, start, batches",
}
"""what the spread over seeds is a spread of; of N shots, also which images are drawn"""

__all__ = ["PROBES", "SEED_DECIDES", "SOLVERS", "ProbeData", "ProbeResult", "ProbeSettings"]
