"""One function for each form of a model's name; each gives a `Model` on the CPU.

Whatever is drawn at random while a network is made comes from a fixed seed of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torchvision
from torch import nn

from cog.errors import CogError, unknown_name
from cog.models.checkpoints import load_strictly, read_checkpoint, sha256_of
from cog.models.download import fetch, hash_prefix
from cog.models.model import Model
from cog.models.plugin import from_file
from cog.models.renames import RENAMES, drop_tensors
from cog.models.timm_source import from_timm
from cog.models.untrained import seeded
from cog.models.zoo import ZooRow, find_row
from cog.transforms import Preprocess

Notice = Callable[[str], None]


def load(spec: str, weights: Path | None, pretrained: bool, notice: Notice) -> Model:
    """The model that `spec` names, by the function for its form."""
    kind, _, name = spec.partition(":")
    file, colon, function = spec.rpartition(":")
    if file.endswith(".py") or spec.endswith(".py"):
        if not colon or spec.endswith(".py"):
            raise CogError(f"{spec!r} names no function", f"write {spec}:load")
        return from_file(Path(file), function, weights, pretrained)
    if kind == "timm":
        return from_timm(name, weights, pretrained, notice)
    if kind == "torchvision":
        return from_torchvision(name, weights, pretrained)
    row = find_row(spec, _with_prefix(spec))
    if row.name != spec:
        notice(f"{spec} means {row.name}")
    return from_zoo(row, weights, pretrained, notice)


def _with_prefix(name: str) -> Iterator[str]:
    """The forms under which a library knows `name`; timm loads only when the table does not."""
    if name.lower() in torchvision.models.list_models(module=torchvision.models):
        yield f"torchvision:{name}"
    import timm

    if timm.is_model(name):
        yield f"timm:{name}"


def from_zoo(row: ZooRow, weights: Path | None, pretrained: bool, notice: Notice) -> Model:
    """A model of the benchmark, from the file that its authors published."""
    with seeded():
        network = _torchvision_network(row.architecture.removeprefix("torchvision:"))
    if not row.head_in_file:
        network.set_submodule(row.head, nn.Identity())
    if pretrained:
        path = weights or fetch(row.url, row.file, row.sha256)
        tensors = read_checkpoint(path, row.nested)
        if weights and row.sha256 and not sha256_of(path).startswith(row.sha256):
            notice(f"{path} is not, byte for byte, the published file of {row.name}")
        if row.rename:
            tensors = RENAMES[row.rename](tensors)
        load_strictly(network, drop_tensors(tensors, row.drop), str(path))
    if row.head_in_file:
        network.set_submodule(row.head, nn.Identity())
    preprocess = Preprocess(row.resize, row.crop, row.interpolation, row.mean, row.std)
    return _with_dim(Model(network, preprocess=preprocess, name=row.name), row.dim)


def from_torchvision(name: str, weights: Path | None, pretrained: bool) -> Model:
    """A classification network of torchvision without its classifier: `resnet50@IMAGENET1K_V1`.

    Without a tag the library's default weights are meant. Preprocessing as the weights record it.

    Raises:
        CogError: unknown name or tag; a network for another task; weights that do not fit.
    """
    architecture, _, tag = name.lower().partition("@")
    published = _torchvision_weights(architecture, tag.upper())
    with seeded():
        network = _torchvision_network(architecture, published)
    if pretrained:
        path = weights or fetch(published.url, sha256=hash_prefix(published.url))
        tensors = read_checkpoint(path)
        if architecture.startswith("densenet"):
            tensors = RENAMES["densenet_layers"](tensors)
        load_strictly(network, tensors, str(path))
    n_classes = len(published.meta["categories"])
    dim = drop_classifier(network, n_classes)
    record = published.transforms()
    preprocess = Preprocess(
        record.resize_size[0],
        record.crop_size[0],
        record.interpolation.value,
        tuple(record.mean),
        tuple(record.std),
    )
    return _with_dim(Model(network, preprocess=preprocess, name=f"torchvision:{name}"), dim)


def _with_dim(model: Model, dim: int) -> Model:
    """The model, if a forward pass gives features of the size that is expected."""
    if model.dim != dim:
        raise CogError(
            f"{model.name}: expected {dim} numbers a picture, and found {model.dim}",
            "load it in a file of your own and give --model file.py:function",
        )
    return model


def drop_classifier(network: nn.Module, n_classes: int) -> int:
    """Put the identity in place of the network's last layer with weights; its input size.

    That layer is linear, or a convolution over the final map (SqueezeNet).

    Raises:
        CogError: the last such layer has not `n_classes` outputs.
    """
    layers = [
        (name, part)
        for name, part in network.named_modules()
        if isinstance(part, nn.Linear | nn.Conv2d)
    ]
    if layers:
        name, last = layers[-1]
        outputs = last.out_features if isinstance(last, nn.Linear) else last.out_channels
        inputs = last.in_features if isinstance(last, nn.Linear) else last.in_channels
        if outputs == n_classes:
            network.set_submodule(name, nn.Identity())
            return inputs
    raise CogError(
        f"{type(network).__name__} does not end in a layer with {n_classes} outputs",
        "load it in a file of your own and give --model file.py:function",
    )


def _torchvision_weights(architecture: str, tag: str) -> Any:
    models = torchvision.models
    known = models.list_models(module=models)
    if architecture not in known:
        if architecture in models.list_models():
            raise CogError(
                f"torchvision:{architecture} detects, segments, reads video or is quantized",
                "give the name of a classification network, such as torchvision:resnet50",
            )
        raise unknown_name("torchvision model", architecture, known)
    published = models.get_model_weights(architecture)
    tags = [entry.name for entry in published]
    if tag and tag not in tags:
        raise unknown_name(f"weights of torchvision:{architecture}", tag, tags)
    return published[tag] if tag else published.DEFAULT


def _torchvision_network(architecture: str, published: Any = None) -> nn.Module:
    options: dict[str, Any] = {}
    if architecture in ("inception_v3", "googlenet"):
        # as the published files want it: they hold the side branches, and rescale their input
        options = {"aux_logits": True, "transform_input": True, "init_weights": True}
    if architecture.startswith("vit_") and published is not None:
        options = {"image_size": published.transforms().crop_size[0]}
    network: nn.Module = torchvision.models.get_model(architecture, weights=None, **options)
    return network
