"""State dicts: found in the layout of their file, and loaded strictly.

- `read_checkpoint` gives the tensors of a file; reading.py reads it without running its code.
- `load_strictly` puts every tensor of the file into the network. Every tensor of the network must
  come from the file; the error names those that do not fit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from cog.errors import CogError
from cog.models.weights.reading import read_safely
from cog.models.weights.renames import HINT, StateDict, with_layout_of

SHOWN = 3  # names of tensors of each kind in an error
MISSHAPEN = "of another shape"


def read_checkpoint(path: Path, nested: str = "", trusted: str = "") -> OrderedDict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU.

    Args:
        path: the file.
        nested: the entry that holds them, such as `model`. Of alternatives between | the first that
            is there; an empty last one allows tensors without an entry. `pycls`: the running
            mean of the weights if its test error is lower, as in that library's checkpoint.py.
        trusted: see `cog.models.weights.reading.read_safely`.

    Raises:
        CogError: no such file, not a weights file, content that would run code, another layout.
    """
    content = read_safely(path, trusted)
    if not isinstance(content, Mapping):
        raise _wrong_layout(path, "tensors by name", content)
    entries = nested.split("|")
    if nested == "pycls":
        mean_is_better = content.get("ema_err", 100) < content.get("test_err", 100)
        entries = ["ema_state"] * mean_is_better + ["model_state"]
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


Misfit = dict[str, list[str]]
"""the tensors that do not fit a network, by what is wrong with them"""


def misfit_error(misfit: Misfit, where: str) -> CogError:
    """The error for the user: the number of tensors of each kind, and the first few names."""
    found = "; ".join(f"{len(names)} {kind}: {first_few(names)}" for kind, names in misfit.items())
    return CogError(f"{where} does not fit the network; tensors {found}", HINT)


def load_strictly(network: nn.Module, state_dict: StateDict, where: str) -> None:
    """Fill `network` from `state_dict`, every tensor of both; after an error it is half filled.

    `where`: where the tensors come from, for the error.

    Raises:
        CogError: tensors that are missing, unexpected or of another shape, by name.
    """
    if misfit := fill(network, state_dict, where):
        raise misfit_error(misfit, where)


def fill(network: nn.Module, state_dict: StateDict, where: str) -> Misfit:
    """Put the tensors of `state_dict` that fit into `network`, and return those that do not.

    If shapes differ, torch stops half-way, and the network is not usable.

    Raises:
        CogError: torch refuses the tensors for another reason.
    """
    try:
        result = network.load_state_dict(state_dict, strict=False)
        misfit = {"missing": result.missing_keys, "unexpected": result.unexpected_keys}
    except RuntimeError as error:  # torch raises for shapes even when it is not strict
        misfit = _compare(network.state_dict(), state_dict)
        if not misfit[MISSHAPEN]:
            raise CogError(f"{where}: {error}", HINT) from error
    return {kind: names for kind, names in misfit.items() if names}


def _compare(wanted: StateDict, given: StateDict) -> Misfit:
    return {
        "missing": [
            name
            for name in wanted
            if name not in given and not name.endswith("num_batches_tracked")  # torch adds it
        ],
        "unexpected": [name for name in given if name not in wanted],
        MISSHAPEN: [
            f"{name} (expected {list(wanted[name].shape)}, found {list(tensor.shape)})"
            for name, tensor in given.items()
            if name in wanted and wanted[name].shape != tensor.shape
        ],
    }


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
    return CogError(f"{path}: expected {expected}, found {found}", HINT)
