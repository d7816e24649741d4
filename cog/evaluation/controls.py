"""Controls of the benchmark: what a probe reaches where nothing was learnt, or nothing is to learn.

In: the model runs of a plan. Out: those and their controls, which are model runs too: they have
cells and rows as models do, under the names MODEL+CONTROL. Everything else asks `cog.recipe` which
names are controls. The rest of the program meets them in two places alone: `with_controls`, in the
plan, and `controlled`, where features become the data of a probe.

- shuffled-labels: the model's features, the training labels permuted. Chance; more is a leak.
- random-features: noise of the model's dimension in place of its features. Chance; more is a leak.
- untrained: the same architecture with fresh random weights, and the model's preprocessing. Its
  features are multiplied by a power of two: those of some networks would vanish in float16.
- raw-pixels: 32 × 32 pixels. One for all models, under the name images+raw-pixels.

A model that is not above the last two has learnt nothing that a probe can use.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from cog.errors import CogError
from cog.evaluation.models import ModelLike, ModelOptions
from cog.features.forward import embed
from cog.features.model_run import ModelRun, plan_model_runs, refuse_another
from cog.images.preprocess import Preprocess
from cog.models.check import BATCH, check_model
from cog.models.initialisation import reinitialise
from cog.models.load import load
from cog.models.model import Model
from cog.probes.data import Features, ProbeData
from cog.progress import Notify
from cog.recipe import CONTROL_FAMILY, control_name
from cog.storage import StoragePath

SIDE = 32  # pixels of raw images
SEED = 22  # of the permutation and of the noise
_BLOCK = 65_536  # rows of noise that are drawn at once


def with_controls(
    model_runs: Sequence[ModelRun],
    options: ModelOptions,
    precision: str,
    out: StoragePath,
    notify: Notify,
) -> tuple[ModelRun, ...]:
    """Each model run with its controls behind it, and raw pixels at the end.

    Args:
        model_runs: those of the models.
        options: what the model runs were made from.
        precision: in which the networks run.
        out: where the model runs are.
        notify: takes why a control cannot be made.

    Raises:
        CogError: the folder of a control holds one of another model.
    """
    if any(model_run.model.tokens > 1 for model_run in model_runs):
        raise CogError("controls have one vector an image, no tokens", "leave out --controls")
    found: list[ModelRun] = []
    for model_run, given in zip(model_runs, options.models, strict=True):
        found.append(model_run)
        found += [_on_features(model_run, control, out) for control in CHANGES]
        fresh = _untrained(model_run, given, options, precision, notify)
        if fresh is not None:
            found += _runs([fresh], "untrained", out)
    found += _runs([_raw_pixels(model_runs[0].model)], "raw-pixels", out)
    return tuple(found)


def controlled(data: ProbeData, control: str, dataset: str) -> ProbeData:
    """The data of a probe: those of the model, changed where it is a control of them.

    Each `dataset` has a draw of its own, so that its chance is its own too.
    """
    change = CHANGES.get(control)
    return (
        data if change is None else change(data, np.random.default_rng([SEED, *dataset.encode()]))
    )


def _shuffled(data: ProbeData, rng: np.random.Generator) -> ProbeData:
    return replace(data, train_y=rng.permutation(data.train_y))


def _noise(data: ProbeData, rng: np.random.Generator) -> ProbeData:
    return replace(data, train_x=_like(data.train_x, rng), test_x=_like(data.test_x, rng))


def _like(x: Features, rng: np.random.Generator) -> Features:
    """Normal noise of the shape and dtype of features."""
    noise: NDArray[np.float32] = np.empty_like(x)
    for start in range(0, len(x), _BLOCK):
        part = noise[start : start + _BLOCK]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32)
    return noise


CHANGES: dict[str, Callable[[ProbeData, np.random.Generator], ProbeData]] = {
    "shuffled-labels": _shuffled,
    "random-features": _noise,
}
"""the controls that are made of a model's features: no image is read for them"""


def _on_features(model_run: ModelRun, control: str, out: StoragePath) -> ModelRun:
    """A control with the features of a model."""
    model = _named(model_run.model, control_name(model_run.model.name, control))
    own = ModelRun(
        out / model.name, model, model_run.fingerprint, control=control, source=model_run
    )
    refuse_another(own)
    return own


def _runs(models: Sequence[Model], control: str, out: StoragePath) -> Iterator[ModelRun]:
    """The model runs of controls with features of their own."""
    for model_run in plan_model_runs(models, out):
        yield replace(model_run, control=control)


def _named(model: Model, name: str) -> Model:
    """The same network under the name of a control, which no model can be given."""
    control = replace(model, family=CONTROL_FAMILY)
    control.name = name
    return control


def _raw_pixels(beside: Model) -> Model:
    """The pixels as features, normalised as usual; on the device of another model."""
    preprocess = Preprocess(resize=SIDE, crop=SIDE)
    model = Model(torch.nn.Flatten(), preprocess=preprocess)
    return _named(model.to(beside.device), control_name("images", "raw-pixels"))


def _untrained(
    model_run: ModelRun,
    given: ModelLike,
    options: ModelOptions,
    precision: str,
    notify: Notify,
) -> Model | None:
    """The model with fresh random weights; None, and a message, where that cannot be made."""
    name = model_run.model.name
    try:
        fresh = _with_fresh_weights(model_run.model, given, options, notify)
        why = "drawing its weights anew changes nothing: it has none, or is untrained itself"
        if fresh.fingerprint == model_run.fingerprint:
            raise CogError(why, why)
        fresh = _of_ordinary_size(fresh, precision)
        failed = [check for check in check_model(fresh) if not check.passed]
        if failed:
            why = f"with fresh weights it fails the check {failed[0].name!r} ({failed[0].found})"
            raise CogError(why, why)
    except CogError as error:
        notify(f"{name}: no control `untrained`: {error.what}")
        return None
    return _named(fresh, control_name(name, "untrained"))


class _Multiplied(torch.nn.Module):
    """A network whose features are multiplied by a number."""

    def __init__(self, network: torch.nn.Module, factor: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [b, d] of images."""
        features: torch.Tensor = self.network(x) * self.factor
        return features


def _of_ordinary_size(model: Model, precision: str) -> Model:
    """The model, its features multiplied by the power of two that makes the largest about 1.

    Probes look at their direction alone, which stays the same to the bit. The features of an
    untrained EfficientNet are of 10⁻⁸ or less, which float16 cannot keep.
    """
    shape = (BATCH, *model.preprocess.shape)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    here = "fp32" if precision == "tf32" else precision  # of the same range; a CPU has no TF32
    largest = float(np.abs(embed(model, pixels, here)).max())
    factor = 2.0 ** -math.frexp(largest)[1]
    return replace(model, network=_Multiplied(model.network, factor).to(model.device))


def _with_fresh_weights(
    model: Model, given: ModelLike, options: ModelOptions, notify: Notify
) -> Model:
    """The network that its form of name makes untrained, or a copy of a loaded one, drawn anew.

    Raises:
        CogError: it cannot be made.
    """
    if not isinstance(given, Model):
        if not options.load.pretrained:
            raise CogError("the model is untrained itself", "leave out --no-pretrained")
        untrained = replace(options.load, pretrained=False, weights=None, weights_key=None)
        return load(str(given), untrained, device=model.device, notify=lambda _: None)
    try:
        network = copy.deepcopy(model.network)
    except Exception as error:  # a network may raise anything
        what = f"its network cannot be copied ({type(error).__name__}: {error})"
        raise CogError(what, "give the model by name") from error
    reinitialise(network)
    return replace(model, network=network, seen_data="")
