"""Renaming functions: a state dict as a file has it to one as a network wants it.

A renaming is pure: it takes a state dict and returns one. `RENAMES` lists them under the names that
zoo.csv uses; layouts that need more than a few lines have a file of their own.
"""

from __future__ import annotations

import fnmatch
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

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


def keep_prefix(state_dict: StateDict, prefix: str) -> OrderedDict[str, Tensor]:
    """The tensors whose name starts with `prefix`, named without it.

    >>> list(keep_prefix({"module.fc.bias": torch.ones(1), "queue": torch.ones(1)}, "module."))
    ['fc.bias']
    """
    return with_layout_of(
        state_dict,
        {
            name.removeprefix(prefix): tensor
            for name, tensor in state_dict.items()
            if name.startswith(prefix)
        },
    )


def densenet_layers(state_dict: StateDict) -> OrderedDict[str, Tensor]:
    """torchvision's DenseNet files say `norm.1` where today's network says `norm1`.

    >>> list(densenet_layers({"features.denselayer1.norm.1.bias": torch.ones(1)}))
    ['features.denselayer1.norm1.bias']
    """
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")
    return with_layout_of(
        state_dict, {old.sub(r"\1\2", name): value for name, value in state_dict.items()}
    )


RENAMES: dict[str, Callable[[StateDict], OrderedDict[str, Tensor]]] = {
    "densenet_layers": densenet_layers,
    "strip_module": lambda state_dict: keep_prefix(state_dict, "module."),
}


def drop_tensors(state_dict: StateDict, patterns: Iterable[str]) -> OrderedDict[str, Tensor]:
    """The state dict without the tensors that match a pattern such as `head.*`.

    Raises:
        CogError: a pattern that matches nothing: it is not the file that was expected.
    """
    dropped: set[str] = set()
    for pattern in patterns:
        matches = fnmatch.filter(state_dict, pattern)
        if not matches:
            raise CogError(
                f"the weights hold no tensor {pattern}, which the official file has",
                "give --weights the official file",
            )
        dropped.update(matches)
    kept = {name: tensor for name, tensor in state_dict.items() if name not in dropped}
    return with_layout_of(state_dict, kept)
