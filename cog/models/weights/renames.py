"""Renaming functions: from a state dict with the file's names to one with the network's.

A renaming takes a state dict and returns a new one. `RENAMES` in sources/from_zoo.py lists them by
the names that zoo.csv uses; a layout that needs more than a few lines has its own file.
"""

from __future__ import annotations

import fnmatch
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor

from cog.errors import CogError

StateDict = Mapping[str, Tensor]


def with_layout_of(
    original: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> OrderedDict[str, Tensor]:
    """`tensors`, with the layout versions that torch keeps beside the state dict `original`."""
    result = OrderedDict(tensors)
    if hasattr(original, "_metadata"):
        result._metadata = original._metadata  # type: ignore[attr-defined]
    return result


def renamed(state_dict: StateDict, new: Callable[[str], str]) -> OrderedDict[str, Tensor]:
    """The tensors with new names.

    >>> import torch
    >>> list(renamed({"a": torch.ones(1)}, lambda name: name + "b"))
    ['ab']

    Raises:
        CogError: two names become one.
    """
    tensors = {new(name): value for name, value in state_dict.items()}
    if len(tensors) < len(state_dict):
        names = [new(name) for name in state_dict]
        twice = next(name for name in names if names.count(name) > 1)
        raise CogError(
            f"two tensors of the file have the name {twice} after renaming",
            "give --weights the official file of this very model",
        )
    return with_layout_of(state_dict, tensors)


def with_another_start(name: str, starts: Mapping[str, str]) -> str | None:
    """The name with its start replaced, by the first of `starts` that it has; None if it has none.

    >>> with_another_start("conv.weight", {"conv.": "conv1."})
    'conv1.weight'
    """
    for old, new in starts.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return None


def strip_prefix(state_dict: StateDict, prefixes: Sequence[str]) -> OrderedDict[str, Tensor]:
    """All tensors, each name without the first of the prefixes that it has.

    With an empty prefix among them, a name may have none.

    >>> import torch
    >>> list(strip_prefix({"module.a": torch.ones(1), "b": torch.ones(1)}, ["module.", ""]))
    ['a', 'b']

    Raises:
        CogError: names with none of the prefixes, or two that become one.
    """
    found = {
        name: next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        for name in state_dict
    }
    strangers = [name for name, prefix in found.items() if prefix is None]
    if strangers:
        raise CogError(
            f"expected names that start with {' or '.join(prefixes)}, found {strangers[0]}"
            + (f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""),
            "give --weights the official file of this very model",
        )
    return renamed(state_dict, lambda name: name.removeprefix(found[name] or ""))


def densenet_layers(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """torchvision's DenseNet files say `norm.1` where today's network says `norm1`.

    >>> import torch
    >>> list(densenet_layers({"features.denselayer1.norm.1.bias": torch.ones(1)}))
    ['features.denselayer1.norm1.bias']
    """
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")
    return renamed(state_dict, lambda name: old.sub(r"\1\2", name))


def mopro_classifier(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """MoPro names the classifier of its ResNet `classifier`, not `fc`.

    >>> import torch
    >>> list(mopro_classifier({"classifier.bias": torch.ones(1)}))
    ['fc.bias']
    """
    return renamed(state_dict, lambda name: re.sub(r"^classifier\.", "fc.", name))


def unchunk_blocks(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """UNIC saves its blocks in groups, `blocks.0.11`, all of them in the first.

    >>> import torch
    >>> list(unchunk_blocks({"blocks.0.11.norm1.bias": torch.ones(1)}))
    ['blocks.11.norm1.bias']
    """
    return renamed(state_dict, lambda name: re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", name))


def swin_downsampling(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """Swin's files end a stage with its downsampling; timm's network begins the next with it.

    >>> import torch
    >>> list(swin_downsampling({"layers.0.downsample.norm.bias": torch.ones(1)}))
    ['layers.1.downsample.norm.bias']
    """
    stage = re.compile(r"^layers\.(\d+)\.downsample\.")
    return renamed(
        state_dict,
        lambda name: stage.sub(lambda found: f"layers.{int(found[1]) + 1}.downsample.", name),
    )


def convnext_names(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """Meta's ConvNeXt has its downsampling in a list, and the last norm beside the head.

    >>> import torch
    >>> names = ["stages.1.0.pwconv1.bias", "downsample_layers.2.1.bias", "norm.bias", "head.bias"]
    >>> list(convnext_names({name: torch.ones(1) for name in names}))[:2]
    ['stages.1.blocks.0.mlp.fc1.bias', 'stages.2.downsample.1.bias']
    """
    steps = (
        (r"^downsample_layers\.0\.", "stem."),
        (r"^downsample_layers\.(\d+)\.", r"stages.\1.downsample."),
        (r"^stages\.(\d+)\.(\d+)\.", r"stages.\1.blocks.\2."),
        (r"\.dwconv\.", ".conv_dw."),
        (r"\.pwconv(\d)\.", r".mlp.fc\1."),
        (r"^head\.", "head.fc."),
        (r"^norm\.", "head.norm."),
    )

    def new(name: str) -> str:
        for old, renamed in steps:
            name = re.sub(old, renamed, name)
        return name

    return renamed(state_dict, new)


def dinov3_names(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """From DINOv3's names to those of timm's Eva, without the bias of the keys, which is masked.

    >>> import torch
    >>> list(dinov3_names({"blocks.0.attn.qkv.bias": torch.ones(6)}))
    ['blocks.0.attn.q_bias', 'blocks.0.attn.v_bias']
    """
    new = {
        "storage_tokens": "reg_token",
        "ls1.gamma": "gamma_1",
        "ls2.gamma": "gamma_2",
        "mlp.w1.": "mlp.fc1_g.",
        "mlp.w2.": "mlp.fc1_x.",
        "mlp.w3.": "mlp.fc2.",
    }
    tensors: dict[str, Tensor] = {}
    for name, value in state_dict.items():
        if name.endswith("attn.qkv.bias"):
            query, _, values = value.chunk(3)
            tensors[name.replace("qkv.bias", "q_bias")] = query
            tensors[name.replace("qkv.bias", "v_bias")] = values
            continue
        for old, renamed in new.items():
            name = name.replace(old, renamed)
        tensors[name] = value
    return with_layout_of(state_dict, tensors)


def drop_tensors(state_dict: StateDict, patterns: Iterable[str]) -> OrderedDict[str, Tensor]:
    """The state dict without the tensors that match one of the patterns, such as `head.*`.

    A pattern that starts with ? may match nothing.

    Raises:
        CogError: a pattern matches nothing, so the file is not the expected one.
    """
    dropped: set[str] = set()
    for pattern in patterns:
        matches = fnmatch.filter(state_dict, pattern.removeprefix("?"))
        if not matches and not pattern.startswith("?"):
            raise CogError(
                f"the weights have no tensor {pattern}, which the official file has",
                "give --weights the official file",
            )
        dropped.update(matches)
    kept = {name: tensor for name, tensor in state_dict.items() if name not in dropped}
    return with_layout_of(state_dict, kept)
