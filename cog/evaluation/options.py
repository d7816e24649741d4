"""How options are read that may come as text. Imports nothing heavy: `--help` needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from cog.errors import CogError

Value = TypeVar("Value")


def read_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Names, each once.

    >>> read_names("L1, L5,L1")
    ('L1', 'L5')
    """
    return _read_list(names, str, "names", "L1,L5")


def read_seeds(seeds: str | Iterable[int]) -> tuple[int, ...]:
    """Seeds, each once.

    >>> read_seeds("22,37")
    (22, 37)
    """
    return _read_list(seeds, int, "seeds", "22,37")


def read_shots(shots: str | Iterable[int | None]) -> tuple[int | None, ...]:
    """Numbers of training images per class, each once; None stands for all of them.

    >>> read_shots("all,1,2")
    (None, 1, 2)
    """

    def read(text: str) -> int | None:
        return None if text == "all" else int(text)

    found = _read_list(shots, read, "shots", "all,1,2,4")
    for number in found:
        if number is not None and number < 1:
            raise CogError(
                f"shots are numbers from 1 up, or all; found {number}", "for example all,1,2,4"
            )
    return found


def _read_list(
    given: str | Iterable[Value], read: Callable[[str], Value], what: str, example: str
) -> tuple[Value, ...]:
    """The values of a list, each once, in their order."""
    if not isinstance(given, str):
        return tuple(dict.fromkeys(given))
    try:
        values = [read(part.strip()) for part in given.split(",") if part.strip()]
    except ValueError:
        values = []
    if not values:
        raise CogError(
            f"expected {what} with commas between them, found {given!r}", f"for example {example}"
        )
    return tuple(dict.fromkeys(values))


READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("images", "in1k", "split", "weights"), Path),
    **dict.fromkeys(("only", "probes"), read_names),
    "shots": read_shots,
    "seeds": read_seeds,
}
"""how the options are read that may come as text"""


def field_names(kind: type[Any]) -> list[str]:
    """The options that a dataclass holds."""
    return [field.name for field in fields(kind)]


def read_options(names: Iterable[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that have these names, read; without None, which leaves a default.

    >>> read_options(("only", "split"), {"only": "L1,L5", "split": None, "images": "photos"})
    {'only': ('L1', 'L5')}
    """
    return {
        name: READERS[name](value) if name in READERS else value
        for name in names
        if (value := options.get(name)) is not None
    }
