"""`open_clip:MODEL/TAG`: the image tower of a network of open_clip, with its preprocessing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cog.errors import CogError, unknown_name
from cog.images.preprocess import Preprocess
from cog.models.initialisation import seeded
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.models.seen_data import seen_data_of_tag
from cog.models.sources.from_file import OWN_FILE
from cog.models.sources.table import PublishedWeights
from cog.models.weights.download import cached_of, fetch
from cog.models.weights.hub import hub_cached, hub_file, hub_page
from cog.models.weights.loading import load_file
from cog.models.weights.renames import StateDict, strip_prefix
from cog.progress import Notify

HUB_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def load(name: str, options: LoadOptions, notify: Notify) -> Model:
    """The image embedding of open_clip's `encode_image`: projected, not normalised to length 1.

    `name`: `MODEL/TAG`, or `MODEL` with local weights or untrained. The record of the tag decides
    the preprocessing and the activation; open_clip itself only warns if MODEL and TAG disagree
    about QuickGELU. The whole file is loaded strictly; then the text tower is dropped.

    Raises:
        CogError: open_clip is not installed, an unknown model or tag, weights that do not fit, no
            connection, or images padded to a square, which `Preprocess` does not do.
    """
    open_clip = _import_open_clip()
    architecture, _, tag = name.partition("/")
    record = _record(open_clip, architecture, tag)
    weights = options.weights
    if options.pretrained and weights is None:
        weights = _published_file(open_clip, architecture, record)
    network = _network(open_clip, architecture, record, options.download)
    if weights is not None:
        load_file(
            network, weights, "state_dict|", lambda tensors, _: _renamed(network, tensors),
            key=options.weights_key, notify=notify,
        )  # fmt: skip
    if not tag:
        notify(f"without a tag: preprocessing and activation are open_clip's for {architecture}")
    if record.get("quick_gelu") and not open_clip.get_model_config(architecture).get("quick_gelu"):
        notify(f"the activation is QuickGELU, as recorded for {tag}")
    visual: Any = network.visual
    if getattr(visual, "output_tokens", False):  # CoCa: tokens for its decoder of captions
        visual.output_tokens = False
    model = Model(
        visual,
        preprocess=_preprocess(visual.preprocess_cfg),
        name=f"open_clip:{name}",
        seen_data=seen_data_of_tag(tag) if options.pretrained else "",
        feature="image embedding: projected, not normalised",
    )
    _ = model.dim  # a tower that does not give one vector an image is refused here
    return model


def published(name: str) -> PublishedWeights:
    """The weights of a tag of open_clip."""
    open_clip = _import_open_clip()
    architecture, _, tag = name.partition("/")
    record = _record(open_clip, architecture, tag)
    if not record:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        return PublishedWeights(
            f"none without a tag; its tags: {', '.join(tags) or 'none'}", downloaded=False
        )
    seen_data = seen_data_of_tag(tag)
    if not record["hf_hub"]:
        return PublishedWeights(record["url"], cached_of(record["url"]), seen_data=seen_data)
    files = _on_hub(record)
    return PublishedWeights(hub_page(files[0]), hub_cached(*files), seen_data=seen_data)


def _on_hub(record: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The repository of open_clip's record, and the names of its weights."""
    repository, _, file = record["hf_hub"].rpartition("/")
    return repository, (f"{Path(file).stem}.safetensors", file) if file else HUB_WEIGHTS


def _import_open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise CogError(
            f"open_clip is not installed ({error})", "pip install 'imagenet-cog[open_clip]'"
        ) from error
    return open_clip


def _record(open_clip: Any, architecture: str, tag: str) -> dict[str, Any]:
    """open_clip's record of a tag's weights; empty without a tag."""
    known = open_clip.list_models()
    if architecture not in known:
        raise unknown_name("open_clip model", architecture, known)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag and tag not in tags:
        raise unknown_name(f"weights of open_clip:{architecture}", tag, tags)
    return dict(open_clip.get_pretrained_cfg(architecture, tag)) if tag else {}


def _published_file(open_clip: Any, architecture: str, record: dict[str, Any]) -> Path:
    """The weights of a tag, downloaded if they are not there yet."""
    if not record:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        raise CogError(
            f"open_clip:{architecture} names no weights; its tags: {', '.join(tags) or 'none'}",
            f"write open_clip:{architecture}/{tags[0]}, or give --weights FILE"
            if tags
            else "give --weights FILE",
        )
    if not record["hf_hub"]:
        return fetch([record["url"]])
    return hub_file(*_on_hub(record))


def _network(
    open_clip: Any, architecture: str, record: dict[str, Any], download: bool
) -> nn.Module:
    """Both towers, untrained; the image tower has the preprocessing of `record`."""
    text = open_clip.get_model_config(architecture)["text_cfg"].get("hf_model_name")
    if text:  # of transformers: its size is read from the hub, so fail early without one
        hub_file(text, ("config.json",), download=download)
    with seeded(), _quiet():
        try:
            network: nn.Module = open_clip.create_model(
                architecture,
                pretrained_text=False,  # else a text model is downloaded for nothing
                force_quick_gelu=record.get("quick_gelu", False),
                force_preprocess_cfg=record,
            )
        except Exception as error:  # some text towers need transformers
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise CogError(
                f"open_clip cannot make {architecture} ({reason})",
                "pip install --upgrade open_clip_torch timm transformers",
            ) from error
    return network


@contextmanager
def _quiet() -> Iterator[None]:
    """Within it, nothing is logged: open_clip would configure the root logger for everyone."""
    root = logging.getLogger()
    handler, disabled = logging.NullHandler(), root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
        root.removeHandler(handler)


def _renamed(network: nn.Module, given: StateDict) -> dict[str, Tensor]:
    """The tensors of a file by the names of `network`, from any layout that open_clip reads.

    They may have the prefix of parallel training, the older names of
    text towers, or Apple's names of MobileCLIP. Nothing is resized.
    """
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    tensors: Any = strip_prefix(given, ("module.", ""))
    tensors = convert_state_dict(network, tensors)
    if hasattr(network, "text"):
        tensors = convert_to_custom_text_state_dict(tensors)
    wanted = network.state_dict()
    ids = "text.transformer.embeddings.position_ids"  # saved by transformers below 4.31
    if ids not in wanted:
        tensors.pop(ids, None)
    for name in ("logit_scale", "logit_bias"):  # one number, of shape [] or [1]
        if name in tensors and name in wanted and tensors[name].numel() == wanted[name].numel():
            tensors[name] = tensors[name].reshape(wanted[name].shape)
    return dict(tensors)


def _preprocess(record: dict[str, Any]) -> Preprocess:
    size = record["size"]
    height, width = (size, size) if isinstance(size, int) else size
    mode = record["resize_mode"]
    rest = (record["interpolation"], tuple(record["mean"]), tuple(record["std"]))
    if mode == "squash":
        return Preprocess((height, width), None, *rest)
    if mode != "shortest" or height != width:
        raise CogError(
            f"open_clip prepares images for it as {height} × {width}, resize mode {mode}, "
            "which is neither a square centre crop nor a resize to height × width",
            OWN_FILE,
        )
    return Preprocess(height, height, *rest)
