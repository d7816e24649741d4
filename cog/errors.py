"""The one kind of error that users see: what is wrong, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during work that the same command continues; its text says so."""
