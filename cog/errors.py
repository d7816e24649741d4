"""The one kind of error that users see: what is wrong, and what to do about it, said once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence


class CogError(Exception):
    """Something that the user can put right.

    The command line prints `what` and `hint` on two lines and exits with status 2.
    """

    def __init__(self, what: str, hint: str) -> None:
        """`what`: what was expected and what was found. `hint`: what to type."""
        super().__init__(f"{what}\n{hint}")
        self.what = what
        self.hint = hint

    def __reduce__(self) -> tuple[type[CogError], tuple[str, str]]:
        """How it is pickled, to come from another process."""
        return type(self), (self.what, self.hint)


_LONGEST = 200  # of an unknown name: more is neither shown nor compared


def unknown_name(kind: str, name: str, known: Iterable[str]) -> CogError:
    """The error for a name that is not among the `known` ones; it shows the three nearest.

    >>> unknown_name("measure", "lim", ["lin", "resnik", "path"]).what
    "unknown measure 'lim'"
    """
    choices, name = list(known), str(name)[:_LONGEST]
    folded = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.0)
    return CogError(
        f"unknown {kind} {name!r}", f"nearest: {', '.join(folded[match] for match in near)}"
    )


Say = Callable[[Mapping[str, str], int, int], tuple[str, str]]
"""what and hint of the classes that have a fault (name → why), of all in how many datasets"""


class ClassesError(CogError):
    """An error about classes of a dataset; `one_error` makes one of those of several datasets."""

    def __init__(self, say: Say, classes: Mapping[str, str], wanted: int, same: Hashable) -> None:
        """`classes`: name → why, of `wanted`. Errors with equal `same` differ in these alone."""
        super().__init__(*say(classes, wanted, 1))
        self.say, self.classes, self.wanted, self.same = say, dict(classes), wanted, same

    def __reduce__(self) -> tuple[type[CogError], tuple[str, str]]:
        """How it is pickled: as the error that one reads."""
        return CogError, (self.what, self.hint)


def one_error(errors: Sequence[tuple[str, CogError]]) -> CogError:
    """The errors of some datasets as one, in which what concerns several of them is said once.

    >>> one_error([("L1", CogError("no root", "give one")), ("L2", CogError("no root", ""))]).what
    'L1, L2: no root'
    """
    groups: dict[Hashable, list[tuple[str, CogError]]] = {}
    for name, error in errors:
        same = error.same if isinstance(error, ClassesError) else error.what
        groups.setdefault(same, []).append((name, error))
    texts = [(", ".join(name for name, _ in group), *_one_of(group)) for group in groups.values()]
    hints = {hint: names for names, _, hint in reversed(texts)}
    advice = [f"{names}: {hint}" for hint, names in reversed(hints.items())]
    return CogError(
        "; ".join(f"{names}: {what}" for names, what, _ in texts),
        "; ".join(advice) if len(hints) > 1 else texts[0][2],
    )


def _one_of(group: Sequence[tuple[str, CogError]]) -> tuple[str, str]:
    """What and hint of the errors of a group, which are the same."""
    first = group[0][1]
    alike = [error for _, error in group if isinstance(error, ClassesError)]
    if len(group) == 1 or not isinstance(first, ClassesError):
        return first.what, first.hint
    classes = {name: why for error in alike for name, why in error.classes.items()}
    return first.say(classes, sum(error.wanted for error in alike), len(group))


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during work that the same command continues; its text says so."""
