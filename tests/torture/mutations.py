"""Files damaged at random: bits, cuts, spliced pieces, declared sizes, and values of text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

Rng = np.random.Generator
Mutation = Callable[[Rng, bytearray, bytes], "bytearray | bytes"]
"""random numbers, the file, another file of its kind → the damaged file"""

# What a field that declares a size may hold: nothing, the limits of its type, more than there is.
SIZES = (0, 1, 2, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 1 << 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEAD = 96  # bytes in which most formats declare what follows
LONGEST = 1 << 21


def _place(rng: Rng, data: bytes | bytearray) -> int:
    """A place in the file, every second time in its head or in its tail."""
    first, last = 0, max(len(data), 1)
    region = rng.random()
    if region < 0.35:
        last = min(last, HEAD)
    elif region < 0.5:
        first = max(0, last - HEAD)
    return int(rng.integers(first, last))


def _piece(rng: Rng, data: bytes | bytearray) -> slice:
    start = _place(rng, data)
    return slice(start, start + int(2 ** rng.uniform(0, np.log2(len(data) + 2))))


def _flip(rng: Rng, data: bytearray, _: bytes) -> bytearray:
    for _bit in range(int(2 ** rng.uniform(0, 6))):
        if data:
            data[_place(rng, data)] ^= 1 << int(rng.integers(8))
    return data


def _set_bytes(rng: Rng, data: bytearray, _: bytes) -> bytearray:
    part = _piece(rng, data)
    value = (0, 255, int(rng.integers(256)))[int(rng.integers(3))]
    data[part] = bytes([value]) * len(data[part])
    return data


def _cut(rng: Rng, data: bytearray, _: bytes) -> bytearray:
    return data[: int(rng.integers(0, len(data) + 1))]


def _remove(rng: Rng, data: bytearray, _: bytes) -> bytearray:
    del data[_piece(rng, data)]
    return data


def _repeat(rng: Rng, data: bytearray, _: bytes) -> bytearray:
    part = _piece(rng, data)
    times = min(int(2 ** rng.uniform(0, 12)), LONGEST // (len(data[part]) + 1))
    data[part] = bytes(data[part]) * max(times, 1)
    return data


def _splice(rng: Rng, data: bytearray, other: bytes) -> bytearray:
    at = _place(rng, data)
    data[at : at + int(rng.integers(0, 2)) * 64] = other[_piece(rng, other)]
    return data


def _swap(rng: Rng, data: bytearray, _: bytes) -> bytearray:
    first, second = sorted((_place(rng, data), _place(rng, data)))
    return data[second:] + data[first:second] + data[:first]


def _declare(rng: Rng, data: bytearray, _: bytes) -> bytearray:
    width = (1, 2, 4, 8)[int(rng.integers(4))]
    value = SIZES[int(rng.integers(len(SIZES)))] % (1 << 8 * width)
    at = _place(rng, data)
    data[at : at + width] = value.to_bytes(width, ("little", "big")[int(rng.integers(2))])
    return data


BYTES: tuple[Mutation, ...] = (
    _flip, _flip, _set_bytes, _cut, _remove, _repeat, _splice, _swap, _declare, _declare,
)  # fmt: skip

# Values that people, spreadsheets and other programs write.
VALUES = (
    "", "NaN", "nan", "inf", "-inf", "Infinity", "-Infinity", "1e999", "-1", "0", "-0", "1.5",
    "101", "1e308", "9" * 400, "9" * 5000, "9223372036854775808", "TRUE", "true", "False", "null",
    "None", "NA", "[]", "{}", '""', '"', "''", "\\", "\x00", "\x1b[31m", "\ufeff", "é", "\u202e",
    '"\\ud800"', "=cmd|' /C calc'!A0", "@SUM(1)", "../..", "/etc/passwd", "a" * 70_000,
    "[" * 100_000, '{"a":' * 50_000, ",", ";", "\t", "\n", "\r", "\r\n", "n00000000", "n99999999",
    "n02085272", "all", "1.0", "0x10", "1_000", " 1 ", "٣", "1e5", "[1, 2]", '{"a": 1}',
)  # fmt: skip
_TOKEN = re.compile(rb'"[^"\n]*"|[\w.+-]+|[^\w\s]')


def _value(rng: Rng, data: bytearray, _: bytes) -> bytearray:
    """Another value in the place of a word, a number, a text or a sign."""
    tokens = [*_TOKEN.finditer(bytes(data))]
    for token in [tokens[i] for i in rng.integers(0, len(tokens), 1)] if tokens else ():
        value = VALUES[int(rng.integers(len(VALUES)))]
        data[token.start() : token.end()] = value.encode("utf-8", "surrogatepass")
    return data


def _exchange(rng: Rng, data: bytearray, _: bytes) -> bytearray:
    """The value of one place in another."""
    tokens = [*_TOKEN.finditer(bytes(data))]
    if tokens:
        first, second = (tokens[int(i)] for i in rng.integers(0, len(tokens), 2))
        data[first.start() : first.end()] = second[0]
    return data


def _lines(rng: Rng, data: bytearray, other: bytes) -> bytes:
    """Lines that are missing, twice, out of order, or of another file."""
    lines = bytes(data).split(b"\n")
    at = int(rng.integers(len(lines)))
    kind = int(rng.integers(4))
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(int(rng.integers(len(lines))), lines[at])
    elif kind == 2:
        lines = [lines[int(i)] for i in rng.permutation(len(lines))]
    else:
        foreign = other.split(b"\n")
        lines.insert(at, foreign[int(rng.integers(len(foreign)))])
    return b"\n".join(lines)


def _encoding(rng: Rng, data: bytearray, _: bytes) -> bytes:
    """The text in another encoding, or with other ends of lines, or with a mark before it."""
    text = bytes(data).decode("utf-8", "replace")
    kind = int(rng.integers(6))
    if kind < 3:
        return text.encode(("utf-16", "utf-32", "latin-1")[kind], "replace")
    if kind == 3:
        return b"\xef\xbb\xbf" + bytes(data)
    return bytes(data).replace(*((b"\n", b"\r\n"), (b",", b";"))[kind - 4])


TEXT: tuple[Mutation, ...] = (
    _value, _value, _value, _value, _exchange, _exchange, _lines, _lines, _encoding, *BYTES[:7],
)  # fmt: skip


def mutated(rng: Rng, data: bytes, others: Sequence[bytes], text: bool = False) -> bytes:
    """`data`, damaged in one to four ways; pieces may come from one of the others."""
    found = bytearray(data)
    kinds = TEXT if text else BYTES
    for _ in range(1 + int(rng.integers(4) * rng.integers(2))):
        other = others[int(rng.integers(len(others)))]
        found = bytearray(kinds[int(rng.integers(len(kinds)))](rng, found, other))[:LONGEST]
    return bytes(found)
