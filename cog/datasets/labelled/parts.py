"""The parts of a split by their names: which trains, and which tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

TRAIN = ("train", "training")
TESTS = ("test", "testing", "val", "valid", "validation")


class Chosen(NamedTuple):
    """The parts of a split that are used."""

    train: str
    test: str
    others: tuple[str, ...]  # parts that could have tested


def choose_parts(names: Iterable[str]) -> Chosen | None:
    """The parts that train and test, by name without regard to case; None where one lacks.

    Of several that could test, `test` goes before `val`.

    >>> choose_parts(["Train", "val", "test", "extra"])
    Chosen(train='Train', test='test', others=('val',))
    """
    known = {name.lower(): name for name in names}
    train = [known[name] for name in TRAIN if name in known]
    tests = [known[name] for name in TESTS if name in known]
    return Chosen(train[0], tests[0], tuple(tests[1:])) if train and tests else None


def unused_note(chosen: Chosen) -> tuple[str, ...]:
    """What is said of parts that are not used."""
    return tuple(
        f"{other} is not used: {chosen.train} trains and {chosen.test} tests"
        for other in chosen.others
    )
