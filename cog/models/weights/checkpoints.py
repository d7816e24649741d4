"""State dicts: taken out of the layout of their file, renamed by pure functions, loaded strictly.

- `read_checkpoint` gives the tensors of a file that `reading.py` has read without running code.
- A renaming takes a state dict and returns one; it changes no tensor.
- `load_strictly` puts every tensor of the file into the network and leaves none of the network's
  out, or says which do not fit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cog.errors import CogError
from cog.models.weights.reading import read_safely
from cog.models.weights.renames import StateDict, with_layout_of

_load_state_dict = nn.Module.load_state_dict  # torch's own: sources.strict_loading stands in for it
SHOWN = 3  # names of tensors shown of each kind


def read_checkpoint(path: Path, nested: str = "", trusted: str = "") -> OrderedDict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU.

    Args:
        path: the file.
        nested: the entry that holds them, where the file's layout wraps them in one (`model`); of
            alternatives split by | the first that is there, and bare tensors if the last is empty;
            `pycls` for the better of that library's two.
        trusted: see `cog.models.weights.reading.read_safely`.

    Raises:
        CogError: no such file, not a weights file, content that would run code, another layout.
    """
    content = read_safely(path, trusted)
    if not isinstance(content, Mapping):
        raise _wrong_layout(path, "tensors by name", content)
    entries = [better_state(content)] if nested == "pycls" else nested.split("|")
    entry = next((entry for entry in entries if entry and entry in content), "")
    if entry:
        content = content[entry]
    elif "" not in entries:
        raise _wrong_layout(path, f"an entry {' or '.join(map(repr, entries))}", content)
    if not isinstance(content, Mapping) or not content:
        raise _wrong_layout(path, "tensors by name", content)
    if not all(isinstance(value, Tensor) for value in content.values()):
        raise _wrong_layout(path, "nothing but tensors", content)
    return with_layout_of(content, content)


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


def better_state(content: Mapping[str, Any]) -> str:
    """The entry to take: the running mean of the weights where it was tested to err less.

    >>> better_state({"model_state": {}, "ema_state": {}, "test_err": 24.1, "ema_err": 23.9})
    'ema_state'
    >>> better_state({"model_state": {}})
    'model_state'
    """
    if "ema_state" in content and content.get("ema_err", 100) < content.get("test_err", 100):
        return "ema_state"
    return "model_state"
