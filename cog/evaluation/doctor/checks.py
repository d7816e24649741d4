"""One check: what was expected, what was found, and what to do where they disagree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cog.errors import CogError


@dataclass(frozen=True)
class Check:
    """A claim about this machine that was tried."""

    name: str
    passed: bool | None
    """None: it could not be tried here, and `found` says why"""
    expected: str
    found: str
    hint: str = ""
    """what to do, where it failed"""


def not_tried(name: str, expected: str, why: str) -> Check:
    """A check that cannot be tried on this machine."""
    return Check(name, None, expected, why)


def tried(name: str, expected: str, make: Callable[[], Check]) -> Check:
    """The check that `make` gives; one that failed, where it raises what a device may raise."""
    try:
        return make()
    except CogError as error:
        return Check(name, False, expected, error.what, error.hint)
    except (RuntimeError, TypeError) as error:  # a device may lack an operation, or a type
        found = " ".join(str(error).partition("\n")[0].split())
        hint = "look at the driver and at the version of torch, or give --device cpu"
        return Check(name, False, expected, f"{type(error).__name__}: {found}", hint)
