"""`hf-hub:OWNER/MODEL`: a network in timm's layout, `config.json` and weights.

`hf-hub:./FOLDER` reads the same layout from a local folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm

from cog.errors import CogError
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.models.seen_data import seen_data_of_tag
from cog.models.sources.from_file import OWN_FILE
from cog.models.sources.from_timm import HUB_WEIGHTS, load_from_timm
from cog.models.sources.table import PublishedWeights
from cog.models.weights.download import NotHere
from cog.models.weights.hub import folder_or_repository, hub_cached, hub_file, hub_page
from cog.progress import Notify
from cog.small_files import read_json


def load(name: str, options: LoadOptions, notify: Notify) -> Model:
    """The network of a `config.json`, with the weights beside it, without its classifier.

    `name`: `OWNER/MODEL` or `OWNER/MODEL@REVISION` on the Hugging Face hub, or the path of a
    folder, with `.`, `~` or `/` at its start. The preprocessing is that of `config.json`, for the
    size of images in training.

    Raises:
        CogError: no such repository, another layout, weights that do not fit, no connection.
    """
    origin = _origin(name)
    details = _details(origin, name, options.download)
    weights, is_published = options.weights, options.pretrained and options.weights is None
    if is_published:
        weights = _file(origin, _weights_of(details))
    spec = f"local-dir:{origin}" if isinstance(origin, Path) else f"hf-hub:{name}"
    model = load_from_timm(spec, f"hf-hub:{name}", weights, notify, options.weights_key)
    if is_published:
        model.seen_data = seen_data_of_tag(details.get("tag") or "")
    return model


def published(name: str) -> PublishedWeights:
    """The weights of a repository or a folder."""
    origin = _origin(name)
    try:
        details = _details(origin, name, download=False)
    except NotHere:
        details = {}
    names, seen_data = _weights_of(details), seen_data_of_tag(details.get("tag") or "")
    if isinstance(origin, Path):
        return PublishedWeights(str(origin), _file(origin, names), seen_data=seen_data)
    repository, revision = origin
    here = hub_cached(repository, names, revision)
    return PublishedWeights(hub_page(repository, revision), here, seen_data=seen_data)


Origin = Path | tuple[str, str | None]
"""a local folder, or a repository of the hub and its revision"""


def _origin(name: str) -> Origin:
    return folder_or_repository(name, "hf-hub:", "timm/resnet18.a1_in1k")


def _details(origin: Origin, name: str, download: bool) -> dict[str, Any]:
    """timm's record in config.json."""
    record = _read_record(_file(origin, ("config.json",), download), f"hf-hub:{name}")
    details = record.get("pretrained_cfg", record)
    if not isinstance(details, dict) or not all(
        isinstance(details.get(key) or "", str) for key in ("hf_hub_filename", "tag")
    ):
        raise CogError(
            f"hf-hub:{name}: expected a record of timm as pretrained_cfg in its config.json",
            "mend its config.json, or download it again",
        )
    return details


def _weights_of(details: dict[str, Any]) -> tuple[str, ...]:
    own_name = details.get("hf_hub_filename")
    return (own_name,) if own_name else HUB_WEIGHTS


def _file(origin: Origin, names: tuple[str, ...], download: bool = True) -> Path:
    """The first of `names` in a folder or a repository."""
    if not isinstance(origin, Path):
        return hub_file(origin[0], names, revision=origin[1], download=download)
    for name in names:
        if (origin / name).is_file():
            return origin / name
    raise CogError(
        f"{origin} has no {' or '.join(names)}",
        "give the path of a folder in timm's layout, such as hf-hub:./FOLDER",
    )


def _read_record(path: Path, name: str) -> dict[str, Any]:
    """The content of config.json, if it names an architecture that this timm has."""
    try:
        record = read_json(path)
    except ValueError as error:
        raise CogError(f"{path} is not JSON ({error})", "download it again") from error
    if not isinstance(record, dict) or not isinstance(record.get("architecture"), str):
        kind = record.get("model_type") if isinstance(record, dict) else None
        found = f"one of transformers ({kind})" if kind else "none"
        other = f"write hf:{name.partition(':')[2]}, the form for transformers' layout; or "
        raise CogError(
            f"{name}: expected a config.json that names an architecture of timm, found {found}",
            other * bool(kind)
            + f"give one of https://huggingface.co/models?library=timm, or {OWN_FILE}",
        )
    if not timm.is_model(record["architecture"]):
        raise CogError(
            f"timm {timm.__version__} has no {record['architecture']}, the architecture of {name}",
            "pip install --upgrade timm",
        )
    return record
