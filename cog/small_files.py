"""Small files from outside, read within bounds: JSON, text by lines, and numbers in them.

Whatever is wrong with their content is a `NotReadable`, whose text is part of a sentence for the
user. What the operating system refuses stays an OSError, so a missing file is FileNotFoundError.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from cog.object_storage import Url
from cog.storage import StoragePath

JSON_BYTES = 1 << 24  # parsed, a document takes up to 25 times as much memory
TEXT_BYTES = 1 << 30
LINE_LENGTH = 1 << 16
BLOCK_BYTES = 1 << 20  # read at once: what a file says of its size is not trusted
DIGITS = 20  # of a whole number of 64 bits
_MARKS_OF_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class NotReadable(ValueError):
    """Content that is not what it should be; the text says why, in one line."""


def read_small(path: StoragePath, most: int = TEXT_BYTES) -> bytes:
    """The bytes of a file that has at most `most` of them; not those of a pipe or a device.

    A pipe of the shell, `<(command)`, is read too. An object at a URL is loaded before it is
    measured.

    Raises:
        NotReadable: it is larger, or no file.
        OSError: it cannot be read.
    """
    if isinstance(path, Url):
        data = path.read_bytes()
    else:
        with open(_descriptor(path), "rb") as file:
            data = b"".join(_blocks(file, most))
    if len(data) > most:
        raise NotReadable(f"it has more than {most:,} bytes")
    return data


def _blocks(file: BinaryIO, most: int) -> Iterator[bytes]:
    """The content in blocks, until there are more than `most` bytes."""
    while most >= 0 and (block := file.read(BLOCK_BYTES)):
        most -= len(block)
        yield block


def _descriptor(path: Path) -> int:
    """A file opened to be read. A pipe in a folder may never get a writer, so it is refused."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(number).st_mode
    of_the_shell = stat.S_ISFIFO(mode) and str(path).startswith(("/dev/", "/proc/"))
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or of_the_shell):
        os.close(number)
        raise NotReadable("it is a pipe or a device, not a file")
    if of_the_shell:
        os.set_blocking(number, True)
    return number  # of a folder: `open` raises IsADirectoryError


class BoundedFile:
    """A file of which nobody reads more than it has, whatever it declares."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """`size`: how many bytes are left of the file."""
        self.file, self.left = file, size

    def read(self, count: int) -> bytes:
        """So many bytes.

        Raises:
            EOFError: there are fewer.
        """
        if count > self.left:
            raise EOFError(f"it declares {count:,} bytes, and {self.left:,} are left")
        self.left -= count
        return self.file.read(count)

    def readline(self) -> bytes:
        """A line, or what is left of it."""
        line = self.file.readline(self.left)
        self.left -= len(line)
        return line


def read_lines(path: StoragePath, errors: str = "strict") -> list[str]:
    """The lines of a text file in UTF-8, without their ends; `errors` as `bytes.decode` takes it.

    As everywhere here, a newline, a carriage return or both end a line, and nothing else does.

    Raises:
        NotReadable: it is larger than `TEXT_BYTES`, no file, not UTF-8, or has a line with a NUL or
            of more than `LINE_LENGTH` characters.
        OSError: it cannot be read.
    """
    lines = _with_newlines(_text(read_small(path), errors)).split("\n")
    return list(_checked(lines[:-1] if lines[-1] == "" else lines))


def _text(data: bytes, errors: str) -> str:
    if data.startswith(_MARKS_OF_UTF16):
        raise NotReadable("it is text in UTF-16: save it as UTF-8")
    try:
        return data.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise NotReadable(f"it is not text in UTF-8 (byte {error.start:,})") from error


def _checked(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if len(line) > LINE_LENGTH:
            raise NotReadable(f"line {number:,} has {len(line):,} characters")
        if "\0" in line:
            raise NotReadable(f"line {number:,} has a NUL character")
        yield line


def read_text(path: StoragePath, most: int = TEXT_BYTES) -> str:
    """A text file in UTF-8, with a newline at the end of each line.

    Raises:
        NotReadable: it has more than `most` bytes, is no file, not UTF-8, or has a NUL.
        OSError: it cannot be read.
    """
    text = _text(read_small(path, most), "strict")
    if "\0" in text:
        raise NotReadable(f"line {text[: text.index(chr(0))].count(chr(10)) + 1:,} has a NUL")
    return _with_newlines(text)


def _with_newlines(text: str) -> str:
    """Other ends of lines as newlines; a name may hold what `str.splitlines` splits at."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(
    path: StoragePath,
    most: int = JSON_BYTES,
    *,
    each_object: Callable[[dict[str, Any]], Any] | None = None,
) -> Any:
    """The document of a JSON file of at most `most` bytes, as `parse_json` gives it.

    Raises:
        NotReadable: as `parse_json`, or it is larger, or no file.
        OSError: it cannot be read.
    """
    return parse_json(read_small(path, most), most, each_object=each_object)


def parse_json(
    text: bytes | str,
    most: int = JSON_BYTES,
    *,
    lenient: bool = False,
    each_object: Callable[[dict[str, Any]], Any] | None = None,
) -> Any:
    """The document of a JSON text: what any program may hold, print and write again.

    Args:
        text: in UTF-8, where it is bytes.
        most: the most bytes or characters that are parsed.
        lenient: let NaN, infinities and long numbers pass as floats, where other programs write
            them beside what is of use.
        each_object: what is kept of each object, such as less; by default all.

    Raises:
        NotReadable: it is longer, no JSON, nested too deeply, has NaN, an infinity, a number of
            more than 64 bits, or a character that UTF-8 cannot hold.
    """
    if len(text) > most:
        raise NotReadable(f"it is JSON of more than {most:,} bytes")
    if isinstance(text, bytes):
        text = _text(text, "strict")
    whole, real = (_long_number, float) if lenient else (whole_number, finite_number)
    other = float if lenient else _no_number
    try:
        found = json.loads(
            text, parse_int=whole, parse_float=real, parse_constant=other, object_hook=each_object
        )
        if "\\u" in text:  # which may stand for half a character
            json.dumps(found, ensure_ascii=False).encode()
    except NotReadable:
        raise
    except RecursionError:
        raise NotReadable("it is JSON that is nested too deeply") from None
    except UnicodeEncodeError:
        raise NotReadable("it has half a character (a lone surrogate)") from None
    except ValueError as error:
        raise NotReadable(f"it is no JSON: {error}") from error
    return found


def _no_number(name: str) -> NoReturn:
    raise NotReadable(f"it has {name} as a number")


def _long_number(text: str) -> int | float:
    return int(text) if len(text) <= DIGITS else float(text)


def whole_number(text: str) -> int:
    """A whole number in decimal digits that int64 holds.

    >>> whole_number(" 22 "), whole_number("-1")
    (22, -1)

    Raises:
        NotReadable: the text is something else.
    """
    text = text.strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise NotReadable(f"expected a whole number, found {shown(text)}")
    number = int(text) if len(digits) <= DIGITS else None
    if number is None or not -(2**63) <= number < 2**63:
        raise NotReadable(f"expected a number that int64 holds, found {shown(text)}")
    return number


def finite_number(text: str) -> float:
    """A number that is neither NaN nor infinite, as a float.

    >>> finite_number("1e-3")
    0.001

    Raises:
        NotReadable: the text is something else.
    """
    try:
        number = float(text[: LINE_LENGTH + 1])
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or len(text) > LINE_LENGTH:
        raise NotReadable(f"expected a finite number, found {shown(text)}")
    return number


def shown(text: str, most: int = 40) -> str:
    """A text as an error shows it: printable, and its start alone if it is long.

    >>> shown("n0208\\t"), shown("9" * 5000, 4)
    ("'n0208\\\\t'", "'9999'… (5,000 characters)")
    """
    start = f"{text[:most]!a}"
    return start if len(text) <= most else f"{start}… ({len(text):,} characters)"
