"""Which features the probes of a run take: one vector an image, its tokens, or those of views.

In: the probes and the settings of features. Out: settings that suit them; what does not is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cog.datasets.dataset import Dataset, DatasetOptions
from cog.errors import CogError
from cog.features.model_run import ModelRun
from cog.features.settings import Extraction
from cog.models.tokens import ALL
from cog.probes.table import PROBES, TAKES

VIEWS = 8
"""augmented views of each training image where nobody says how many: see docs/protocols.md"""


def disk_notes(
    model_runs: Sequence[ModelRun], datasets: Sequence[Dataset], extraction: Extraction
) -> dict[str, list[str]]:
    """What features of several vectors an image take on disk, a line by each model's name."""
    if not (extraction.views or extraction.tokens):
        return {}
    notes = {}
    lists = {images.fingerprint: images for each in datasets for images in each.own_lists}
    vectors = sum(len(each) * (1 + extraction.views_of(each.split)) for each in lists.values())
    width = np.dtype(extraction.dtype).itemsize
    for model_run in model_runs:
        if not model_run.source:
            model = model_run.model
            size = vectors * model.dim * width / 1e9
            what = f"{model.tokens} tokens" if model.tokens > 1 else f"{extraction.views} views"
            of = "image" if model.tokens > 1 else "training image"
            notes[model.name] = [
                f"{what} of each {of}, {size:.3g} GB of features in {extraction.dtype}"
            ]
    return notes


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
    if "tokens" in by_kind:
        return replace(extraction, tokens=extraction.tokens or ALL)
    if extraction.tokens:
        raise CogError(
            "--tokens is for the probe attentive alone", "add --probe attentive, or leave it out"
        )
    if "views" in by_kind:
        return replace(extraction, views=extraction.views or VIEWS)
    if extraction.views:
        raise CogError(
            "--views is for the probe augmented alone", "add --probe augmented, or leave it out"
        )
    return extraction
