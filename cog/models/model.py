"""`Model`: a frozen network and the preprocessing that it needs."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.failures import failure, require_loaded, unloaded
from cog.rounding import MULTIPLY, refuse_worn
from cog.storage import safe_name

LIBRARIES = ("torch", "torchvision", "timm", "transformers", "open_clip", "cog")
"""libraries whose code is not hashed: results record their versions"""

_GIVE_MORE_RANGE = "give --precision bf16 or fp32; a network that makes float16 itself should not"


@dataclass(eq=False)
class Model:
    """A network as a fixed function of prepared images: float32[b, 3, h, w] → float32[b, d].

    Args:
        network: any `torch.nn.Module`, TorchScript included; it may be in the middle of training.
        preprocess: how its images are prepared.
        name: of the model run and in the column `model`; by default the network's class.
        code: hash of code outside the network's classes that decides the features, such as the
            user's own file.
        seen_data: what it learnt from, such as "IN-1K"; a column of the results, empty if unknown.
        family: its kind, such as "self-supervised"; reports sort and filter by it.
        feature: what of its network the feature is, in words; empty where nothing was chosen.
        tokens: vectors that a feature is made of, one behind the other; several take the probe
            `attentive`.
        commit: of the repository that all its files came from; empty where there is none.
    """

    network: nn.Module
    preprocess: Preprocess = field(kw_only=True)
    name: str = field(default="", kw_only=True)
    code: str = field(default="", kw_only=True, repr=False)
    seen_data: str = field(default="", kw_only=True)
    family: str = field(default="", kw_only=True)
    feature: str = field(default="", kw_only=True)
    tokens: int = field(default=1, kw_only=True)
    commit: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a wrong network or preprocessing, and choose the name."""
        for given, wanted in ((self.network, nn.Module), (self.preprocess, Preprocess)):
            if not isinstance(given, wanted):
                raise CogError(
                    f"cog.Model: expected a {wanted.__name__}, found a {type(given).__name__}",
                    "write cog.Model(network, preprocess=cog.Preprocess(...), name=...)",
                )
        self.name = safe_name(self.name or type(self.network).__name__)

    def embed(self, x: Tensor) -> Tensor:
        """Features of prepared images: float32[b, 3, h, w] → float32[b, d].

        In eval mode and without gradients; afterwards every part is in the mode it had before.

        Raises:
            CogError: the input is not a batch of images, the weights were never loaded, or the
                output is not finite float[b, d], or too small for the type that it has.
        """
        return sound(self.compute(x), self.name)

    def compute(self, x: Tensor, network: Callable[[Tensor], object] | None = None) -> Tensor:
        """The first half of `embed`, which waits for no device: its numbers are not looked at.

        `sound` is the other half. The output has the type that the network gives, and may be on a
        GPU that has not computed it yet. `network`: what computes instead of the model's network,
        such as its compiled form.

        Raises:
            CogError: the input is not a batch of images, the weights were never loaded, or the
                output is not float[b, d].
        """
        if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point():
            raise CogError(
                f"expected float32[b, 3, h, w], found {_describe(x)}",
                "prepare the images with model.preprocess.pixels and .normalise",
            )
        require_loaded(self.network, self.name)
        with evaluating(self.network), torch.no_grad():
            features = (network or self.network)(x.to(self.device))
        return _of_right_form(features, len(x), self.name)

    def try_embed(self, x: Tensor) -> Tensor:
        """`embed`, where whatever the network raises is a CogError with the reason."""
        try:
            return self.embed(x)
        except CogError:
            raise
        except (Exception, SystemExit) as error:  # any: the network is not ours
            raise failure(
                self.network,
                f"{self.name} fails on {_describe(x)}",
                error,
                "make the preprocessing give a size that the network takes, or repair its forward",
            ) from error

    @cached_property
    def dim(self) -> int:
        """The size d of a feature, measured once with a random image.

        Raises:
            CogError: the network fails on an image of the size that its preprocessing makes.
        """
        shape = (1, *self.preprocess.shape)
        image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        return int(self.try_embed(image).shape[1])

    @property
    def n_parameters(self) -> int:
        """The number of parameters; 0 in frozen TorchScript, where they are constants.

        Lazy ones, which have no shape yet, do not count.
        """
        return sum(tensor.numel() for tensor in self.network.parameters() if not is_lazy(tensor))

    @property
    def device(self) -> torch.device:
        """The device of the network's first tensor."""
        for tensor in (*self.network.parameters(), *self.network.buffers()):
            return tensor.device
        return torch.device("cpu")

    def to(self, device: str | torch.device) -> Model:
        """Move the network in place, and return this model.

        Tensors without values cannot be moved; all that uses them says so.

        Raises:
            CogError: there is no such device.
        """
        if unloaded(self.network):
            return self
        try:
            self.network.to(device)
        except (RuntimeError, AssertionError) as error:
            raise CogError(f"no device {device}: {error}", "give --device cpu") from error
        return self

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the features, computed anew each time.

        It covers the names, dtypes, shapes and bytes of parameters and buffers, the printed
        structure, the source and plain attributes of classes outside `LIBRARIES`, `code`, and the
        preprocessing. It does not cover the model's name and device.

        Raises:
            CogError: weights that were never loaded.
        """
        require_loaded(self.network, self.name)
        digest = hashlib.sha256()
        state = {**dict(self.network.named_buffers()), **self.network.state_dict()}
        for key in sorted(state):
            _add(digest, key, state[key])
        if not state:  # frozen TorchScript has its weights as constants: hash what it does
            shape = self.preprocess.shape
            image = torch.linspace(-1, 1, prod(shape)).reshape(1, *shape)
            _add(digest, "features", self.try_embed(image).half())
        structure = re.sub(r" at 0x[0-9a-f]+", "", repr(self.network))
        preprocess = json.dumps(self.preprocess.describe(), sort_keys=True)
        digest.update(f"{structure}\n{preprocess}\n{self.code}".encode())
        for part in self.network.modules():
            if type(part).__module__.partition(".")[0] not in LIBRARIES:
                digest.update(_own_code(part).encode())
        return digest.hexdigest()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put every part of `network` in eval mode, and afterwards back in the mode it had.

    Each flag is set by itself: `network.train(True)` would also change parts that a training
    script keeps in eval mode.
    """
    training = [part for part in network.modules() if getattr(part, "training", False)]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _own_code(part: nn.Module) -> str:
    """The source of a module's class, if there is one, and its attributes of plain types."""
    try:
        source = inspect.getsource(type(part))
    except (OSError, TypeError):  # typed at a prompt, or compiled
        source = type(part).__qualname__
    plain = {
        name: value
        for name, value in vars(part).items()
        if isinstance(value, bool | int | float | str) and name != "training" and name[0] != "_"
    }
    return f"{source}\n{sorted(plain.items())}\n"


def _add(digest: hashlib._Hash, key: str, value: object) -> None:
    if not isinstance(value, Tensor):  # from a module's get_extra_state
        digest.update(f"{key}|{value!r}\n".encode())
        return
    digest.update(f"{key}|{value.dtype}|{tuple(value.shape)}\n".encode())
    flat = value.detach().cpu().contiguous().reshape(-1)
    digest.update(flat.view(torch.uint8).numpy().data)


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return f"a {type(value).__name__}"


def _of_right_form(features: object, rows: int, name: str) -> Tensor:
    if (
        not isinstance(features, Tensor)
        or features.ndim != 2
        or len(features) != rows
        or not features.shape[1]
    ):
        raise CogError(
            f"{name}: expected features float32[{rows}, d], found {_describe(features)}",
            "end the network's forward with one vector per image: x.mean((2, 3)) of a map, "
            "x[:, 0] or x.mean(1) of tokens",
        )
    if features.is_complex():  # a part of each number would be lost
        raise CogError(
            f"{name}: expected features float32[{rows}, d], found {_describe(features)}",
            "end the network's forward with real numbers: torch.view_as_real(x).flatten(1)",
        )
    return features


def sound(given: Tensor, name: str) -> Tensor:
    """Features float32[b, d] of a network's output float[b, d]; `name` says whose it is.

    Raises:
        CogError: numbers that are not finite, or too small for the type that they have.
    """
    features = given.float()
    broken = len(given) - int(features.isfinite().all(1).sum())
    if broken:
        raise CogError(
            f"{name}: the features of {broken} of {len(given)} images have NaN or infinity",
            "check the weights file and the preprocessing; with reduced precision, "
            "try --precision fp32",
        )
    if given.dtype == torch.float16:  # of autocast, or of the network itself
        refuse_worn(given.cpu().numpy(), None, name, _GIVE_MORE_RANGE)
    elif given.dtype == torch.float64:
        refuse_worn(given.cpu().numpy(), "float32", name, MULTIPLY)
    return features
