"""The network of a config.json of transformers, untrained or filled strictly from tensors.

transformers itself draws what a file lacks at random, and only warns. Here a tensor of the network
that the file lacks is an error, as is one of the file that a part of the network does not use; the
parts of the file that the network does not have at all (heads, another tower) are left out and
named.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from cog.errors import CogError
from cog.models.hf.families import FAMILIES, POOLER
from cog.models.initialisation import seeded
from cog.models.sources.from_file import OWN_FILE
from cog.models.weights.checkpoints import MISSHAPEN, misfit_error
from cog.progress import Notify

TOWER = "vision_model."
"""before the names of the tensors of an image tower, in the file of both towers"""
UNUSED = re.compile(r"mask_token|position_ids|relative_position_index|num_batches_tracked")
"""tensors that no feature depends on: for masked training, and those that are computed"""
NO_PART = (
    "_name_or_path", "architectures", "auto_map", "dtype", "id2label", "label2id", "num_labels",
    "text_config", "text_config_dict", "torch_dtype", "transformers_version",
)  # fmt: skip
"""keys of config.json that no feature of the image network depends on"""
TWO_TOWERS = ("aimv2", "clip", "siglip")
IN_A_SHELL = ("clip_vision_model", "siglip_vision_model")
"""before transformers 5.x the class of these types holds its network as `vision_model`"""
NAFLEX = "siglip2"


def config_of(record: Mapping[str, Any], name: str) -> Any:
    """transformers' configuration of the image network that a config.json records.

    Raises:
        CogError: a model of timm, of a type that this transformers or this program does not know,
            or quantized; or values that transformers refuses.
    """
    from transformers import CONFIG_MAPPING, __version__

    kind = record.get("model_type")
    if not isinstance(kind, str):
        of_timm = isinstance(record.get("architecture"), str)
        raise CogError(
            f"{name}: expected a config.json of transformers, with a model_type, found "
            + (f"one of timm ({record['architecture'][:80]})" if of_timm else "none"),
            f"write hf-hub:{name.partition(':')[2]}" if of_timm else OWN_FILE,
        )
    if record.get("quantization_config"):
        raise CogError(f"{name} is quantized", "give the model that it was made from")
    if kind not in CONFIG_MAPPING:
        raise CogError(
            f"transformers {__version__} has no model_type {kind[:80]!r}, the one of {name}",
            "pip install --upgrade transformers",
        )
    if kind in TWO_TOWERS and not (record.get("vision_config") or record.get("vision_config_dict")):
        raise CogError(
            f"{name}: expected a vision_config in its config.json, as {kind} has two towers; it is "
            "for other code than transformers' own",
            "give a commit for transformers, as hf:OWNER/MODEL@REVISION",
        )
    config = read_config(CONFIG_MAPPING[kind], record, name)
    if kind in TWO_TOWERS:
        config = config.vision_config
    if config.model_type not in FAMILIES:
        raise _unknown_family(config.model_type, name)
    return config


def read_config(config_class: Any, record: Mapping[str, Any], name: str) -> Any:
    """A configuration of a class, from a config.json.

    Raises:
        CogError: the class refuses its values.
    """
    try:
        with _quietly():  # it may warn of the tower of texts
            return config_class.from_dict(dict(record))
    except Exception as error:  # each version of transformers has classes of its own for this
        reason = " ".join(str(error).split())[:200]
        raise CogError(
            f"{name}: transformers refuses its config.json ({type(error).__name__}: {reason})",
            "download or save it again",
        ) from error


def _unknown_family(kind: str, name: str) -> CogError:
    if kind.startswith(NAFLEX):
        return CogError(
            f"{name} is SigLIP 2 for images of any shape (NaFlex), which do not fit in one batch",
            "give its model for one size, such as hf:google/siglip2-base-patch16-224",
        )
    return CogError(
        f"{name}: which tokens of {kind} make a feature is not known here; known are "
        f"{', '.join(sorted(FAMILIES))}",
        OWN_FILE,
    )


def code_of(record: Mapping[str, Any], config: Any, network_class: Any, code: str) -> str:
    """SHA-256 of what decides the features beside tensors: settings, and the hash of own code."""
    kept = {key: value for key, value in record.items() if key not in NO_PART}
    settings = [kept, config.model_type, _attention(network_class), code]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def class_of(config: Any) -> Any:
    """transformers' class of the network that AutoModel makes of a configuration."""
    from transformers import MODEL_MAPPING

    return MODEL_MAPPING[type(config)]


def _attention(network_class: Any) -> str:
    """torch's own attention where the class has it; one that may be installed or not never."""
    return "sdpa" if network_class._supports_sdpa else "eager"


@contextmanager
def _quietly() -> Iterator[None]:
    """Within it, transformers shows neither bars nor its own report of loading."""
    from transformers.utils import logging as its_logging

    logging: Any = its_logging  # its functions have no types
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def make_network(
    config: Any,
    network_class: Any,
    tensors: OrderedDict[str, Tensor] | None,
    pool: str,
    where: str,
    notify: Notify,
) -> Any:
    """The network of a configuration in float32 and eval mode; untrained without tensors.

    Args:
        config: of `config_of`.
        network_class: of `class_of`, or of code beside the weights.
        tensors: of the model's files, under any names that transformers itself reads.
        pool: the feature that is to be taken; a pooler that it does not need may be missing.
        where: where the tensors come from, for errors.
        notify: is told which parts of the file are not used.

    Raises:
        CogError: tensors that are missing, not used, or misshapen; or transformers fails.
    """
    own, others = _of_network(tensors or {}, config, network_class)
    try:
        with seeded(), _quietly():
            network, info = _made(config, network_class, None if tensors is None else own)
    except Exception as error:  # any: transformers checks settings in the network's making
        reason = " ".join(str(error).split())[:300]
        raise CogError(
            f"transformers cannot make {where} ({type(error).__name__}: {reason})",
            "download or save it again, with the same version of transformers",
        ) from error
    missing, outside = _require_fit(network, info, pool, where, may_have_heads=not others)
    heads = {name.partition(".")[0] for name in (*outside, *others) if not UNUSED.search(name)}
    if heads:
        notify(f"{where}: not used: {', '.join(sorted(heads))}")
    _drop_pooler(network, pool, missing, notify)
    return network.eval()


def _made(
    config: Any, network_class: Any, tensors: Mapping[str, Tensor] | None
) -> tuple[Any, dict[str, Any]]:
    """The network, and what transformers says of tensors that do not fit."""
    made = _with_our_settings(config)
    options: dict[str, Any] = {
        "dtype": torch.float32,
        "attn_implementation": _attention(network_class),
    }
    if config.model_type == "data2vec-vision":  # its class leaves out the norm after pooling
        options["add_pooling_layer"] = True
    if tensors is None:
        return network_class._from_config(made, **options), {}
    shell = TOWER if _has_shell(made, network_class) else ""
    network, info = network_class.from_pretrained(
        None,
        config=made,
        state_dict={shell + name: tensor for name, tensor in tensors.items()},
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # said by `info`
        **options,
    )
    return network, info


def _with_our_settings(config: Any) -> Any:
    """A copy of the configuration with outputs as this program reads them, and nothing masked."""
    made = type(config).from_dict(config.to_dict())
    made.return_dict, made.output_hidden_states, made.output_attentions = True, False, False
    if hasattr(made, "mask_ratio"):
        made.mask_ratio = 0.0
    return made


def _has_shell(config: Any, network_class: Any) -> bool:
    """Whether this version of transformers names the tensors of the network with `TOWER`."""
    if config.model_type not in IN_A_SHELL:
        return False
    with torch.device("meta"):  # for the names alone
        return hasattr(network_class(config), "vision_model")


def _of_network(
    tensors: Mapping[str, Tensor], config: Any, network_class: Any
) -> tuple[Mapping[str, Tensor], list[str]]:
    """The tensors of the network by its own names, and the names of what lies beside it.

    A file of a class with heads, or of two towers, has a prefix before the network's names. Before
    transformers 5.x, a head's tensor of the same name would hide the network's.
    """
    if config.model_type not in FAMILIES:  # code of others
        return tensors, []
    for prefix in (TOWER, f"{network_class.base_model_prefix}."):
        own = [name for name in tensors if name.startswith(prefix)]
        if own:
            others = [name for name in tensors if not name.startswith(prefix)]
            return {name.removeprefix(prefix): tensors[name] for name in own}, others
    return tensors, []


def _require_fit(
    network: Any, info: Mapping[str, Any], pool: str, where: str, may_have_heads: bool
) -> tuple[set[str], list[str]]:
    """Refuse tensors that do not fit; returns what is missing, and what is of other parts."""
    missing = {name for name in info.get("missing_keys", ()) if not UNUSED.search(name)}
    allowed = {name for name in missing if pool != POOLER and name.startswith("pooler.")}
    parts = {name.partition(".")[0] for name, _ in network.named_parameters()}
    unused = [name for name in info.get("unexpected_keys", ()) if not UNUSED.search(name)]
    outside = [name for name in unused if may_have_heads and name.partition(".")[0] not in parts]
    misfit = {
        "missing": sorted(missing - allowed),
        "unexpected": sorted(set(unused) - set(outside)),
        MISSHAPEN: sorted(_mismatch(entry) for entry in info.get("mismatched_keys", ())),
    }
    misfit = {kind: names for kind, names in misfit.items() if names}
    if misfit:
        raise misfit_error(misfit, where)
    return missing, outside


def _mismatch(entry: Any) -> str:
    """A tensor of another shape, as transformers names it: (name, found, expected)."""
    name, found, expected = (*entry, None, None)[:3] if isinstance(entry, tuple) else (entry, 0, 0)
    return f"{name} (expected {list(expected)}, found {list(found)})" if found else str(name)


def _drop_pooler(network: Any, pool: str, missing: set[str], notify: Notify) -> None:
    """Take the pooler out unless it is the feature, or has the norm after pooling."""
    pooler = getattr(network, "pooler", None)
    if pool == POOLER or pooler is None:
        return
    has_norm = getattr(pooler, "layernorm", None) is not None
    if has_norm and "pooler.layernorm.weight" in missing:
        notify("without pooler.layernorm in the file, tokens are taken as they are, not normalised")
    if not has_norm or missing:
        network.pooler = None
