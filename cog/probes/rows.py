"""Which images a probe searches on, validates on and is fitted on, and on which device.

All probes share it, so that those of one seed and one number of shots see the same images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.probes.data import ProbeData, ProbeSettings, check_probe_data
from cog.probes.features import UnitFeatures, unit_features
from cog.probes.sampling import few_shot, validation_split


@dataclass(frozen=True)
class ProbeRows:
    """Rows of the training images, each int64 and sorted."""

    search: NDArray[np.int64]
    """for the fits that choose hyper-parameters"""
    validation: NDArray[np.int64]
    """to judge these fits; disjoint from `search`"""
    final: NDArray[np.int64]
    """for the fit with the best hyper-parameters"""


def prepared(data: ProbeData, settings: ProbeSettings) -> tuple[UnitFeatures, UnitFeatures]:
    """Unit features of all training and all test images, checked and made once for all probes.

    Raises:
        CogError: data that no probe can learn from.
    """
    device = work_device(settings)
    if device not in data.on_device:
        check_probe_data(data)
        data.on_device[device] = (
            unit_features(data.train_x, data.train_y, device),
            unit_features(data.test_x, data.test_y, device),
        )
    return data.on_device[device]


def rows_to_fit(
    labels: NDArray[np.int64], settings: ProbeSettings, validated: bool = True
) -> ProbeRows:
    """Split the training images as the settings say.

    - All images: a share of every class validates; the final fit takes all, validation included.
    - N shots, "official": the share is laid aside first, N images a class are drawn from the rest,
      and both fits take these N.
    - N shots, "within": N images a class are drawn first, a share of those validates, and the
      final fit takes the N: no other image is used.

    Raises:
        CogError: no class has an image to spare for validation, and the probe is `validated`.
    """
    rows = _rows(labels, settings)
    if validated and not len(rows.validation):
        raise CogError(
            "expected a class with at least two training images to validate on, found none",
            "give more images, or more --shots",
        )
    return rows


def _rows(labels: NDArray[np.int64], settings: ProbeSettings) -> ProbeRows:
    share, seed = settings.recipe.validation_share, settings.seed
    everything = np.arange(len(labels))
    if settings.shots is not None and settings.shots_validation == "within":
        drawn = few_shot(labels, settings.shots, everything, seed)
        train, validation = (drawn[part] for part in validation_split(labels[drawn], share, seed))
        return ProbeRows(train, validation, drawn)
    train, validation = validation_split(labels, share, seed)
    if settings.shots is None:
        return ProbeRows(train, validation, everything)
    shots = few_shot(labels, settings.shots, train, seed)
    return ProbeRows(shots, validation, shots)


def work_device(settings: ProbeSettings) -> str:
    """The device of the settings; the CPU in place of mps, which has no float64."""
    return "cpu" if settings.device.startswith("mps") else settings.device
