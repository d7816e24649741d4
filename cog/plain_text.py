"""Text from outside, made harmless where people open it: in spreadsheets and in terminals.

- A spreadsheet takes a field that begins with one of `=+-@` for a formula, which may read files and
  start programs. Such text gets an apostrophe before it, as people type it to say that it is text;
  numbers stay. `from_spreadsheet` gives the text back, whatever it was: text that has apostrophes
  before such a character gets one more.
- A terminal obeys control characters: an escape sequence may hide or change lines that were
  printed, and marks of the writing direction show text in another order than it has. They are
  shown as Python writes them, such as \\x1b.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SHOWN = 10  # names in a message
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_FIELD = r"(?:^|(?<=[;\t\r\n]))"  # where another program may see the beginning of a field
_FORMULA = re.compile(rf"{_FIELD}('*[=+\-@＝＋－＠\t\r])")
_WAS_FORMULA = re.compile(rf"{_FIELD}'('*[=+\-@＝＋－＠\t\r])")
_HALVES = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def for_spreadsheet(text: str) -> str:
    """Text that no spreadsheet takes for a formula.

    >>> for_spreadsheet("=1+1"), for_spreadsheet("'=1"), for_spreadsheet("-0.5")
    ("'=1+1", "''=1", '-0.5')
    """
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub(r"'\1", text)


def from_spreadsheet(text: str) -> str:
    """The text that `for_spreadsheet` was given.

    >>> from_spreadsheet("'=1+1"), from_spreadsheet("''=1"), from_spreadsheet("'a")
    ('=1+1', "'=1", "'a")
    """
    return _WAS_FORMULA.sub(r"\1", text)


def for_terminal(text: str) -> str:
    r"""Text with its control characters shown; tabs and ends of lines stay.

    >>> for_terminal("red \x1b[31m\u202e")
    'red \\x1b[31m\\u202e'
    """
    return _CONTROL.sub(_shown, text)


def printable(name: str) -> str:
    r"""A name in one line: what would move or colour the text around it is shown.

    >>> printable("größe"), printable("a\n\x1b[31mb")
    ('größe', 'a\\n\\x1b[31mb')
    """
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in name)


def first_names(names: Sequence[str]) -> str:
    """The first ten of some names in one line, and how many more there are.

    >>> first_names(["a", "b"]), first_names("abcdefghijkl")
    ('a, b', 'a, b, c, d, e, f, g, h, i, j and 2 more')
    """
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(printable, names[:_SHOWN])) + more


def for_file(text: str) -> str:
    r"""Text that can be written: halves of characters, of undecodable names, are shown.

    >>> for_file("a\udcff")
    'a\\udcff'
    """
    return _HALVES.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
