"""Which features the probes of a run take: one vector an image, or those of augmented views.

In: the probes and the settings of features. Out: settings that suit them; what does not is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cog.datasets.dataset import DatasetOptions
from cog.errors import CogError
from cog.features.settings import Extraction
from cog.probes.table import PROBES, TAKES

VIEWS = 8
"""augmented views of each training image where nobody says how many: see docs/protocols.md"""


def suited(
    extraction: Extraction, probes: Sequence[str] | None, datasets: DatasetOptions
) -> Extraction:
    """The settings of features for the probes of a run; `probes`: None where none are fitted.

    Raises:
        CogError: probes that take different features, or options that say nothing to them.
    """
    if probes is not None:
        extraction = _for_probes(extraction, probes)
    if extraction.views and datasets.refit_shots:
        raise CogError(
            "images of further test sets have no augmented views, so no head is refitted on them",
            "leave out --refit-shots",
        )
    return extraction


def _for_probes(extraction: Extraction, probes: Sequence[str]) -> Extraction:
    by_kind = {PROBES[probe].takes: probe for probe in reversed(probes)}
    if len(by_kind) > 1:
        shown = ", ".join(f"{probe} {TAKES[kind]}" for kind, probe in sorted(by_kind.items()))
        raise CogError(
            f"these probes take different features ({shown})",
            "give them to commands of their own, each with its own --out",
        )
    if "views" in by_kind:
        return replace(extraction, views=extraction.views or VIEWS)
    if extraction.views:
        raise CogError(
            "--views is for the probe augmented alone", "add --probe augmented, or leave it out"
        )
    return extraction
