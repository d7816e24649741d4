"""State dicts: found in the layout of their file, and loaded strictly.

- `read_checkpoint` gives the tensors of a file; reading.py reads it without running its code.
- `load_strictly` puts every tensor of the file into the network. Every tensor of the network must
  come from the file; the error names those that do not fit.
- loading.py does both, and says what to type where a key is all that stands in the way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from cog.errors import CogError
from cog.models.weights.entries import entries_of, is_mean, tensors_under
from cog.models.weights.reading import read_safely
from cog.models.weights.renames import HINT, StateDict, with_layout_of
from cog.progress import Notify

SHOWN = 3  # names of tensors of each kind in an error
FEW_PARTS = 3  # of an entry, to be shown one by one: a network has more
MISSHAPEN = "of another shape"


def read_checkpoint(
    path: Path,
    nested: str = "",
    trusted: str = "",
    notify: Notify | None = None,
    key: str | None = None,
) -> OrderedDict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU: `tensors_in` of what it holds.

    `trusted`: see `cog.models.weights.reading.read_safely`.

    Raises:
        CogError: no such file, not a weights file, content that would run code, another layout.
    """
    return tensors_in(path, read_safely(path, trusted), nested, notify, key)


def tensors_in(
    path: Path,
    content: object,
    nested: str = "",
    notify: Notify | None = None,
    key: str | None = None,
) -> OrderedDict[str, Tensor]:
    """The tensors by name of a file that has been read.

    Args:
        path: the file, for errors.
        content: what it holds.
        nested: the entry that holds the tensors, such as `model`. Of alternatives between | the
            first that is there; an empty last one allows tensors without an entry. `pycls`: the
            running mean of the weights if its test error is lower, as in that library's
            checkpoint.py.
        notify: takes a line where the file has several sets of weights: which, and which is read.
        key: the user's choice among these sets, in place of `nested`; see entries.py.

    Raises:
        CogError: another layout, or no such key.
    """
    if not isinstance(content, Mapping):
        raise wrong_layout(path, "tensors by name", content)
    if key:
        return _chosen(path, content, key.rstrip("."))
    entries = nested.split("|")
    if nested == "pycls":
        mean_is_better = content.get("ema_err", 100) < content.get("test_err", 100)
        entries = ["ema_state"] * mean_is_better + ["model_state"]
    entry = next((name for name in entries if name and content.get(name) is not None), "")
    tensors: object = content
    if entry:
        say_which_is_read(path, content, entry, notify)
        tensors = content[entry]
    elif "" not in entries:
        raise wrong_layout(path, f"an entry {' or '.join(map(repr, entries))}", content)
    if not isinstance(tensors, Mapping) or not _has_tensors(tensors):
        raise wrong_layout(path, "tensors by name", tensors, content)
    if not all(isinstance(value, Tensor) for value in tensors.values()):
        raise wrong_layout(path, "nothing but tensors", tensors, content)
    return with_layout_of(tensors, tensors)


def _has_tensors(tensors: Mapping[str, object]) -> bool:
    return any(isinstance(value, Tensor) for value in tensors.values())


def _chosen(path: Path, content: object, key: str) -> OrderedDict[str, Tensor]:
    tensors = tensors_under(content, key)
    if tensors is None:
        there = "; ".join(_sets_in_words(content)) or "none"
        raise CogError(
            f"{path} has no weights under {key!r}",
            f"give --weights-key one of the sets of weights in it: {there}",
        )
    return with_layout_of(tensors, tensors)


def _sets_in_words(content: object) -> list[str]:
    """Each set of weights of a file, how many tensors it has, and its parts where they are few."""
    words = []
    for entry, tensors in entries_of(content).items():
        parts = list(dict.fromkeys(name.partition(".")[0] for name in tensors if "." in name))
        keys = [f"{entry}.{part}" if entry else part for part in parts]
        few = f", such as {' and '.join(keys)}" if 0 < len(parts) <= FEW_PARTS else ""
        words.append(f"{entry or 'without an entry'} ({len(tensors)} tensors{few})")
    return words


def say_which_is_read(
    path: Path, content: Mapping[str, object], entry: str, notify: Notify | None
) -> None:
    """Say which entry of a file is read, where another one has about as many tensors."""
    sets = {key: len(tensors) for key, tensors in entries_of(content).items()}
    others = [key for key, count in sets.items() if 2 * count > sets.get(entry, 0) and key]
    if notify and entry in others and len(others) > 1:
        others.remove(entry)
        kind = " (a mean over the training)" if is_mean(entry) else ""
        choices = " or ".join(f"--weights-key {key}" for key in others)
        notify(f"{path}: its weights {entry}{kind} are read; {choices} reads the others")


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
        misfit = compare(network.state_dict(), state_dict)
        if not misfit[MISSHAPEN]:
            raise CogError(f"{where}: {error}", HINT) from error
    return {kind: names for kind, names in misfit.items() if names}


def compare(wanted: StateDict, given: StateDict) -> Misfit:
    """What would be missing, unexpected or misshapen where `given` is loaded for `wanted`."""
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


def wrong_layout(path: Path, expected: str, content: object, whole: object = None) -> CogError:
    """The error for the user: what a file should hold, what it holds, and where tensors are.

    `whole`: the whole file, if `content` is an entry of it.
    """
    if isinstance(content, Mapping):
        others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
        found = f"{len(content)} entries, not tensors: {first_few(others) or 'none'}"
    else:
        found = f"a {type(content).__name__}"
    inside = _sets_in_words(content if whole is None else whole)
    hint = f"give --weights-key one of the sets of weights in it: {'; '.join(inside)}"
    return CogError(f"{path}: expected {expected}, found {found}", hint if inside else HINT)
