"""An extension of griffe: examples become blocks of code, and comments on fields are shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)>>> (?:.+\n?)+", re.MULTILINE)


def fenced(docstring: str) -> str:
    """The text with a fence around each example, which ends at an empty line."""
    return _EXAMPLE.sub(
        lambda found: f"{found[1]}```pycon\n{found[0].rstrip()}\n{found[1]}```\n", docstring
    )


class Readable(griffe.Extension):
    """Fences examples, and lists the fields of a class with the comments behind them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Called by griffe for each class, once its members are known."""
        text = cls.docstring.value if cls.docstring else ""
        if "Args:" in text:  # what __init__ says beside it is for those who read the code
            if "__init__" in cls.members:
                cls.members["__init__"].docstring = None
        elif cls.docstring and (fields := [*_commented(cls)]):
            cls.docstring.value = "\n".join([text, "", "Attributes:", *fields])


def _commented(cls: griffe.Class) -> Iterator[str]:
    """The fields of a class that have a comment behind them, as lines of a docstring."""
    lines = Path(str(cls.filepath)).read_text(encoding="utf-8").splitlines()
    for name, field in cls.attributes.items():
        comment = lines[(field.endlineno or 1) - 1].partition("  # ")[2]
        if comment and comment != "fmt: skip" and not field.docstring and name[0] != "_":
            yield f"    {name}: {comment}"
