"""State dicts with other names: the means with which published_names.py renames a file's tensors.

Each function takes a state dict and returns a new one.
"""

from __future__ import annotations

import fnmatch
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor

from cog.errors import CogError

StateDict = Mapping[str, Tensor]
Substitutions = Mapping[str, str | Callable[[re.Match[str]], str]]
"""regular expressions and what replaces them in names, applied one after another"""

HINT = "give --weights the official file of this very model"


def with_layout_of(original: StateDict, tensors: StateDict) -> OrderedDict[str, Tensor]:
    """`tensors`, with the layout versions that torch keeps beside the state dict `original`."""
    result = OrderedDict(tensors)
    if hasattr(original, "_metadata"):
        result._metadata = original._metadata  # type: ignore[attr-defined]
    return result


def renamed(state_dict: StateDict, substitutions: Substitutions) -> OrderedDict[str, Tensor]:
    """The tensors with new names.

    >>> import torch
    >>> list(renamed({"module.a": torch.ones(1)}, {"^module": "network", "a$": "b"}))
    ['network.b']

    Raises:
        CogError: two names become one.
    """
    tensors: OrderedDict[str, Tensor] = OrderedDict()
    for old, value in state_dict.items():
        name = old
        for pattern, replacement in substitutions.items():
            name = re.sub(pattern, replacement, name)
        if name in tensors:
            raise CogError(f"two tensors of the file have the name {name} after renaming", HINT)
        tensors[name] = value
    return with_layout_of(state_dict, tensors)


def strip_prefix(state_dict: StateDict, prefixes: Sequence[str]) -> OrderedDict[str, Tensor]:
    """All tensors, each name without the first of the prefixes that it has.

    With an empty prefix among them, a name may have none.

    >>> import torch
    >>> list(strip_prefix({"module.a": torch.ones(1), "b": torch.ones(1)}, ["module.", ""]))
    ['a', 'b']

    Raises:
        CogError: names with none of the prefixes, or two that become one.
    """
    start = f"^(?:{'|'.join(map(re.escape, prefixes))})"
    strangers = [name for name in state_dict if not re.match(start, name)]
    if strangers:
        raise CogError(
            f"expected names that start with {' or '.join(prefixes)}, found {strangers[0]}"
            + (f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""),
            HINT,
        )
    return renamed(state_dict, {start: ""})


def drop_tensors(state_dict: StateDict, patterns: Iterable[str]) -> OrderedDict[str, Tensor]:
    """The state dict without the tensors that match one of the patterns, such as `head.*`.

    A pattern that starts with ? may match nothing.

    Raises:
        CogError: a pattern matches nothing, so the file is not the expected one.
    """
    kept = with_layout_of(state_dict, state_dict)
    for pattern in patterns:
        matches = fnmatch.filter(state_dict, pattern.removeprefix("?"))
        if not matches and not pattern.startswith("?"):
            raise CogError(
                f"the weights have no tensor {pattern}, which the official file has",
                "give --weights the official file",
            )
        for name in matches:
            kept.pop(name, None)
    return kept
