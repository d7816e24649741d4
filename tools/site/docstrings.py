"""Docstrings as Markdown: the examples in them become blocks of code. An extension of griffe."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)>>> (?:.+\n?)+", re.MULTILINE)


def fenced(docstring: str) -> str:
    """The text with a fence around each example, which ends at an empty line.

    >>> print(fenced("Adds.\\n\\n>>> [1 + 1]\\n[2]\\n\\nFast."))
    Adds.
    <BLANKLINE>
    ```pycon
    >>> [1 + 1]
    [2]
    ```
    <BLANKLINE>
    Fast.
    """
    return _EXAMPLE.sub(
        lambda found: f"{found[1]}```pycon\n{found[0].rstrip()}\n{found[1]}```\n", docstring
    )


class FencedExamples(griffe.Extension):
    """Fences the examples of every docstring that is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
