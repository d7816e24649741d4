"""`timm:NAME` and `hf-hub:OWNER/MODEL`: networks of timm, strictly loaded.

With timm's, or the repository's, own record of the preprocessing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cog.errors import CogError, unknown_name
from cog.images.preprocess import Preprocess
from cog.models.initialisation import seeded
from cog.models.model import Model
from cog.models.seen_data import seen_data_of_tag
from cog.models.weights.checkpoints import fill
from cog.models.weights.download import fetch, hash_prefix
from cog.models.weights.hub import hub_file
from cog.models.weights.reading import read_safely

HUB_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""what timm calls the weights in its repositories"""


def from_timm(
    name: str, weights: Path | None, pretrained: bool, notify: Callable[[str], None]
) -> Model:
    """A network of timm without its classifier, with timm's preprocessing (train-time size).

    Raises:
        CogError: unknown name, weights that do not fit, no download.
    """
    _check_timm_name(name)
    known = weights is None or "." in name  # without a tag a local file may be of any training
    if pretrained and weights is None:
        weights = _published_file(name)
    model = _load(name, f"timm:{name}", weights, notify)
    if pretrained and known:
        model.seen_data = seen_data_of_tag(_published_record(name).tag or "")
    return model


def from_hf_hub(
    name: str, weights: Path | None, pretrained: bool, notify: Callable[[str], None]
) -> Model:
    """A network that was published in timm's layout: a `config.json` and the weights beside it.

    `name`: `OWNER/MODEL` or `OWNER/MODEL@REVISION` on the Hugging Face hub, or the path of a
    folder that starts with `.`, `~` or `/`. The preprocessing is the one that `config.json` records
    (train-time size).

    Raises:
        CogError: no such repository, one of another layout, weights that do not fit, no download.
    """
    if name.startswith((".", "~", "/")):
        folder = Path(name).expanduser()
        spec, found = f"local-dir:{folder}", _files_in(folder)
    else:
        repository, revision = _repository(name)
        spec, found = f"hf-hub:{name}", _files_on_hub(repository, revision)
    record = _read_record(found(("config.json",)), f"hf-hub:{name}")
    if weights is not None or not pretrained:
        return _load(spec, f"hf-hub:{name}", weights, notify)
    details = record.get("pretrained_cfg", record)
    own_name = details.get("hf_hub_filename")
    weights = found((own_name,) if own_name else HUB_WEIGHTS)
    model = _load(spec, f"hf-hub:{name}", weights, notify)
    model.seen_data = seen_data_of_tag(details.get("tag") or "")
    return model


def _load(spec: str, name: str, weights: Path | None, notify: Callable[[str], None]) -> Model:
    """What timm makes of `spec`, filled from `weights`, or untrained without.

    timm stops checking what it loads when the number of classes is not the checkpoint's: the
    network is made with the checkpoint's own classes, and its classifier taken off afterwards.
    The file goes through timm's own renaming, in the layout that timm publishes or converts.
    """
    import timm

    overlay: dict[str, Any] = {}
    if weights is not None:
        read_safely(weights)  # timm reads it again: here content that would run code is refused
        overlay = {"file": str(weights), "source": "", "custom_load": False}
    with seeded(), strict_loading(str(weights), notify):
        try:
            network = timm.create_model(
                spec, pretrained=weights is not None, pretrained_cfg_overlay=overlay or None
            )
        except CogError:
            raise
        except Exception as error:  # renaming, shapes: each part of timm has its own kinds
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            what = "make" if weights is None else f"load {weights} into"
            raise CogError(
                f"timm cannot {what} {name} ({reason})",
                "give --weights the file that timm, or the model's authors, publish",
            ) from error
    if hasattr(network, "reset_classifier"):
        reset: Any = network.reset_classifier
        reset(0)
    model = Model(network, preprocess=_timm_preprocess(network), name=name)
    _ = model.dim  # refuse now a network that gives no one vector an image
    return model


@contextmanager
def strict_loading(where: str, notify: Callable[[str], None]) -> Iterator[None]:
    """Within it, every network that is filled from a state dict is filled strictly.

    timm fills its networks deep inside, after its own renaming, and this is the one place where
    that can be checked. A few families timm itself fills loosely: there, tensors that the network
    has no use for are told to `notify`, and absent ones must be constant (a norm's 1 and 0).
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
            notify(f"{misfit.error(where).what} (timm allows it for this family)")
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


def _published_record(name: str) -> Any:
    from timm.models import get_pretrained_cfg

    return get_pretrained_cfg(name)


def _published_file(name: str) -> Path:
    """The weights that timm publishes under a name, downloaded if they are not there yet."""
    record = _published_record(name)
    if not (record and record.has_weights):
        raise CogError(
            f"timm publishes no weights for {name}", "give --weights FILE or --no-pretrained"
        )
    if not record.hf_hub_id:
        return fetch([record.url], sha256=hash_prefix(record.url))
    own_name = record.hf_hub_filename
    repository, _, revision = record.hf_hub_id.partition("@")
    return hub_file(repository, (own_name,) if own_name else HUB_WEIGHTS, revision or None)


def _repository(name: str) -> tuple[str, str | None]:
    """Repository and revision of `OWNER/MODEL[@REVISION]`."""
    found = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", name)
    if not found:
        raise CogError(
            f"expected OWNER/MODEL or OWNER/MODEL@REVISION of the Hugging Face hub, found {name!r}",
            "write it like hf-hub:timm/resnet18.a1_in1k, or hf-hub:./FOLDER for a local folder",
        )
    return found[1], found[2]


def _files_on_hub(repository: str, revision: str | None) -> Callable[[tuple[str, ...]], Path]:
    return lambda names: hub_file(repository, names, revision)


def _files_in(folder: Path) -> Callable[[tuple[str, ...]], Path]:
    def _find(names: tuple[str, ...]) -> Path:
        for name in names:
            if (folder / name).is_file():
                return folder / name
        raise CogError(
            f"{folder} holds no {' or '.join(names)}",
            "give the path of a folder in timm's layout, such as hf-hub:./FOLDER",
        )

    return _find


def _read_record(path: Path, name: str) -> dict[str, Any]:
    """What config.json says, if it is one of timm with an architecture that this timm has."""
    import timm

    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CogError(f"{path} is not JSON ({error})", "fetch it again") from error
    if not isinstance(record, dict) or not isinstance(record.get("architecture"), str):
        kind = record.get("model_type") if isinstance(record, dict) else None
        found = f"one of transformers ({kind})" if kind else "none"
        raise CogError(
            f"{name}: expected a config.json that names an architecture of timm, and found {found}",
            "give one of https://huggingface.co/models?library=timm, "
            "or load it in a file of your own and give --model file.py:function",
        )
    if not timm.is_model(record["architecture"]):
        raise CogError(
            f"timm {timm.__version__} has no {record['architecture']}, which {name} is",
            "pip install --upgrade timm",
        )
    return record


def _timm_preprocess(network: nn.Module) -> Preprocess:
    from timm.data.config import resolve_model_data_config

    record: dict[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    channels, height, width = record["input_size"]
    mode = record["crop_mode"]
    if channels != 3 or (height != width and mode != "squash") or mode not in ("center", "squash"):
        raise CogError(
            f"timm prepares images for it as {channels} × {height} × {width}, crop mode {mode}, "
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
