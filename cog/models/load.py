"""A model by its name, in any form: `load_model` for people, `load` for the rest of the program."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch

from cog.errors import CogError
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.models.pooling import pooled
from cog.models.sources.from_zoo import from_zoo
from cog.models.sources.table import find_form
from cog.progress import Notify
from cog.storage import safe_name


def load_model(
    spec: str,
    *,
    weights: str | Path | None = None,
    weights_key: str | None = None,
    pretrained: bool = True,
    pool: str | None = None,
    official_quirks: bool = False,
    trust_checkpoint: bool = False,
    name: str | None = None,
    device: str | torch.device = "cpu",
    notify: Notify | None = None,
) -> Model:
    """Load the network that `spec` names, frozen, with its preprocessing.

    Args:
        spec: a name of `cog models list`, or one of the forms that its help shows.
        weights: a local file in the layout that the authors publish; nothing is downloaded.
        weights_key: which of a checkpoint's sets of weights: its entry, and with dots whatever else
            stands before the names of tensors, such as `model_ema` or `teacher.backbone`. By
            default the one that the layout means; the key joins the model's name.
        pretrained: False gives the network untrained, with the same random numbers in every
            process. The global random state is neither used nor changed.
        pool: which tokens of a transformer make the feature, instead of the model's own choice:
            `cls`, `avg` or `cls+avg`; `last4:cls` takes them from the last four layers; `pooler`,
            of `hf:` alone, is what the network itself makes of them.
        official_quirks: repeat the mistakes of the benchmark's published code.
        trust_checkpoint: read weights that are a program, provided that the file has the sha256
            of the table; run the code of a torch hub, or of `hf:` at a full commit; and read
            pickled tensors of `hf:`.
        name: of the model run; by default the model's own.
        device: where the network goes.
        notify: takes messages for the user; by default the logger `cog` at level INFO.

    Raises:
        CogError: unknown name, wrong or unreadable weights, no network connection, a failure in
            the user's own file.
    """
    options = LoadOptions(
        weights=None if weights is None else Path(weights),
        weights_key=weights_key,
        pretrained=pretrained,
        pool=pool,
        official_quirks=official_quirks,
        trust_checkpoint=trust_checkpoint,
    )
    return load(spec, options, name=name, device=device, notify=notify)


def load(
    spec: str,
    options: LoadOptions,
    *,
    name: str | None = None,
    device: str | torch.device = "cpu",
    notify: Notify | None = None,
) -> Model:
    """Do what `load_model` says, with its options in one value."""
    notify = notify or logging.getLogger("cog").info
    form, written = find_form(spec)
    if form is None:  # a name of the table, where pool and quirks belong to the row
        model = from_zoo(spec, options, notify)
    elif options.official_quirks:
        raise CogError(
            f"{spec} is not a model of the benchmark, so its published code has no quirks for it",
            "leave out --official-quirks",
        )
    else:
        model = form.load(written, options, notify)
        if options.pool and not form.pools:
            network = pooled(model.network, options.pool)
            pool = options.pool
            model = replace(model, network=network, name=f"{model.name}-{pool}", feature=pool)
            _ = model.dim  # a network that does not give one vector an image is refused here
    if name or options.weights_key:
        model.name = safe_name(name or f"{model.name}-{options.weights_key}")
    return model.to(device)
