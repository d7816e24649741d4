"""The parts of a split by their names: which trains, and which tests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

TRAIN = ("train", "training")
TESTS = ("test", "testing", "val", "valid", "validation")
_TRAIN_WORD = re.compile(r"(?<![A-Za-z])train(ing)?(?![A-Za-z])")


class Chosen(NamedTuple):
    """The parts of a split that are used."""

    train: str
    test: str
    others: tuple[str, ...]  # parts that could have trained or tested


def choose_parts(names: Iterable[str]) -> Chosen | None:
    """The parts that train and test, by name without regard to case; None where one lacks.

    Of several that could test, `test` goes before `val`; of `test` and `Test`, the former.

    >>> choose_parts(["Train", "val", "test", "extra", "train"])
    Chosen(train='train', test='test', others=('Train', 'val'))
    """
    small_first = sorted(names, reverse=True)
    train, tests = (
        [name for part in parts for name in small_first if name.lower() == part]
        for parts in (TRAIN, TESTS)
    )
    if not (train and tests):
        return None
    return Chosen(train[0], tests[0], (*train[1:], *tests[1:]))


def tests_beside(file: Path) -> dict[str, Path]:
    """The files of the test parts that lie beside a file of a training part, by part.

    Names differ in the part alone: `real_train.txt` and `real_test.txt`, `train2018.json` and
    `val2018.json`. None lie beside a file without `train` in its name.
    """
    word = _TRAIN_WORD.search(file.name)
    if word is None:
        return {}
    before, after = file.name[: word.start()], file.name[word.end() :]
    beside = {part: file.with_name(before + part + after) for part in TESTS}
    return {part: other for part, other in beside.items() if other.is_file()}


def train_beside(file: Path) -> Path | None:
    """The file of the training part that lies beside one of a test part, see `tests_beside`."""
    for beside in sorted(file.parent.glob(f"*{file.suffix}")):
        if file in tests_beside(beside).values():
            return beside
    return None


def unused_note(chosen: Chosen) -> tuple[str, ...]:
    """What is said of parts that are not used."""
    return tuple(
        f"{other} is not used: {chosen.train} trains and {chosen.test} tests"
        for other in chosen.others
    )
