"""State dicts: found in the layout of their file, and loaded strictly.

- `read_checkpoint` gives the tensors of a file; reading.py reads it without running its code.
- `load_strictly` puts every tensor of the file into the network. Every tensor of the network must
  come from the file; the error names those that do not fit.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from cog.errors import CogError
from cog.models.weights.reading import read_safely
from cog.models.weights.renames import HINT, StateDict, with_layout_of
from cog.progress import Notify

SHOWN = 3  # names of tensors of each kind in an error
LONGEST_PREFIX = 5  # parts of a name
MISSHAPEN = "of another shape"


def read_checkpoint(
    path: Path, nested: str = "", trusted: str = "", notify: Notify | None = None
) -> OrderedDict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU.

    Args:
        path: the file.
        nested: the entry that holds them, such as `model`. Of alternatives between | the first that
            is there; an empty last one allows tensors without an entry. `pycls`: the running
            mean of the weights if its test error is lower, as in that library's checkpoint.py.
        trusted: see `cog.models.weights.reading.read_safely`.
        notify: takes a line where the file has several sets of weights: which, and which is read.

    Raises:
        CogError: no such file, not a weights file, content that would run code, another layout.
    """
    content = read_safely(path, trusted)
    if not isinstance(content, Mapping):
        raise wrong_layout(path, "tensors by name", content)
    entries = nested.split("|")
    if nested == "pycls":
        mean_is_better = content.get("ema_err", 100) < content.get("test_err", 100)
        entries = ["ema_state"] * mean_is_better + ["model_state"]
    entry = next((entry for entry in entries if entry and entry in content), "")
    if entry:
        say_which_is_read(path, content, entry, notify)
        content = content[entry]
    elif "" not in entries:
        raise wrong_layout(path, f"an entry {' or '.join(map(repr, entries))}", content)
    if not isinstance(content, Mapping) or not content:
        raise wrong_layout(path, "tensors by name", content)
    if not all(isinstance(value, Tensor) for value in content.values()):
        raise wrong_layout(path, "nothing but tensors", content)
    return with_layout_of(content, content)


def sets_of_weights(content: Mapping[str, object]) -> dict[str, int]:
    """The entries of a file that hold nothing but tensors, and how many."""
    return {
        key: len(value)
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, Mapping) and value
        if all(isinstance(tensor, Tensor) for tensor in value.values())
    }


def say_which_is_read(
    path: Path, content: Mapping[str, object], entry: str, notify: Notify | None
) -> None:
    """Say which entry of a file is read, where another one has about as many tensors."""
    sets = sets_of_weights(content)
    alike = [key for key, count in sets.items() if 2 * count > sets.get(entry, 0)]
    if notify and entry in sets and len(alike) > 1:
        kind = " (a mean over the training)" if "ema" in entry else ""
        notify(f"{path} has the sets of weights {' and '.join(alike)}: {entry}{kind} is read")


Misfit = dict[str, list[str]]
"""the tensors that do not fit a network, by what is wrong with them"""


def misfit_error(misfit: Misfit, where: str) -> CogError:
    """The error for the user: the number of tensors of each kind, and the first few names."""
    found = "; ".join(f"{len(names)} {kind}: {first_few(names)}" for kind, names in misfit.items())
    prefix = _prefix_in_file(misfit)
    hint = (
        f"all names in the file begin with {prefix!r}, and the network's do not: save the tensors "
        f"without it, {{name.removeprefix({prefix!r}): tensor for name, tensor in tensors.items()}}"
    )
    return CogError(f"{where} does not fit the network; tensors {found}", hint if prefix else HINT)


def _prefix_in_file(misfit: Misfit) -> str:
    """What stands before the network's names in the file; empty unless it does before most."""
    missing = set(misfit.get("missing", ()))
    counts: Counter[str] = Counter()
    for name in misfit.get("unexpected", ()):
        parts = name.split(".")
        for length in range(1, min(len(parts), LONGEST_PREFIX + 1)):
            if ".".join(parts[length:]) in missing:
                counts[".".join(parts[:length]) + "."] += 1
    prefix, count = next(iter(counts.most_common(1)), ("", 0))
    return prefix if 2 * count > len(missing) else ""


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


def wrong_layout(path: Path, expected: str, content: object) -> CogError:
    """The error for the user: what a file should hold, what it holds, and where tensors are."""
    if isinstance(content, Mapping):
        others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
        found = f"{len(content)} entries, not tensors: {first_few(others) or 'none'}"
    else:
        found = f"a {type(content).__name__}"
    return CogError(f"{path}: expected {expected}, found {found}", _entry_hint(path, content))


def _entry_hint(path: Path, content: object) -> str:
    """What to do with a file whose tensors lie in entries of it."""
    inside = [*sets_of_weights(content)] if isinstance(content, Mapping) else []
    if not inside:
        return HINT
    which = (
        f"its entry {inside[0]} holds tensors"
        if len(inside) == 1
        else (f"its entries {first_few(inside)} hold tensors")
    )
    return (
        f"{which}: save the one that you want, "
        f"torch.save(torch.load('{path.name}', weights_only=True)['{inside[-1]}'], 'weights.pth')"
    )
