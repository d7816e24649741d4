"""Which images a probe searches on, validates on and is fitted on, and on which device.

All probes share it, so that those of one seed and one number of shots see the same images.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cog.errors import CogError
from cog.probes.data import Features, ProbeData, ProbeResult, ProbeSettings, check_probe_data
from cog.probes.features import UnitFeatures, standardised, unit_features
from cog.probes.head import Head
from cog.probes.ranks import Placed
from cog.probes.sampling import few_shot, validation_split

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ProbeParts:
    """The images of one fit, as unit features."""

    search: UnitFeatures
    """for the fits that choose hyper-parameters"""
    validation: UnitFeatures
    """to judge these fits; disjoint from `search`"""
    final: UnitFeatures
    """for the fit with the best hyper-parameters"""
    test: UnitFeatures
    begun: float
    """when the fit began, by time.perf_counter"""
    to_length_1: bool = True
    """whether features have length 1"""
    n_short: int | None = None
    """of N shots: how many classes have fewer than N images in `final`"""
    notes: tuple[str, ...] = ()
    """what the user should know of these images, a line each"""
    views: int = 1
    """rows of each image in `search` and `final`, one behind the other"""

    def result(
        self,
        placed: Placed,
        hyper: dict[str, float],
        trials: list[dict[str, float]],
        notes: tuple[str, ...] = (),
        layer: Tensor | None = None,
    ) -> ProbeResult:
        """The result of the fit, which ends now; `layer` [c, d + 1] is what was fitted, if any."""
        seconds = time.perf_counter() - self.begun
        n_train, n_validation = len(self.final) // self.views, len(self.validation)
        return ProbeResult(
            placed.ranks, hyper, trials, n_train, n_validation, seconds, (*self.notes, *notes),
            n_short=self.n_short, highest=placed.highest,
            head=None if layer is None else self._head(layer),
        )  # fmt: skip

    def _head(self, layer: Tensor) -> Head:
        """A layer with what it takes of features."""
        as_arrays = [each.cpu().float().numpy() for each in (layer, *(self.test.standard or ()))]
        return Head(as_arrays[0], self.to_length_1, *as_arrays[1:])


def parts_of(
    data: ProbeData, settings: ProbeSettings, validated: bool = True, norm: str | None = None
) -> ProbeParts:
    """The parts that a probe learns from; without validation images if it is not `validated`.

    The data is checked, and unit features are made, once for all fits. Features have the `norm` of
    the recipe if none is given. Standardised ones are scaled by the images that a fit learns from:
    validation images by those of the search, test images by those of the final fit.

    Raises:
        CogError: data that no probe can learn from, or no class has an image for validation.
    """
    device = work_device(settings.device)
    norm = settings.recipe.norm if norm is None else norm
    dtype = settings.recipe.fit_dtype if settings.solver == "lbfgs" else "float32"
    key = device + ("" if norm == "l2" else ", as they are") + dtype.removeprefix("float32")
    if key not in data.on_device:
        check_probe_data(data)
        as_asked = partial(
            unit_features, device=device, dtype=getattr(torch, dtype), to_length_1=norm == "l2"
        )
        crops = data.train_x.reshape(len(data.train_x) * data.crops, data.test_x.shape[1])
        data.on_device[key] = (
            as_asked(crops, np.repeat(data.train_y, data.crops)),
            as_asked(data.test_x, data.test_y),
        )
    train, test = data.on_device[key]
    begun = time.perf_counter()
    search, validation, final = rows_to_fit(data.train_y, settings)
    if not validated:
        validation = validation[:0]
    elif not len(validation):
        raise CogError(
            "expected a class with at least two training images to validate on, found none",
            "give more images, or more --shots",
        )
    n_short, notes = few_images_note(data.train_y, data.n_classes, final, settings.shots)
    search, final = (_views(rows, data.crops) for rows in (search, final))
    parts = ProbeParts(
        train.only(search), train.only(validation * data.crops), train.only(final), test, begun,
        norm == "l2", n_short, notes, max(1, data.crops - 1),
    )  # fmt: skip
    return _standardised(parts) if norm == "standard" else parts


def _views(images: Rows, crops: int) -> Rows:
    """The rows of the views of some images, of which each has so many crops; of one crop, itself.

    >>> _views(np.array([0, 2]), crops=3), _views(np.array([0, 2]), crops=1)
    (array([1, 2, 7, 8]), array([0, 2]))
    """
    if crops == 1:
        return images
    return (images[:, None] * crops + np.arange(1, crops)).reshape(-1)


def _standardised(parts: ProbeParts) -> ProbeParts:
    return replace(
        parts,
        search=standardised(parts.search, by=parts.search),
        validation=standardised(parts.validation, by=parts.search),
        final=standardised(parts.final, by=parts.final),
        test=standardised(parts.test, by=parts.final),
    )


def few_images_note(
    labels: NDArray[np.int64], n_classes: int, final: Rows, shots: int | None
) -> tuple[int | None, tuple[str, ...]]:
    """How many classes have fewer images in the final fit than N shots, and a line that says so.

    `labels` [n] of the training images, of which the final fit takes the rows `final`.
    """
    if shots is None:
        return None, ()
    counts = np.bincount(labels[final], minlength=n_classes)
    n_short = int((counts < shots).sum())
    note = (
        f"{n_short:,} of {n_classes:,} classes have fewer than {shots} images to learn from "
        f"(the fewest {counts.min()}): they give what they have"
    )
    return n_short, (note,) if n_short else ()


def rows_to_fit(labels: NDArray[np.int64], settings: ProbeSettings) -> tuple[Rows, Rows, Rows]:
    """The training images to search on, to validate on and for the final fit, each sorted.

    - All images: a share of every class validates; the final fit takes all, validation included.
    - N shots, "official": the share is laid aside first, N images a class are drawn from the rest,
      and both fits take these N. Where the recipe's `few_shot_draw` is "official" too, the final
      fit takes N others, drawn anew from all, validation included.
    - N shots, "within": N images a class are drawn first, a share of those validates, and the
      final fit takes the N: no other image is used.
    """
    share, seed, shots = settings.recipe.validation_share, settings.seed, settings.shots
    everything = np.arange(len(labels))
    if shots is not None and settings.shots_validation == "within":
        drawn = few_shot(labels, shots, everything, seed)
        train, validation = validation_split(labels[drawn], share, seed)
        return drawn[train], drawn[validation], drawn
    train, validation = validation_split(labels, share, seed)
    if shots is None:
        return train, validation, everything
    drawn = few_shot(labels, shots, train, seed)
    anew = settings.recipe.few_shot_draw == "official"
    return drawn, validation, few_shot(labels, shots, everything, seed, anew) if anew else drawn


def head_features(
    head: Head,
    x: Features | NDArray[np.float64],
    labels: Rows,
    device: str,
    dtype: torch.dtype = torch.float32,
) -> UnitFeatures:
    """Features [m, d] with labels [m] as a head takes them, made into unit rows of `dtype`."""
    features = unit_features(x, labels, device, dtype, head.to_length_1)
    if head.mean is None or head.factor is None:
        return features
    mean, factor = (torch.tensor(each).to(features.scale) for each in (head.mean, head.factor))
    return replace(features, standard=(mean, factor))


def work_device(device: str) -> str:
    """The device that fits are made on; the CPU in place of mps, which has no float64."""
    return "cpu" if device.startswith("mps") else device
