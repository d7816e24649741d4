"""A model of zoo.csv, from the file that its authors published.

The network is made as its row says. Every tensor of the file goes into it and every tensor of the
network comes from the file; then the classifier is removed. timm loads less strictly where the
classifier is left out first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from pkgutil import resolve_name

import torchvision
from torch import Tensor, nn

from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.initialisation import seeded
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.models.pooling import POOLS, pooled
from cog.models.quirks import with_quirks
from cog.models.weights.checkpoints import first_few
from cog.models.weights.download import fetch, published_file
from cog.models.weights.loading import load_file
from cog.models.weights.published_names import RENAMES
from cog.models.weights.reading import sha256_of
from cog.models.weights.renames import HINT, StateDict, drop_tensors, strip_prefix
from cog.models.weights.timm_rules import rename_as_timm
from cog.models.zoo import ZooRow, find_row
from cog.progress import Notify

NETWORKS = {
    "igpt": "igpt:igpt",
    "mage": "mage:Mage",
    "maskfeat_mvit_s": "maskfeat_mvit:MaskFeatMViT",
    "nat_m4": "nat_m4:nat_m4",
    "resnet50_clip_half": "clip_half:resnet50_clip_half",
    "resnet50_same": "same_padding:resnet50_same",
    "resnet50_same_pool": "same_padding:resnet50_same_pool",
    "t2t_vit_t_14": "t2t_vit:T2TViT",
    "um_mae_pvt_s": "um_mae_pvt:UmMaePvt",
    "um_mae_swin": "um_mae_swin:UmMaeSwin",
}
"""the networks of models/networks by the names of zoo.csv; a file is imported when it is needed"""


def from_zoo(name: str, options: LoadOptions, notify: Notify) -> Model:
    """The model of the row with this name or alias: see `cog.load_model`.

    Raises:
        CogError: an unknown name, nothing to load, weights that do not fit, or a pool or quirks
            that the model does not have.
    """
    row = find_row(name, _forms_of(name))
    if row.name != name:
        notify(f"{name} means {row.name}")
    pool = options.pool
    own_pool = pool in (None, row.pool)
    suffix = "" if own_pool else f"-{pool}"
    if options.official_quirks:
        row = with_quirks(row)
        suffix += "-official-quirks"
    model = Model(
        pooled(_network(row, options, notify), pool or (row.pool if row.pool in POOLS else None)),
        preprocess=preprocess_of(row),
        name=row.name + suffix,
        seen_data=row.seen_data if options.pretrained else "",
        family=row.family,
        feature=row.feature if own_pool else str(pool),
    )
    if model.dim != row.dim and own_pool:
        raise CogError(
            f"{row.name}: expected features of {row.dim} numbers, and found {model.dim}",
            "report this with the versions of torch, torchvision and timm",
        )
    return model


def _forms_of(name: str) -> Iterator[str]:
    """The forms under which torchvision or timm has `name`; read only if the table has not."""
    if name.lower() in torchvision.models.list_models(module=torchvision.models):
        yield f"torchvision:{name}"
    import timm

    if timm.is_model(name):
        yield f"timm:{name}"


def preprocess_of(row: ZooRow) -> Preprocess:
    """How the row's images are prepared; bicubic for all, as in the benchmark."""
    return Preprocess(row.resize, row.crop, "bicubic", row.mean, row.std)


def _network(row: ZooRow, options: LoadOptions, notify: Notify) -> nn.Module:
    """The row's network without its classifier, with the weights that the options ask for."""
    network = make_network(row)
    if not row.head_in_file:
        drop_head(network, row)
    if options.pretrained:
        path = options.weights or published_file(row, notify)
        trusted = row.sha256 if options.trust_checkpoint else ""
        said = notify if options.weights else None
        fill_network(network, row, path, trusted, said, options.weights_key)
        if options.weights and row.sha256 and not sha256_of(path).startswith(row.sha256):
            notify(f"{path} is not, byte for byte, the published file of {row.name}")
        if row.restricted:
            notify(f"{row.name}: the licence {row.licence} restricts what its weights are used for")
    if row.head_in_file:
        drop_head(network, row)
    return network


def make_network(row: ZooRow) -> nn.Module:
    """The row's network, with its classifier, untrained from a fixed seed."""
    make: Callable[..., nn.Module]
    kind, _, name = row.architecture.partition(":")
    with seeded():
        if kind == "torchvision":
            make = partial(torchvision.models.get_model, name, weights=None)
        elif kind == "cog":
            make = resolve_name(f"cog.models.networks.{NETWORKS[name]}")
        else:
            import timm

            make = partial(timm.create_model, name, pretrained=False)
            if not row.head_in_file:
                make = partial(make, num_classes=0)
        return make(**row.options)


def drop_head(network: nn.Module, row: ZooRow) -> None:
    """Replace every part of the row's classifier by the identity."""
    for part in row.head:
        network.set_submodule(part, nn.Identity())


def fill_network(
    network: nn.Module,
    row: ZooRow,
    path: Path,
    trusted: str = "",
    notify: Notify | None = None,
    key: str | None = None,
) -> None:
    """Read the published layout and fill the network; arguments as `load_file` has them.

    Raises:
        CogError: another layout, or tensors that are missing, unexpected or misshapen, by name.
    """
    prepare = partial(_prepared, network, row, path)
    load_file(network, path, row.nested, prepare, key=key, trusted=trusted, notify=notify)


def _prepared(
    network: nn.Module, row: ZooRow, path: Path, tensors: StateDict, key: str
) -> StateDict:
    """The published tensors under the network's names.

    A set of weights that was chosen by its key may lack what the published one has beside the
    network, and its prefix.
    """
    patterns, prefixes = row.drop, row.prefix
    if key:
        patterns = tuple(f"?{pattern.removeprefix('?')}" for pattern in patterns)
        patterns += tuple(
            pattern.replace(prefix, "", 1) for prefix in prefixes if prefix for pattern in patterns
        )
        prefixes = (*prefixes, "") if prefixes else ()
    tensors = drop_tensors(tensors, patterns)
    if prefixes:
        tensors = strip_prefix(tensors, prefixes)
    if row.beside:
        tensors = OrderedDict(tensors, clusters=_clusters(row, path))
    if row.rename == "timm":
        return _timm_names(network, tensors)
    return RENAMES[row.rename](tensors) if row.rename else tensors


def _timm_names(network: nn.Module, tensors: StateDict) -> StateDict:
    """timm's own names of the published tensors.

    Raises:
        CogError: timm leaves tensors out.
    """
    renamed = rename_as_timm(network, OrderedDict(tensors))
    if len(renamed) != len(tensors):
        kept = {value.data_ptr() for value in renamed.values()}
        lost = [name for name, value in tensors.items() if value.data_ptr() not in kept]
        raise CogError(
            f"tensors that the network does not use: {first_few(lost)}",
            HINT,
        )
    return renamed


def _clusters(row: ZooRow, path: Path) -> Tensor:
    """The colours of Image GPT, from the file beside its weights, or downloaded."""
    from cog.models.networks.igpt import read_clusters

    name = row.beside.rpartition("/")[2]
    beside = path.parent / name
    return read_clusters(beside if beside.is_file() else fetch([row.beside], f"{row.name}/{name}"))
