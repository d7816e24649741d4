"""A first pass over the pickles of a torch file, which makes no object that it calls for.

A tuple may hold another one twice, that one a third one twice, and so on: sixty such tuples take a
few bytes, and the hash of the last one takes for ever. torch would take it as a key of a dict.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

from cog.errors import CogError
from cog.small_files import BoundedFile

_OLD_PICKLES = 5  # in a file of torch below 1.6: magic number, protocol, machine, content, keys
_SMALL = 1000  # values, seen from a tuple, that any file may have


def refuse_endless_hashes(source: Path | bytes) -> None:
    """Refuse a torch file with a tuple from which more values are seen than the pickle has bytes.

    Anything else that is wrong is left for torch to say.

    Raises:
        CogError: there is such a tuple.
    """
    with ExitStack() as stack, suppress(*_EXPECTED):
        for file, size in _pickles(source, stack):
            _Dry(file, size).load()


_EXPECTED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, OSError,
    RecursionError, TypeError, ValueError, pickle.PickleError, zipfile.BadZipFile,
    NotImplementedError, RuntimeError,
)  # fmt: skip


def _pickles(source: Path | bytes, stack: ExitStack) -> Iterator[tuple[BoundedFile, int]]:
    """The pickles of a file that torch wrote, each with the most bytes that it may have."""
    opened: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    stack.enter_context(opened)
    if not zipfile.is_zipfile(opened):
        size = opened.seek(0, io.SEEK_END)
        opened.seek(0)
        for _ in range(_OLD_PICKLES):
            yield BoundedFile(opened, size - opened.tell()), size
        return
    archive = stack.enter_context(zipfile.ZipFile(opened))
    for member in archive.infolist():
        if member.filename.endswith("/data.pkl"):
            with archive.open(member) as file:
                file.__dict__["_expected_crc"] = None  # torch does not look at it
                content = file.read()
            yield BoundedFile(io.BytesIO(content), len(content)), len(content)


class _Anything:
    """What stands for every object that a pickle calls for; it takes whatever is done to it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def _ignore(self, *_: Any, **__: Any) -> None:
        pass

    __call__ = __setstate__ = __setitem__ = append = extend = add = update = _ignore


class _Dry(pickle._Unpickler):
    """A reader that knows how many values are seen from each tuple."""

    def __init__(self, file: BoundedFile, size: int) -> None:
        super().__init__(file, encoding="latin-1")
        self.most = size + _SMALL
        self.seen: dict[int, tuple[int, tuple[Any, ...]]] = {}  # id → values; the tuple stays

    def find_class(self, _: str, __: str) -> Any:
        """No class of the pickle's."""
        return _Anything

    def persistent_load(self, _: Any) -> Any:
        """No storage."""
        return _Anything()


def _weighed(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """An instruction that makes a tuple, and counts the values that are seen from it."""

    def weighed(reader: Any) -> None:
        load(reader)
        made = reader.stack[-1]
        inner = (reader.seen[id(value)][0] for value in made if id(value) in reader.seen)
        count = len(made) + sum(inner)
        if count > reader.most:
            raise CogError(
                "it has tuples that hold each other so often that no program can read them",
                "get the file from another place: this one was made to stop programs",
            )
        reader.seen[id(made)] = count, made

    return weighed


def _bytearray(reader: Any) -> None:
    """Bytes in place of a bytearray, which would be made before its bytes are there."""
    reader.append(reader.read(int.from_bytes(reader.read(8), "little")))


_usual = pickle._Unpickler.dispatch
_TUPLES = (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)
_Dry.dispatch = (
    _usual
    | {code[0]: _weighed(_usual[code[0]]) for code in _TUPLES}
    | {pickle.BYTEARRAY8[0]: _bytearray}
)
