"""`timm:NAME`: a network of timm, strictly loaded, with timm's own record of its preprocessing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cog.errors import CogError, unknown_name
from cog.models.checkpoints import fill, read_safely
from cog.models.model import Model
from cog.models.untrained import seeded
from cog.transforms import Preprocess


def from_timm(
    name: str, weights: Path | None, pretrained: bool, notice: Callable[[str], None]
) -> Model:
    """A network of timm without its classifier, with timm's preprocessing (train-time size).

    timm stops checking what it loads when the number of classes is not the checkpoint's: the
    network is made with the checkpoint's own classes, and its classifier taken off afterwards.
    A local file goes through timm's own renaming, in the layout that timm publishes or converts.

    Raises:
        CogError: unknown name, weights that do not fit, no download.
    """
    import timm

    _check_timm_name(name)
    overlay = {} if weights is None else {"file": str(weights)}
    if weights is not None:
        read_safely(weights)  # timm reads it again: here content that would run code is refused
    where = str(weights or f"timm:{name}")
    with seeded(), strict_loading(where, notice):
        try:
            network = timm.create_model(
                name, pretrained=pretrained, pretrained_cfg_overlay=overlay or None
            )
        except CogError:
            raise
        except Exception as error:  # network, hub, renaming: each library has its own kinds
            if not pretrained:
                raise
            raise _timm_failure(name, weights, error) from error
    if hasattr(network, "reset_classifier"):
        reset: Any = network.reset_classifier
        reset(0)
    model = Model(network, preprocess=_timm_preprocess(network), name=f"timm:{name}")
    _ = model.dim  # refuse now a network that gives no one vector a picture
    return model


@contextmanager
def strict_loading(where: str, notice: Callable[[str], None]) -> Iterator[None]:
    """Within it, every network that is filled from a state dict is filled strictly.

    timm fills its networks deep inside, after its own renaming, and this is the one place where
    that can be checked. A few families timm itself fills loosely: there, tensors that the network
    has no use for are told to `notice`, and absent ones must be constant (a norm's 1 and 0).
    """
    original = nn.Module.load_state_dict

    def _checked(
        network: nn.Module, tensors: dict[str, Tensor], strict: bool = True, assign: bool = False
    ) -> Any:
        misfit = fill(network, tensors, where)
        state = network.state_dict()
        untrained = any((state[name] != state[name].min()).any() for name in misfit.missing)
        if misfit.misshapen or (misfit and strict) or untrained:
            raise misfit.error(where)
        if misfit:
            notice(f"{misfit.error(where).what} (timm allows it for this family)")
        return original(network, tensors, strict=False, assign=assign)

    nn.Module.load_state_dict = _checked  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        nn.Module.load_state_dict = original  # type: ignore[method-assign]


def _check_timm_name(name: str) -> None:
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise unknown_name("timm model", architecture, timm.list_models())
    tags = timm.list_models(f"{architecture}.*", pretrained=True)
    if tag and name not in tags:
        raise unknown_name("timm model", name, tags or timm.list_models(pretrained=True))


def _timm_failure(name: str, weights: Path | None, error: Exception) -> CogError:
    from timm.models import get_pretrained_cfg

    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    if weights is not None:
        return CogError(
            f"timm cannot load {weights} into {name} ({reason})",
            "give --weights the file that timm, or the model's authors, publish",
        )
    record = get_pretrained_cfg(name)
    if not (record and record.has_weights):
        return CogError(
            f"timm publishes no weights for {name}", "give --weights FILE or --no-pretrained"
        )
    hub = f"https://huggingface.co/{record.hf_hub_id}"
    return CogError(
        f"cannot download timm:{name} ({reason})",
        f"fetch its weights from {hub if record.hf_hub_id else record.url} and give --weights FILE",
    )


def _timm_preprocess(network: nn.Module) -> Preprocess:
    from timm.data.config import resolve_model_data_config

    record: dict[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    channels, height, width = record["input_size"]
    mode = record["crop_mode"]
    if channels != 3 or (height != width and mode != "squash") or mode not in ("center", "squash"):
        raise CogError(
            f"timm prepares pictures for it as {channels} × {height} × {width}, crop mode {mode}, "
            "which is not a square centre crop",
            "load it in a file of your own and give --model file.py:function",
        )
    short = math.floor(height / record["crop_pct"])
    resize: int | tuple[int, int] = short
    crop: int | None = height
    if mode == "squash":
        resize = (short, math.floor(width / record["crop_pct"]))
        crop = None if resize == (height, width) else height
    return Preprocess(
        resize, crop, record["interpolation"], tuple(record["mean"]), tuple(record["std"])
    )
