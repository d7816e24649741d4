"""Every protocol there is, by its name; the default first."""

from __future__ import annotations

from cog.evaluation.protocols import (
    attentive,
    cog,
    dino_knn,
    dinov2_logreg,
    linear_augmented,
    mae_linear,
    trex_transfer,
)
from cog.evaluation.protocols.protocol import Protocol

PROTOCOLS: dict[str, Protocol] = {
    each.name: each
    for each in (
        cog.PROTOCOL,
        trex_transfer.PROTOCOL,
        dinov2_logreg.PROTOCOL,
        dino_knn.PROTOCOL,
        linear_augmented.PROTOCOL,
        mae_linear.PROTOCOL,
        attentive.PROTOCOL,
    )
}


def fixed_options() -> frozenset[str]:
    """The arguments of `cog.evaluate` that any protocol fixes: None is their default there.

    >>> "probes" in fixed_options(), "images" in fixed_options()
    (True, False)
    """
    return frozenset(option for each in PROTOCOLS.values() for option in each.options)
