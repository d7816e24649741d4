"""Whether a test set has the images that heads are to be refitted on, before features are made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cog.datasets.dataset import Dataset
from cog.errors import CogError
from cog.plain_text import first_names
from cog.probes.data import ProbeSettings
from cog.probes.rows import rows_to_fit
from cog.probes.settings import Probing
from cog.recipe import Recipe, is_refit


def short_classes(dataset: Dataset, probing: Probing, recipe: Recipe) -> list[str]:
    """A line for each N of `--refit-shots` for which some classes have fewer than N images.

    Raises:
        CogError: no class has N images.
    """
    return list(_lines(dataset, dataset.probing(probing), recipe)) if is_refit(dataset.name) else []


def _lines(dataset: Dataset, probing: Probing, recipe: Recipe) -> Iterator[str]:
    images = dataset.split.train
    where = probing.shots_validation
    for shots in probing.shots:
        if shots is None:
            continue
        settings = ProbeSettings("", shots, probing.seeds[0], recipe, "cpu", where)
        final = rows_to_fit(images.labels, settings)[2]
        counts = np.bincount(images.labels[final], minlength=len(images.classes))
        least, most = int(counts.min()), int(counts.max())
        beside = " beside those that validate" if where == "official" else ""
        if most < shots:
            raise CogError(
                f"{dataset.name}: no class has {shots:,} images to refit a head on{beside}; "
                f"classes have {least:,} to {most:,}",
                f"ask for at most --refit-shots {most}, or for all",
            )
        short = [images.classes[at] for at in np.flatnonzero(counts < shots)]
        if short:
            yield (
                f"{len(short):,} of {len(images.classes):,} classes have fewer than {shots:,} "
                f"images to refit on{beside} (the fewest {least:,}): they give what they have: "
                f"{first_names(short)}"
            )
