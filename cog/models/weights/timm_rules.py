"""timm's weights: its renaming of a published file, and then the strict load of all other models.

timm fills its networks by itself, and some of them loosely, so it only makes them here. What it
does to a file differs between families and cannot be asked of it. It is written down here, and a
test compares it with what timm does for every name that it has.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from cog.models.weights.checkpoints import MISSHAPEN, Misfit, misfit_error
from cog.models.weights.loading import load_file
from cog.models.weights.renames import StateDict, renamed
from cog.progress import Notify

ENTRIES = ("state_dict_ema", "model_ema", "state_dict", "model")
"""where files wrap their tensors; the first that is there"""

RENAMINGS = ("checkpoint_filter_fn", "pretrained_filter_fn", "_filter_fn",
             "_filter_torchvision_pretrained")  # fmt: skip
"""the function that renames, in timm's file of the family"""

RENAMING_OPTIONS: dict[str, dict[str, object]] = {
    "deit*": {"adapt_layer_scale": True},
    "flexivit_*": {"interpolation": "bilinear", "antialias": False},
    "vit_[bh]*_radio_v3*": {"interpolation": "bilinear", "antialias": False, "align_corners": True},
    "vit_*_radio_*": {"interpolation": "bilinear", "antialias": False, "align_corners": False},
}
"""what timm passes to it, by patterns of names; the first that fits"""

TRAINED_OPTIONS: dict[str, dict[str, Any]] = {"fbnetc_100": {"bn_eps": 1e-3}}
"""what timm changes in an architecture where it loads its weights"""

LOOSE = ("*.fcmae", "*_siglip_gap_*", "davit_*_fl.*", "dla*", "inception_v3.tv_in1k",
         "mobilenetv5_*_enc.*")  # fmt: skip
"""names whose published files hold more tensors than the network, or fewer"""


CROSSVIT = {".*(pos_embed|cls_token).*": lambda name: name[0].replace(".", "_")}


def load_timm_file(
    network: nn.Module, path: Path, notify: Notify, key: str | None = None
) -> set[str]:
    """Fill a network of timm, with the classes of the file, from a published file.

    For the names of `LOOSE`, `notify` takes what does not fit, and a missing tensor must be
    constant before training, as the 1 and 0 of a norm are. `key`: the user's choice among several
    sets of weights. A classifier that differs from the network's is left out, and that is said:
    the names of its tensors are returned, as the network's are untrained.

    Raises:
        CogError: tensors that are missing, unexpected or of another shape, by name.
    """
    from timm.models import clean_state_dict

    untrained: set[str] = set()

    def prepare(tensors: Any, _: str) -> StateDict:
        nonlocal untrained
        found = rename_as_timm(network, clean_state_dict(tensors))
        fitting, untrained = _with_own_classifier(network, found)
        return fitting

    def tolerate(misfit: Misfit) -> bool:
        state = network.state_dict()
        missing = misfit.get("missing", ())
        random = any((state[name] != state[name].min()).any() for name in missing)
        if MISSHAPEN in misfit or random or not is_loose(_name(network)):
            return False
        notify(f"{misfit_error(misfit, str(path)).what} (timm allows it for this family)")
        return True

    entries = "|".join((*ENTRIES, ""))
    load_file(network, path, entries, prepare, key=key, notify=notify, tolerate=tolerate)
    if untrained:
        notify(f"{path}: has another classifier than timm's, or none, which no feature needs")
    return untrained


def _with_own_classifier(network: Any, tensors: StateDict) -> tuple[StateDict, set[str]]:
    """The tensors, with the classifier of the network if they have another one or none.

    Also the names of all tensors that belong to either.

    It is removed before features are taken. Files of self-supervised training have none, or a
    projection of the same name.
    """
    own = network.get_classifier() if hasattr(network, "get_classifier") else ()
    own = own if isinstance(own, tuple | list) else (own,)
    names = [name for name, part in network.named_modules() if any(part is one for one in own)]
    starts = tuple(f"{name}." for name in names)
    wanted = {name: x for name, x in network.state_dict().items() if name.startswith(starts)}
    found = {name: x for name, x in tensors.items() if name.startswith(starts)}
    if {name: x.shape for name, x in found.items()} == {n: x.shape for n, x in wanted.items()}:
        return tensors, set()
    body = {name: x for name, x in tensors.items() if name not in found}
    return body | wanted, {*wanted, *found}


def rename_as_timm(network: nn.Module, tensors: StateDict) -> StateDict:
    """The published tensors under the names of a network of timm; resampled where timm does it."""
    renaming = renaming_of(_name(network))
    if renaming is None:
        return tensors
    takes_network = len(inspect.signature(renaming).parameters) > 1
    return renaming(tensors, network) if takes_network else renaming(tensors)


def renaming_of(name: str) -> Callable[..., StateDict] | None:
    """timm's function for the files of `ARCHITECTURE.TAG`; None where it renames nothing."""
    from timm.models import model_entrypoint

    architecture = name.partition(".")[0]
    if architecture.startswith("crossvit_"):  # timm's own is inside another function
        return lambda tensors: renamed(tensors, CROSSVIT)
    family = sys.modules[model_entrypoint(architecture).__module__]
    part = "encoder" if architecture.endswith("_enc") else "classifier"
    for function in (*RENAMINGS, f"{RENAMINGS[0]}_{part}"):
        found: Callable[..., StateDict] | None = getattr(family, function, None)
        if found is not None:
            options = (value for key, value in RENAMING_OPTIONS.items() if fnmatchcase(name, key))
            return partial(found, **next(options, {}))
    return None


def is_loose(name: str) -> bool:
    """Whether timm loads `ARCHITECTURE.TAG` without asking that all tensors fit."""
    return any(fnmatchcase(name, pattern) for pattern in LOOSE)


def _name(network: nn.Module) -> str:
    """timm's name of the model: its architecture and the tag of its weights."""
    record: Any = network.pretrained_cfg
    return f"{record['architecture']}.{record.get('tag') or ''}"
