"""Weights files: read without running code, renamed by pure functions, loaded strictly.

- `read_checkpoint` reads safetensors, and torch files with `weights_only=True`, old and new. Any
  other content (pickled objects, TorchScript, a web page saved under the file's name) is refused.
- A renaming takes a state dict and returns one; it changes no tensor.
- `load_strictly` puts every tensor of the file into the network and leaves none of the network's
  out, or says which do not fit.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cog.errors import CogError
from cog.models.renames import StateDict, with_layout_of

_load_state_dict = nn.Module.load_state_dict  # torch's own: sources.strict_loading stands in for it
SHOWN = 3  # names of tensors shown of each kind


def read_checkpoint(path: Path, nested: str = "") -> OrderedDict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU.

    `nested`: the entry that holds them, where the file's layout wraps them in one ("model").

    Raises:
        CogError: no such file, not a weights file, content that would run code, another layout.
    """
    content = read_safely(path)
    if nested:
        if not isinstance(content, Mapping) or nested not in content:
            raise _wrong_layout(path, f"an entry {nested!r}", content)
        content = content[nested]
    if not isinstance(content, Mapping) or not content:
        raise _wrong_layout(path, "tensors by name", content)
    others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise _wrong_layout(path, "nothing but tensors", content)
    return with_layout_of(content, content)


def read_safely(path: Path) -> Any:
    """What a safetensors or torch file holds, tensors on the CPU; no code of the file is run.

    Raises:
        CogError: no such file, not a weights file, or content that would run code.
    """
    if not path.is_file():
        raise CogError(f"no weights file {path}", "give --weights the path of a file")
    with path.open("rb") as file:
        start = file.read(16)
    if start.lstrip()[:1] == b"<":
        raise CogError(f"{path} is a web page, not weights", "download it again with a browser")
    try:
        if start[8:9] == b"{":
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings():  # torch warns before it refuses TorchScript
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file makes the readers raise nearly anything
        raise _refusal(path, error) from error


@dataclass(frozen=True)
class Misfit:
    """The tensors that a network and a state dict do not share, or not in shape, by name."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether anything does not fit."""
        return bool(self.missing or self.unexpected or self.misshapen)

    def error(self, where: str) -> CogError:
        """What does not fit, for the user: counts, and the first few names of each kind."""
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.misshapen,
        }
        found = "; ".join(
            f"{len(names)} {kind}: {first_few(names)}" for kind, names in kinds.items() if names
        )
        return CogError(
            f"{where} does not fit the network; tensors {found}",
            "give --weights the official file of this very model",
        )


def load_strictly(network: nn.Module, state_dict: StateDict, where: str) -> None:
    """Fill `network` from `state_dict`, every tensor of both; after an error it is half filled.

    `where`: what the tensors are, for the message.

    Raises:
        CogError: tensors that are missing, unexpected or of another shape, by name.
    """
    misfit = fill(network, state_dict, where)
    if misfit:
        raise misfit.error(where)


def fill(network: nn.Module, state_dict: StateDict, where: str) -> Misfit:
    """Put into `network` what fits of `state_dict`; what does not is returned.

    Nothing can be relied on where shapes differ: torch then stops half-way.

    Raises:
        CogError: torch refuses the tensors for another reason.
    """
    try:
        result = _load_state_dict(network, state_dict, strict=False)
    except RuntimeError as error:  # torch raises for shapes even when it is not strict
        misfit = _compare(network.state_dict(), state_dict)
        if not misfit.misshapen:
            raise CogError(
                f"{where}: {error}", "give --weights the official file of this very model"
            ) from error
        return misfit
    return Misfit(tuple(result.missing_keys), tuple(result.unexpected_keys), ())


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(wanted: StateDict, given: StateDict) -> Misfit:
    return Misfit(
        tuple(
            name
            for name in wanted
            if name not in given and not name.endswith("num_batches_tracked")  # torch fills it in
        ),
        tuple(name for name in given if name not in wanted),
        tuple(
            f"{name} (expected {list(wanted[name].shape)}, found {list(tensor.shape)})"
            for name, tensor in given.items()
            if name in wanted and wanted[name].shape != tensor.shape
        ),
    )


def first_few(names: Sequence[str]) -> str:
    """The first names, and how many more there are.

    >>> first_few(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _wrong_layout(path: Path, expected: str, content: object) -> CogError:
    if isinstance(content, Mapping):
        others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
        found = f"{len(content)} entries, not tensors: {first_few(others) or 'none'}"
    else:
        found = f"a {type(content).__name__}"
    return CogError(
        f"{path}: expected {expected}, and found {found}",
        "give --weights the official file of this very model",
    )


def _refusal(path: Path, error: Exception) -> CogError:
    message = str(error)
    objects = re.search(r"Unsupported (?:global: GLOBAL|class) (\S+)", message)
    if "TorchScript" in message:
        what = "is TorchScript, which is a program"
    elif objects:
        what = f"holds Python objects beside tensors ({objects[1]})"
    else:
        # what torch says of bytes that are no pickle is advice to turn the safety off
        advice = message.startswith("Weights only load failed") or not message
        reason = type(error).__name__ if advice else message.splitlines()[0][:80]
        return CogError(
            f"{path} is not a whole weights file ({reason})",
            "give a safetensors or torch file; if it is one, it is damaged: fetch it again",
        )
    return CogError(
        f"{path} {what}; it is refused, because reading it would run its code",
        "save its tensors alone: safetensors.torch.save_file(state_dict, 'weights.safetensors')",
    )
