"""What the values of a column of results.csv are: of a cell's JSON, or of a text in a table.

One `Kind` checks both: a value that does not fit is never made to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from cog.plain_text import from_spreadsheet

_LARGEST = 2**63  # of an int64


@dataclass(frozen=True)
class Kind:
    """What the values of a column are."""

    expected: str  # for messages
    fits: Callable[[Any], bool]
    """whether a value of a cell or of a table is of this kind; None is asked of no kind"""
    read: Callable[[pd.Series[Any]], pd.Series[Any]]
    """values that fit, and None, with the dtype of the table"""
    parse: Callable[[str], Any]
    """the value that a text of a table stands for; of no kind where it stands for none"""
    numeric: bool = False
    order: Callable[[Any], Any] = lambda value: value  # what values are sorted by


def _texts(raw: pd.Series[Any]) -> pd.Series[Any]:
    """Text has no missing values: empty means that nobody knows."""
    return raw.astype("object").fillna("").astype(str)


def _shots(raw: pd.Series[Any]) -> pd.Series[Any]:
    return pd.Series(list(raw), dtype="object")


def _flags(raw: pd.Series[Any]) -> pd.Series[Any]:
    flags = raw.map({True: True, False: False})
    return flags.astype("boolean" if flags.isna().any() else "bool")


def _parse_number(text: str) -> int | float | str:
    """Digits as Python writes them, and spreadsheets with a decimal point."""
    text = text.strip()
    if re.fullmatch(r"[+-]?[0-9]{1,20}", text):
        return int(text)
    real = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", text, re.IGNORECASE)
    return float(text) if real else text


def _parse_integer(text: str) -> int | float | str:
    number = _parse_number(text)
    whole = isinstance(number, float) and number.is_integer()
    return int(number) if whole else number


def _parse_flag(text: str) -> bool | str:
    """True and false in any case, as spreadsheets have them, and 1 and 0."""
    flags = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
    return flags.get(text.strip().casefold(), text)


def _is_text(value: Any) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character
        return False
    return True


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < _LARGEST
    return type(value) is float and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_count(value: Any) -> bool:
    return _is_number(value) and 0 <= value < _LARGEST and value == int(value)


TEXT = Kind("text", _is_text, _texts, from_spreadsheet)
NUMBER = Kind("a number", _is_number, pd.to_numeric, _parse_number, numeric=True)
INTEGER = replace(NUMBER, expected="an integer", fits=_is_integer, parse=_parse_integer)
COUNT = replace(NUMBER, expected="a whole number from 0 up", fits=_is_count)
"""how many; where some rows of a table lack it, the others have it as 3.0"""
SIZE = replace(
    NUMBER, expected="a whole number from 1 up", fits=lambda value: _is_count(value) and value > 0
)
PERCENT = replace(
    NUMBER, expected="a percentage", fits=lambda value: _is_number(value) and 0 <= value <= 100
)
ALL_OR_INTEGER = Kind(
    "all or an integer", lambda value: value == "all" or (_is_integer(value) and value > 0),
    _shots, lambda text: "all" if text == "all" else _parse_integer(text),
)  # fmt: skip
FLAG = Kind("true or false", lambda value: isinstance(value, bool), _flags, _parse_flag)
