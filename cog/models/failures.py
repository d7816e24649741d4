"""Why a network fails: weights that were never loaded, another type than its images', or itself."""

from __future__ import annotations

import textwrap

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from cog.errors import CogError

LONGEST = 500  # characters of an error that are shown


def unloaded(network: nn.Module) -> list[str]:
    """The names of parameters and buffers without values: lazy ones, and those on `meta`."""
    tensors = (*network.named_parameters(), *network.named_buffers())
    return [name for name, tensor in tensors if is_lazy(tensor) or tensor.is_meta]


def require_loaded(network: nn.Module, name: str) -> None:
    """Refuse a network with tensors that have no values.

    Raises:
        CogError: which ones. A lazy layer would otherwise draw its weights at the first image.
    """
    missing = unloaded(network)
    if missing:
        raise CogError(
            f"{name}: its weights were never loaded: {len(missing):,} of its tensors are lazy or "
            f"on the device meta, such as {missing[0]}",
            "load them before cog.Model(...): network.load_state_dict(weights, assign=True); a "
            "lazy layer that is to stay untrained takes its shape from one call of the network",
        )


def failure(network: nn.Module, what: str, error: BaseException, hint: str) -> CogError:
    """The error for a network that raised `error`; `what`: whose and on what, "dino fails on …".

    The hint is another one where the network is not float32, as its images are; buffers count where
    the error is about types.
    """
    said = in_words(error)
    tensors = [*network.parameters(), *(network.buffers() if "type" in said else ())]
    floats = {part.dtype for part in tensors if part.is_floating_point()}
    others = sorted(str(dtype).removeprefix("torch.") for dtype in floats - {torch.float32})
    if others:
        hint = (
            f"its weights are {', '.join(others)}, its images float32: give network.float(), and "
            "--precision bf16 for speed"
        )
    return CogError(f"{what}: {said}", hint)


def in_words(error: BaseException) -> str:
    """An error on one line: its type and what it says.

    >>> in_words(ValueError("no image\\n")), in_words(KeyError())
    ('ValueError: no image', 'KeyError')
    """
    said = textwrap.shorten(str(error), LONGEST, placeholder=" …")
    return f"{type(error).__name__}: {said}".rstrip(": ")
