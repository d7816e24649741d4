"""A network in training as a `Model`: what is inside its wrappers, its feature, and its type."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from cog.errors import CogError
from cog.features.failures import lacks_memory
from cog.images.preprocess import Preprocess
from cog.models.failures import in_words
from cog.models.model import Model

Feature = Callable[[nn.Module, Tensor], Tensor]
"""the features [b, d] that a network has for images float[b, 3, h, w]"""

NAME = "cog.Monitor"
_FAILS = (
    'images have preprocess= and the type of its first parameter; precision="bf16" is for parts of '
    "several types, feature= for networks that take more than images"
)
_CASTS = (torch.float16, torch.bfloat16, torch.float64)


class LiveFeatures(nn.Module):
    """A network that gives one feature an image: float32[b, 3, h, w] → float[b, d].

    Images get the type of the network's parameters, where that is float16, bfloat16 or float64.
    Features with NaN or infinity become zeros, and are counted.
    """

    def __init__(self, network: nn.Module, feature: Feature | None) -> None:
        """`feature`: by default what the network returns."""
        super().__init__()
        self.network = network
        self.feature = feature
        self.n_broken: Tensor | int = 0

    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch of images."""
        x = x.to(_type_for(self.network))
        try:
            features = self.feature(self.network, x) if self.feature else self.network(x)
        except Exception as error:  # a network may raise anything
            if isinstance(error, CogError) or lacks_memory(error):
                raise  # smaller batches follow
            raise CogError(f"{NAME}: the network fails on {len(x)} images: {in_words(error)}",
                           _FAILS) from error  # fmt: skip
        checked = _one_vector_each(features, len(x))
        finite = checked.isfinite().all(1)
        self.n_broken = self.n_broken + (~finite).sum()  # waits for no device
        return checked.where(finite[:, None], 0)


def live_model(network: object, preprocess: Preprocess, feature: Feature | None) -> Model:
    """The model of a network in training, without wrappers of DDP and of torch.compile.

    Raises:
        CogError: no network is given, or a `Model` of another preprocessing.
    """
    if isinstance(network, Model):
        if network.preprocess != preprocess:
            raise CogError(
                f"the monitor has images with {preprocess.in_words()}, and the model wants "
                f"{network.preprocess.in_words()}",
                "give cog.Monitor(preprocess=model.preprocess, ...)",
            )
        network = network.network
    if not isinstance(network, nn.Module):
        raise CogError(
            f"{NAME}: expected a torch.nn.Module, found a {type(network).__name__}",
            "write monitor.evaluate(network)",
        )
    return Model(LiveFeatures(unwrapped(network), feature), preprocess=preprocess, name=NAME)


def unwrapped(network: nn.Module) -> nn.Module:
    """What DDP, DataParallel and torch.compile wrap: their own forward may talk to others."""
    while True:
        inner = getattr(network, "_orig_mod", None)  # of torch.compile
        if isinstance(network, DataParallel | DistributedDataParallel):
            inner = network.module
        if not isinstance(inner, nn.Module):
            return network
        network = inner


def _type_for(network: nn.Module) -> torch.dtype:
    """The type of the images that a network takes."""
    types = (tensor.dtype for tensor in network.parameters() if tensor.is_floating_point())
    own = next(types, torch.float32)
    return own if own in _CASTS else torch.float32


def _one_vector_each(features: object, rows: int) -> Tensor:
    """Features as they came, if they are float[b, d].

    Raises:
        CogError: they are something else; the hint says what to type.
    """
    if isinstance(features, Tensor):
        if features.ndim == 2 and len(features) == rows and features.is_floating_point():
            return features
        found = f"{str(features.dtype).removeprefix('torch.')}{list(features.shape)}"
        more = {4: "network(x).mean((2, 3))", 3: "network(x)[:, 0]"}.get(features.ndim)
        wanted = more or "network.forward_features(x).mean(1)"
    else:
        names = list(features.keys()) if hasattr(features, "keys") else []
        found = f"a {type(features).__name__}" + (
            f" of {', '.join(map(str, names))}" if names else ""
        )
        token = "network(x).last_hidden_state[:, 0]"
        wanted = "network(x).pooler_output" if "pooler_output" in names else token
    raise CogError(
        f"{NAME}: expected one vector for each image, float[{rows}, d], found {found}",
        f"say which feature of the network: cog.Monitor(feature=lambda network, x: {wanted}, ...)",
    )
