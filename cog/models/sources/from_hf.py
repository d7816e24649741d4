"""`hf:OWNER/MODEL`, `hf:./FOLDER`: a network in transformers' layout, with its image processor."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cog.errors import CogError
from cog.models.hf.families import in_words, own_pool, require_pool, with_feature
from cog.models.hf.files import (
    CONFIG,
    SAFE,
    find_source,
    processor_record,
    read_record,
    read_tensors,
)
from cog.models.hf.network import (
    class_of,
    code_of,
    config_of,
    make_network,
    read_config,
)
from cog.models.hf.preprocessing import preprocess_of
from cog.models.hf.remote import has_code, run_code
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.models.sources.table import PublishedWeights
from cog.models.weights.hub import hub_cached, hub_page
from cog.models.weights.loading import what_to_type
from cog.models.weights.reading import read_safely
from cog.models.weights.renames import StateDict
from cog.progress import Notify

OLDEST = (4, 57)
"""the oldest version of transformers with which the tests of hf: were run"""


def load(name: str, options: LoadOptions, notify: Notify) -> Model:
    """The network that a config.json of transformers records, with the weights beside it.

    `name`: `OWNER/MODEL` or `OWNER/MODEL@REVISION` on the Hugging Face hub, or the path of a
    folder, with `.`, `~` or `/` at its start. Of a network with two towers only that of images is
    loaded. The preprocessing is that of preprocessor_config.json. The feature is the family's (see
    hf/families.py), or that of `options.pool`.

    Raises:
        CogError: transformers is not installed; no such repository, another layout, a program;
            weights or settings that cannot be honoured; no connection.
    """
    _require_transformers()
    source = find_source(name, options.download)
    file, revision = source.find(CONFIG), source.revision
    source, record, code = source.at_commit(file), read_record(file), ""
    if has_code(record):
        made_by, network_class, code = run_code(record, source, revision, options.trust_checkpoint)
        config = read_config(made_by, record, source.name)
    else:
        config = config_of(record, source.name)
        network_class = class_of(config)
    pool = options.pool or own_pool(config)
    require_pool(config, pool, source.name)
    preprocess = preprocess_of(processor_record(source), source.name)
    tensors = None
    if options.pretrained:
        trust, key = options.trust_checkpoint, options.weights_key
        tensors = read_tensors(source, options.weights, trust, notify, key)
    where = str(options.weights or source.name)
    make = partial(make_network, config, network_class, pool=pool, where=where)
    try:
        network = make(tensors, notify=notify)
    except CogError as error:
        if options.weights is None:
            raise
        raise _with_a_key(error, options.weights, make) from error
    feature = in_words(config, pool)
    notify(f"{source.name}: the feature is {feature}")
    model = Model(
        with_feature(network, pool),
        preprocess=preprocess,
        name=source.short_name + f"-{pool}" * (pool != own_pool(config)),
        code=code_of(record, config, network_class, code),
        feature=feature,
        commit=source.commit,
    )
    _ = model.dim  # a network that does not take images of this size is refused here
    return model


def _with_a_key(error: CogError, weights: Path, make: Callable[..., Any]) -> CogError:
    """The error, with the key by which the weights of the user's file would fit."""

    def not_fitting(tensors: StateDict, _: str) -> tuple[str, ...]:
        make(OrderedDict(tensors), notify=lambda _: None)
        return ()

    count = len(make(None, notify=lambda _: None).state_dict())
    hint = what_to_type(read_safely(weights), count, not_fitting)
    return CogError(error.what, hint or error.hint)


def published(name: str) -> PublishedWeights:
    """The weights of a repository or a folder."""
    source = find_source(name)
    if source.folder is None:
        repository, revision = source.repository, source.revision
        here = hub_cached(repository, SAFE, revision)
        return PublishedWeights(hub_page(repository, revision), here)
    paths = (source.folder / file for file in SAFE)
    here = next((path for path in paths if path.is_file()), None)
    return PublishedWeights(str(source.folder), here, downloaded=False)


def _require_transformers() -> None:
    """Refuse versions that the tests were not run with: 4.56 crops at other pixels."""
    try:
        from transformers import __version__
    except ImportError as error:
        raise CogError(
            f"transformers is not installed ({error})", "pip install 'imagenet-cog[transformers]'"
        ) from error
    if tuple(map(int, __version__.split(".")[:2])) < OLDEST:
        raise CogError(
            f"expected transformers {'.'.join(map(str, OLDEST))} or later, found {__version__}",
            "pip install --upgrade 'imagenet-cog[transformers]'",
        )
