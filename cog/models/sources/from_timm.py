"""`timm:NAME`: a network of timm, loaded strictly, with timm's own preprocessing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import timm
from timm.data.config import resolve_model_data_config
from timm.models import get_pretrained_cfg

from cog.errors import CogError, unknown_name
from cog.images.preprocess import Preprocess
from cog.models.initialisation import seeded
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.models.seen_data import seen_data_of_tag
from cog.models.sources.from_file import OWN_FILE
from cog.models.sources.table import PublishedWeights
from cog.models.weights.checkpoints import misfit_error
from cog.models.weights.download import cached_of, fetch
from cog.models.weights.hub import hub_cached, hub_file, hub_page
from cog.models.weights.timm_rules import TRAINED_OPTIONS, load_timm_file
from cog.progress import Notify

HUB_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""timm's names for the weights in its repositories"""


def load(name: str, options: LoadOptions, notify: Notify) -> Model:
    """A network of timm without its classifier; images have the size of its training.

    Raises:
        CogError: an unknown name, weights that do not fit, no connection.
    """
    _check_name(name)
    record: Any = get_pretrained_cfg(name)
    weights = options.weights
    known = weights is None or "." in name  # without a tag, a local file may be of any training
    if options.pretrained and weights is None:
        weights = _published_file(name, record)
    model = load_from_timm(name, f"timm:{name}", weights, notify, options.weights_key)
    if options.pretrained and known:
        model.seen_data = seen_data_of_tag(record.tag or "")
    return model


def published(name: str) -> PublishedWeights:
    """The weights that timm publishes under a name."""
    _check_name(name)
    record: Any = get_pretrained_cfg(name)
    if not (record and record.has_weights):
        return PublishedWeights("none: give --weights FILE or --no-pretrained", downloaded=False)
    seen_data = seen_data_of_tag(record.tag or "")
    if not record.hf_hub_id:
        return PublishedWeights(record.url, cached_of(record.url), seen_data=seen_data)
    files = _on_hub(record)
    return PublishedWeights(hub_page(files[0], files[2]), hub_cached(*files), seen_data=seen_data)


def _on_hub(record: Any) -> tuple[str, tuple[str, ...], str | None]:
    """The repository of timm's record, the names of its weights, and the revision."""
    own_name = record.hf_hub_filename
    repository, _, revision = record.hf_hub_id.partition("@")
    return repository, (own_name,) if own_name else HUB_WEIGHTS, revision or None


def load_from_timm(
    spec: str, name: str, weights: Path | None, notify: Notify, key: str | None = None
) -> Model:
    """The network that timm calls `spec`, filled from `weights`; untrained without them.

    It is made with the classes of the weights, so that all tensors of the file must fit; then its
    classifier is removed. The file has a layout that timm publishes or converts.

    Raises:
        CogError: timm cannot make it, the weights do not fit, or it does not give one vector per
            image.
    """
    untrained: set[str] = set()
    made_with: dict[str, Any] = TRAINED_OPTIONS.get(spec.partition(".")[0], {}) if weights else {}
    try:
        with seeded():
            network: Any = timm.create_model(spec, pretrained=False, **made_with)
        if weights is not None:
            untrained = load_timm_file(network, weights, notify, key)
    except CogError:
        raise
    except Exception as error:  # each family of timm raises its own classes
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        what = "make" if weights is None else f"load {weights} into"
        raise CogError(
            f"timm cannot {what} {name} ({reason})",
            "give --weights the file that timm or the model's authors publish",
        ) from error
    if hasattr(network, "reset_classifier"):
        network.reset_classifier(0)
    if left := sorted(untrained & set(network.state_dict())):  # parts that features need after all
        raise misfit_error({"missing": left}, str(weights))
    preprocess, feature = _recorded_preprocess(network, name), feature_in_words(network)
    model = Model(network, preprocess=preprocess, name=name, feature=feature)
    _ = model.dim  # a network that does not give one vector an image is refused here
    return model


def _check_name(name: str) -> None:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise unknown_name("timm model", architecture, timm.list_models())
    tags = timm.list_models(f"{architecture}.*", pretrained=True)
    if tag and name not in tags:
        raise unknown_name("timm model", name, tags or timm.list_models(pretrained=True))


def _published_file(name: str, record: Any) -> Path:
    """The weights that timm publishes under a name, downloaded if they are not there yet."""
    if not (record and record.has_weights):
        raise CogError(
            f"timm publishes no weights for {name}", "give --weights FILE or --no-pretrained"
        )
    if not record.hf_hub_id:
        return fetch([record.url])
    return hub_file(*_on_hub(record))


def feature_in_words(network: Any) -> str:
    """What timm's classifier takes: tokens, or how they or a map are pooled."""
    head = getattr(network, "head", None)
    pool = getattr(network, "global_pool", getattr(head, "global_pool", ""))
    pool = pool if isinstance(pool, str) else getattr(pool, "pool_type", "")
    tokens = hasattr(network, "num_prefix_tokens")
    words = {
        "token": "class token",
        "avg": "mean of the patches" if tokens else "global average pool",
        "map": "attention pool",
    }
    return words.get(pool, pool) or "input of timm's classifier"


def _recorded_preprocess(network: Any, name: str) -> Preprocess:
    """The preprocessing in timm's record of a network, which may be a stranger's config.json."""
    try:
        return _preprocess(network)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CogError(
            f"{name}: its record of how images are prepared cannot be used "
            f"({type(error).__name__}: {str(error)[:200]})",
            f"mend its config.json, or {OWN_FILE}",
        ) from error


def _preprocess(network: Any) -> Preprocess:
    record: dict[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    channels, height, width = record["input_size"]
    mode = str(record["crop_mode"])[:40]
    if not all(type(side) is int for side in (channels, height, width)):
        raise TypeError("its input_size are no whole numbers")
    if channels != 3 or (height != width and mode != "squash") or mode not in ("center", "squash"):
        raise CogError(
            f"timm prepares images for it as {channels} × {height} × {width}, crop mode {mode}, "
            "which is not a square centre crop",
            OWN_FILE,
        )
    rest = (record["interpolation"], tuple(record["mean"]), tuple(record["std"]))
    short, other = (math.floor(side / record["crop_pct"]) for side in (height, width))
    if mode == "center":
        return Preprocess(short, height, *rest)
    return Preprocess((short, other), None if (short, other) == (height, width) else height, *rest)
