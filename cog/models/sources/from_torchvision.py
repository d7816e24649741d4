"""`torchvision:NAME[@WEIGHTS]`: a network of torchvision with the record of its preprocessing."""

from __future__ import annotations

from typing import Any

import torchvision
from torch import nn

from cog.errors import CogError, unknown_name
from cog.images.preprocess import Preprocess
from cog.models.initialisation import seeded
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.models.seen_data import seen_data_of_tag
from cog.models.sources.from_file import OWN_FILE
from cog.models.sources.table import PublishedWeights
from cog.models.weights.download import cached_of, fetch
from cog.models.weights.loading import load_file
from cog.models.weights.published_names import DENSENET
from cog.models.weights.renames import renamed
from cog.progress import Notify

RESCALED = {"aux_logits": True, "transform_input": True, "init_weights": True}
"""inception_v3 and googlenet as published: with auxiliary classifiers, and rescaling their input"""


def load(name: str, options: LoadOptions, notify: Notify) -> Model:
    """A classification network of torchvision without its classifier: `resnet50@IMAGENET1K_V1`.

    Without a tag these are the library's default weights. The record of the weights gives the
    preprocessing.

    Raises:
        CogError: an unknown name or tag, a network for another task, or weights that do not fit.
    """
    architecture, _, tag = name.lower().partition("@")
    entry = _torchvision_weights(architecture, tag.upper())
    with seeded():
        of_file = _published_options(architecture, entry)
        network = torchvision.models.get_model(architecture, weights=None, **of_file)
    if options.pretrained:
        path = options.weights or fetch([entry.url])
        load_file(
            network, path, "", lambda tensors, _: renamed(tensors, DENSENET),
            key=options.weights_key, notify=notify,
        )  # fmt: skip
    dim = drop_classifier(network, len(entry.meta["categories"]))
    record = entry.transforms()
    preprocess = Preprocess(
        record.resize_size[0],
        record.crop_size[0],
        record.interpolation.value,
        tuple(record.mean),
        tuple(record.std),
    )
    model = Model(
        network,
        preprocess=preprocess,
        name=f"torchvision:{name}",
        seen_data=seen_data_of_tag(entry.name) if options.pretrained else "",
        feature="input of the last layer",
    )
    if model.dim != dim:
        raise CogError(
            f"{model.name}: expected features of {dim} numbers, found {model.dim}", OWN_FILE
        )
    return model


def published(name: str) -> PublishedWeights:
    """The weights of torchvision that a name means."""
    architecture, _, tag = name.lower().partition("@")
    entry = _torchvision_weights(architecture, tag.upper())
    where, seen_data = f"{entry.name}, {entry.url}", seen_data_of_tag(entry.name)
    return PublishedWeights(where, cached_of(entry.url), seen_data=seen_data)


def drop_classifier(network: nn.Module, n_classes: int) -> int:
    """Replace the network's last layer with weights by the identity, and return its input size.

    That layer is linear, or a convolution over the final map (SqueezeNet).

    Raises:
        CogError: the last such layer does not have `n_classes` outputs.
    """
    for name, part in reversed(list(network.named_modules())):
        if isinstance(part, nn.Linear | nn.Conv2d):
            outputs, inputs = part.weight.shape[:2]
            if outputs != n_classes:
                break
            network.set_submodule(name, nn.Identity())
            return inputs * getattr(part, "groups", 1)
    raise CogError(
        f"{type(network).__name__} does not end in a layer with {n_classes} outputs", OWN_FILE
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


def _published_options(architecture: str, published: Any) -> dict[str, Any]:
    """The options with which a network fits its published file."""
    if architecture in ("inception_v3", "googlenet"):
        return RESCALED
    if architecture.startswith("vit_"):
        return {"image_size": published.transforms().crop_size[0]}
    return {}
