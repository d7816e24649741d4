"""A network filled from a weights file, or an error that names the key with which it would be.

What a training program saves often differs from a published file by an entry or a prefix alone.
Where a file does not fit, every set of weights in it is tried by the same renaming, without filling
the network; if one fits, the error says what to type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from torch import nn

from cog.errors import CogError
from cog.models.weights.checkpoints import (
    Misfit,
    compare,
    fill,
    first_few,
    misfit_error,
    tensors_in,
)
from cog.models.weights.entries import is_mean, keys_of, tensors_under
from cog.models.weights.reading import read_safely
from cog.models.weights.renames import StateDict
from cog.progress import Notify

Prepare = Callable[[StateDict, str], StateDict]
"""the file's tensors under the network's names; it also takes the key by which they were chosen, or
nothing where they lie as published"""

NEARLY = 10  # at most one tensor in so many may be wrong where a key is said to be the nearest


def load_file(
    network: nn.Module,
    path: Path,
    nested: str = "",
    prepare: Prepare = lambda tensors, _: tensors,
    *,
    key: str | None = None,
    trusted: str = "",
    notify: Notify | None = None,
    tolerate: Callable[[Misfit], bool] = lambda _: False,
) -> None:
    """Fill `network` from a file, every tensor of both; after an error it is half filled.

    Args:
        network: with the classes of the file, in place.
        path: the file.
        nested: where its tensors lie, as `checkpoints.tensors_in` has it.
        prepare: gives them the network's names.
        key: the set of weights that the user chose, in place of `nested`.
        trusted: as `reading.read_safely` has it.
        notify: takes a line where the file has several sets of weights.
        tolerate: whether a load with these misfits counts as whole.

    Raises:
        CogError: as `checkpoints.read_checkpoint` and `checkpoints.load_strictly` do. Where another
            key fits, or nearly, the hint has it.
    """
    content = read_safely(path, trusted)
    wrong: int | None = None
    try:
        tensors = prepare(tensors_in(path, content, nested, notify, key), key or "")
        misfit = fill(network, tensors, str(path))
        if not misfit or tolerate(misfit):
            return
        error = misfit_error(misfit, str(path))
        wrong = sum(map(len, misfit.values()))
    except CogError as found:
        error = found
    wanted = network.state_dict()

    def not_fitting(tensors: StateDict, key: str) -> list[str]:
        misfit = compare(wanted, prepare(tensors, key))
        return [name for names in misfit.values() for name in names]

    hint = what_to_type(content, len(wanted), not_fitting, wrong)
    raise CogError(error.what, hint or error.hint)


def what_to_type(
    content: object,
    count: int,
    not_fitting: Callable[[StateDict, str], Sequence[str]],
    wrong: int | None = None,
) -> str:
    """The keys with which the weights of a checkpoint fit, as a hint; empty if none does.

    Args:
        content: what the file holds.
        count: the number of tensors of the network; sets with less than half of them are not tried.
        not_fitting: the names of what would not fit, of a set of weights and its key. A set with
            which it fails does not fit.
        wrong: how many did not fit in the load that failed: if no key fits, the nearest is named,
            where it has fewer, and few.
    """
    trials = list(_trials(content, max(1, count // 2), not_fitting))
    fitting = [key for key, names in trials if not names]
    shortest = [key for key in fitting if not any(key.startswith(f"{other}.") for other in fitting)]
    if shortest:
        means = [f" ({key} is a mean over the training)" for key in shortest if is_mean(key)]
        return f"give {_typed(shortest)}: all its tensors fit{''.join(means)}"
    near = min(trials, key=lambda trial: len(trial[1]), default=None)
    if near and len(near[1]) <= count // NEARLY and (wrong is None or len(near[1]) < wrong):
        return f"nearest is {_typed([near[0]])}, where {first_few(near[1])} do not fit"
    return ""


def _trials(
    content: object, smallest: int, not_fitting: Callable[[StateDict, str], Sequence[str]]
) -> Iterator[tuple[str, Sequence[str]]]:
    """Each key that has enough tensors, and what would not fit of them."""
    for key in filter(None, keys_of(content, smallest)):
        tensors = tensors_under(content, key) or {}
        with suppress(Exception):  # any: renamings of libraries fail on names that they do not know
            yield key, not_fitting(tensors, key)


def _typed(keys: list[str]) -> str:
    return " or ".join(f"--weights-key {key}" for key in keys)
