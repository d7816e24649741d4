"""Bad content for readers of small files, and a way to see that they hold."""

from __future__ import annotations

import copy
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cog.errors import CogError

BAD: dict[str, bytes] = {
    "empty": b"",
    "NUL": b"\0" * 1000,
    "a NUL in a line": b"n02084071\nn0212\x001620 1\n",
    "UTF-16": "n02084071\n".encode("utf-16"),
    "Latin-1": b"caf\xe9 n02084071\n",
    "900,000 digits": b"9" * 900_000,
    "half a million brackets": b"[" * 500_000,
    "closed brackets": b"[" * 200_000 + b"]" * 200_000,
    "half a million braces": b'{"a":' * 500_000,
    "half a character": rb'{"a": "\ud800", "\udfff": 1}',
    "NaN": b'{"a": NaN}',
    "Infinity": b"-Infinity",
    "a number": b"3",
    "null": b"null",
    "a list": b"[1, 2]",
    "quotes": b'"' * 300_000 + b"\n",
    "a field of a megabyte": b'wnid,images\n"' + b"n" * 1_000_000 + b'",1\n',
    "commas": b"," * 300_000,
    "carriage returns": b"\r" * 1000,
    "escapes": b"\x1b[2J\x1b]0;owned\x07\n",
}


@contextmanager
def seconds(limit: int) -> Iterator[None]:
    """Fail where the block takes longer; what hangs in C is killed."""
    if not hasattr(signal, "alarm"):
        yield
        return
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)


def holds(read: Callable[[], Any]) -> str:
    """Read; the error, if it is one for the user, in one line of a length that can be read."""
    with seconds(60):
        try:
            read()
        except CogError as error:
            what = error.what
        except OSError as error:  # the command line makes two lines of it
            what = error.strerror or ""
        else:
            what = ""
    assert len(what) < 1000, what[:2000]
    return what


VALUES: list[Any] = [
    None, True, -1, 0, 2**63 - 1, 1.5, "", "x", "\x1b[2J", "a\0b", "n" * 5000, [], [[1]], {},
    {"a": {}},
]  # fmt: skip
TEXTS = ["NaN", "Infinity", "1e999", "9" * 400, "9" * 5000, r'"\ud800"', "[" * 5000]


def changed(document: Any) -> Iterator[str]:
    """The document as JSON, each time with one value, or one key, that is another."""
    for place in list(places(document)):
        for value in [*VALUES, *TEXTS]:
            new = copy.deepcopy(document)
            inside = new
            for step in place[:-1]:
                inside = inside[step]
            inside[place[-1]] = "@@" if value in TEXTS else value
            yield json.dumps(new).replace('"@@"', str(value))
        new = copy.deepcopy(document)
        inside = new
        for step in place[:-1]:
            inside = inside[step]
        del inside[place[-1]]
        yield json.dumps(new)


def places(document: Any) -> Iterator[tuple[Any, ...]]:
    keys = document if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield (key,)
        if isinstance(document[key], dict | list):
            for below in places(document[key]):
                yield (key, *below)
