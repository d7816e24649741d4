"""The sets of weights that a checkpoint holds, by keys: entries of entries, then a prefix of names.

A training program saves a network's tensors in an entry (`model`), often a second set in another
(`model_ema`), and often with a prefix before each name (`backbone.` in `teacher`). A key names one
set: the entries with dots between them, then the prefix, as in `teacher.backbone`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping

from torch import Tensor

from cog.models.weights.renames import StateDict, with_layout_of

DEEPEST = 3  # entries within entries
LONGEST_PREFIX = 5  # parts of a name
MEANS = ("ema", "teacher", "momentum", "target", "swa", "averaged")
"""words in the keys of weights that are a running mean over the training"""


def entries_of(content: object, deepest: int = DEEPEST) -> dict[str, StateDict]:
    """The tensors of a checkpoint by the key of their entry, in the file's order.

    Tensors without an entry have the key ``""``; what is no tensor is left out.

    >>> import torch
    >>> list(entries_of({"model": {"w": torch.ones(1)}, "ema": {"module": {"w": torch.ones(1)}}}))
    ['model', 'ema.module']
    """
    if not isinstance(content, Mapping):
        return {}
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    here = {key: value for key, value in named.items() if isinstance(value, Tensor)}
    found: dict[str, StateDict] = {"": with_layout_of(content, here)} if here else {}
    for key, value in named.items():
        if deepest:
            inside = entries_of(value, deepest - 1)
            found |= {f"{key}.{inner}" if inner else key: sets for inner, sets in inside.items()}
    return found


def tensors_under(content: object, key: str) -> StateDict | None:
    """The set of weights that a key names, its prefix taken off; None where there is none.

    >>> import torch
    >>> content = {"teacher": {"backbone.w": torch.ones(1), "head.w": torch.ones(1)}, "epoch": 3}
    >>> list(tensors_under(content, "teacher.backbone")), tensors_under(content, "student")
    (['w'], None)
    """
    entries = entries_of(content)
    if key in entries:
        return entries[key]
    for entry in sorted(entries, key=len, reverse=True):
        start = f"{entry}." if entry else ""
        if key.startswith(start):
            tensors, prefix = entries[entry], f"{key.removeprefix(start)}."
            under = {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
            if under:
                return with_layout_of(tensors, OrderedDict(under))
    return None


def keys_of(content: object, smallest: int = 1) -> dict[str, int]:
    """Every key of a checkpoint, with a prefix and without, and how many tensors it names.

    Keys of fewer than `smallest` tensors are left out, and prefixes that all names of an entry have
    in common up to a longer one stay: `module` and `module.backbone` are both keys.
    """
    found: dict[str, int] = {}
    for entry, tensors in entries_of(content).items():
        counts = Counter(
            ".".join(parts[:length])
            for parts in (name.split(".") for name in tensors)
            for length in range(1, min(len(parts), LONGEST_PREFIX + 1))
        )
        keys = {"": len(tensors), **counts}
        found |= {
            ".".join(filter(None, (entry, prefix))): count
            for prefix, count in keys.items()
            if count >= smallest
        }
    return found


def is_mean(key: str) -> bool:
    """Whether a key's words say that its weights are a running mean over the training."""
    return any(word in key.lower() for word in MEANS)
