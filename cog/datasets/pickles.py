"""Pickles of lists, strings and arrays, read without running any code that they call for.

The names that a pickle calls for are looked up in a table of our own, and arrays are made here from
their bytes, so nothing comes out but lists, tuples, dicts, strings, bytes, numbers and arrays.

A pickle may declare sizes, repeat what it has, and nest: no size is believed that is more than the
rest of the file; containers, and entries of the table of repeats, are counted, and keys are plain.
So time and memory are in proportion to the size of the file.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cog.errors import CogError
from cog.small_files import BoundedFile, shown

MOST_BYTES = 1 << 31  # the official split has 678 MB
MOST_OBJECTS = 1 << 25  # containers and repeats; at most one for four bytes of the file
FEW_OBJECTS = 10_000  # which any file may have
DAMAGED = "download it again from the benchmark's page (github.com/naver/cog)"
_DTYPE = re.compile(r"[<>|=]?(O8?|[USiub]\d{0,9})")


def read_pickle(file: Path) -> Any:
    """The lists, dicts, strings, bytes, numbers and arrays of a pickle; runs none of its code.

    An array is a `PickledArray`. Text of Python 2 comes as bytes.

    Raises:
        CogError: it is damaged, too large, or calls for anything else, which the error names.
        OSError: it cannot be read.
    """
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise CogError(f"{file} has {size:,} bytes, too many for a pickle of names", DAMAGED)
    try:
        with file.open("rb") as opened:
            return _Restricted(opened, size).load()
    except OSError:
        raise
    except CogError as error:
        raise CogError(f"{file}: {error.what}", error.hint) from error
    except Exception as error:  # the reader raises nearly anything for damaged pickles
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise CogError(f"{file} is not a whole pickle of names ({why})", DAMAGED) from error


class _Restricted(pickle._Unpickler):
    """The reader in Python: a hostile number makes the one in C fill all memory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(BoundedFile(file, size), encoding="bytes")  # as Python 2 wrote them
        self.objects_left = min(FEW_OBJECTS + size // 4, MOST_OBJECTS)

    def find_class(self, module: str, name: str) -> Any:
        """A function in place of one of numpy; any other name is refused."""
        make = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if make is None:
            raise CogError(
                f"the pickle calls for {shown(f'{module}.{name}', 80)}, which no list of images "
                "needs; it is refused, as it could run code",
                DAMAGED,
            )
        return lambda *given: make(*given)  # a new one each time: a pickle can set its attributes


Load = Callable[[Any], None]


def _counted(load: Load) -> Load:
    """An instruction that makes an object, of which a file may have so many."""

    def counted(reader: _Restricted) -> None:
        reader.objects_left -= 1
        if reader.objects_left < 0:
            raise ValueError("more lists and repeats than a file of its size can need")
        load(reader)

    return counted


def _with_plain_keys(load: Load, keys: slice) -> Load:
    """An instruction that fills a dict from the stack: the hash of nested tuples may never end."""

    def checked(reader: Any) -> None:
        for key in reader.stack[keys]:
            small = type(key) is int and key.bit_length() <= 64
            if not (small or isinstance(key, str | bytes)):
                raise ValueError(f"a dict with a {type(key).__name__} as key")
        load(reader)

    return checked


def _bytearray(reader: Any) -> None:
    """A bytearray as bytes, of which no more are made than are read."""
    reader.append(reader.read(int.from_bytes(reader.read(8), "little")))


def _set(_: Any) -> None:
    raise CogError(
        "the pickle holds a set, whose order is not kept", "save the names as a list of text"
    )


_OF_CONTAINERS = (
    pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.LIST, pickle.DICT, pickle.MARK, pickle.TUPLE,
    pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.REDUCE, pickle.GLOBAL, pickle.INST,
    pickle.OBJ, pickle.STACK_GLOBAL, pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE,
)  # fmt: skip
_usual: dict[int, Load] = pickle._Unpickler.dispatch
_checked = _usual | {
    pickle.SETITEM[0]: _with_plain_keys(_usual[pickle.SETITEM[0]], slice(-2, -1)),
    pickle.SETITEMS[0]: _with_plain_keys(_usual[pickle.SETITEMS[0]], slice(None, None, 2)),
    pickle.DICT[0]: _with_plain_keys(_usual[pickle.DICT[0]], slice(None, None, 2)),
    pickle.BYTEARRAY8[0]: _bytearray,
    **{code[0]: _set for code in (pickle.EMPTY_SET, pickle.FROZENSET, pickle.ADDITEMS)},
}
_Restricted.dispatch = _checked | {code[0]: _counted(_checked[code[0]]) for code in _OF_CONTAINERS}


class PickledDtype:
    """A numpy dtype as a pickle describes it, for strings and plain numbers only."""

    def __init__(self, code: Any, *_: Any) -> None:
        """`code`: such as U12."""
        text = code.decode("latin-1") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not _DTYPE.fullmatch(text):
            found = shown(text) if isinstance(text, str) else type(text).__name__
            raise ValueError(f"a dtype {found} holds no names")
        self.dtype: np.dtype[Any] = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        """Take the byte order from the state; all else follows from the code."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else ""
        if order in ("<", ">", b"<", b">"):
            self.dtype = self.dtype.newbyteorder("<" if order in ("<", b"<") else ">")


class PickledArray:
    """An array, as a pickle describes it."""

    def __init__(self, *_: Any) -> None:
        """Empty, whatever numpy would be given."""
        self.data: Any = []  # a list of values, or their bytes
        self.shape: tuple[int, ...] = (0,)

    def __setstate__(self, state: Any) -> None:
        """Take a state (version, shape, dtype, Fortran order, bytes or list).

        Raises:
            ValueError: data that do not fit the shape.
        """
        _, shape, kind, _, data = state
        if type(kind) is not PickledDtype or type(shape) is not tuple or len(shape) > 64:
            raise ValueError("an array without its shape and dtype")
        if not all(type(n) is int and 0 <= n <= MOST_BYTES for n in shape):
            raise ValueError("an array whose shape is none")
        boxed = kind.dtype.kind == "O"
        if not isinstance(data, list if boxed else bytes):
            raise ValueError("an array without its values")
        if len(data) != math.prod(shape) * (1 if boxed else kind.dtype.itemsize):
            raise ValueError("the values of an array do not fit its shape")
        self.data, self.dtype, self.shape = data, kind.dtype, shape

    def __len__(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    def values(self) -> list[Any]:
        """The values; made only when needed, as there are millions.

        Raises:
            ValueError: they have more than one dimension, or characters that do not exist.
        """
        if len(self.shape) != 1:
            raise ValueError(f"it is an array of shape {list(self.shape)}, not of one dimension")
        if isinstance(self.data, list):
            return self.data
        return list(np.frombuffer(self.data, self.dtype, len(self)).tolist())


def _array(data: Any, kind: Any, shape: Any, _: Any = "C") -> PickledArray:
    array = PickledArray()
    array.__setstate__((1, shape, kind, False, data))
    return array


def _bytes(text: Any, _: Any) -> bytes:
    if not isinstance(text, str):
        raise ValueError("bytes that are made from no text")
    return text.encode("latin-1")


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): PickledArray,  # an argument of _reconstruct
    ("numpy", "dtype"): PickledDtype,
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy.core.multiarray", "scalar"): lambda kind, data: _array(data, kind, (1,)).values()[0],
    ("numpy.core.numeric", "_frombuffer"): _array,
    ("builtins", "bytes"): lambda: b"",  # as protocols 0 to 2 hold no bytes, and
    ("__builtin__", "bytes"): lambda: b"",
    ("_codecs", "encode"): _bytes,  # some
}
