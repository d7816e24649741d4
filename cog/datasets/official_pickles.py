"""The official pickles of ImageNet-CoG, read without running any code that they call for.

- `cog_concepts_split_file.pkl`: dict wnid → {"train": array, "test": array} of file names.
- `cog_levels_mapping_file.pkl`: a list of five lists of 1,000 wnids.

The names that they call for are looked up in a table of our own, and arrays are built here from
their bytes, so nothing comes out but lists, dicts, strings, numbers and arrays.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cog.errors import CogError

SPLIT_FILE = "cog_concepts_split_file.pkl"
MAPPING_FILE = "cog_levels_mapping_file.pkl"

# Official numbers of training images, by the sha256 of a level's sorted wnids, one a line.
TOTALS = {
    "73957b077d5317cc89f948ad9dca276f08e69a4c2b51fc0d34561c2972f6d709": 1_118_804,
    "17db3b0592709d83e74526376ebbcc595c83b99b6f9cd82f652370cb5ba92f67": 1_115_788,
    "b5a8178bac591224fb9a0d87bd4111bc6b3a28fcb204b739853eb9a0cd2eedf6": 1_095_203,
    "9bc2f7ee9596705c0d1c7fc402dc1f869639e420214fee913a08cff27ad92264": 1_107_128,
    "202a2926ec641e02422c9711fd76db2a7a22863702cfa4a3c7943c8ebdd15586": 1_091_654,
}
TEST_TOTAL = 50_000
_HINT = "download it again from the benchmark's page (github.com/naver/cog)"


def read_split_file(
    file: Path, wnids: Sequence[str]
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Training and test images of each wnid as sorted paths `wnid/file`; none if it is absent.

    Raises:
        CogError: the pickle is damaged, or holds something other than a split.
    """
    table = read_pickle(file)
    if not isinstance(table, dict):
        raise CogError(f"{file} holds a {type(table).__name__}, not a dict by wnid", _HINT)
    found = {}
    for wnid in wnids:
        parts = table.get(wnid, {"train": [], "test": []})
        if not isinstance(parts, dict) or not {"train", "test"} <= parts.keys():
            raise CogError(f"{file} has no train and test of {wnid}", _HINT)
        train, test = (_paths(parts[name], wnid, file) for name in ("train", "test"))
        both = set(train) & set(test)
        if both:
            raise CogError(f"{file} lists {min(both)} both to train and to test", _HINT)
        found[wnid] = train, test
    return found


def _paths(names: Any, wnid: str, file: Path) -> tuple[str, ...]:
    """File names of a class as sorted paths; they come as `n1_2.JPEG` or `n1/n1_2.JPEG`."""
    texts = _values(names, f"{file}: the names of {wnid}", str)
    bare = {text.removeprefix(f"{wnid}/") for text in texts}
    strange = next((name for name in bare if "/" in name or not name.strip(".")), None)
    if strange is not None:
        raise CogError(f"{file}: {strange!r} is not a file name of {wnid}", _HINT)
    return tuple(sorted(f"{wnid}/{name}" for name in bare))


def read_mapping_file(file: Path) -> dict[int, tuple[str, ...]]:
    """The sorted wnids of each level, counted from 1.

    Raises:
        CogError: the pickle is damaged, or holds something other than a list of levels.
    """
    what = f"{file} does not hold lists of wnids, one a level"
    levels = [_values(part, what, str) for part in _values(read_pickle(file), what, object)]
    if not levels:
        raise CogError(f"{what}: the list is empty", _HINT)
    return {number: tuple(sorted(part)) for number, part in enumerate(levels, start=1)}


def _values(value: Any, what: str, kind: type) -> list[Any]:
    """The values of a list or an array; a CogError that begins with `what` if any is no `kind`."""
    try:
        values = value.values() if isinstance(value, PickledArray) else value
    except ValueError as error:  # such as characters that do not exist
        raise CogError(f"{what}: {error}", _HINT) from error
    wrong = [e for e in values if not isinstance(e, kind)] if isinstance(values, list) else [value]
    if wrong:
        found = type(wrong[0]).__name__
        raise CogError(f"{what}: expected a list of {kind.__name__}, found {found}", _HINT)
    return values


def refuse_another_mapping(file: Path, levels: Mapping[int, Sequence[str]]) -> None:
    """Refuse a mapping file whose levels have other concepts than the levels in use.

    Raises:
        CogError: they differ; the error has the number of such concepts and the first few.
    """
    mapping = read_mapping_file(file)
    found = []
    for number in sorted(mapping.keys() | levels.keys()):
        official, ours = set(mapping.get(number, ())), set(levels.get(number, ()))
        if official != ours:
            alone = [*sorted(official - ours)[:3], *sorted(ours - official)[:3]]
            found.append(
                f"L{number}: {len(official - ours)} only in the file, {len(ours - official)} only "
                f"in the levels ({', '.join(alone)})"
            )
    if found:
        raise CogError(
            f"{file} is the mapping of other levels: {'; '.join(found)}",
            "give --levels and --split that belong together",
        )


def totals_note(wnids: Sequence[str], n_train: int, n_test: int) -> str:
    """A note if the images of an official level differ in number from the official ones."""
    lines = "".join(f"{wnid}\n" for wnid in sorted(wnids))
    total = TOTALS.get(hashlib.sha256(lines.encode()).hexdigest())
    if total is None or (total, TEST_TOTAL) == (n_train, n_test):
        return ""
    return (
        f"{n_train:,} images to train and {n_test:,} to test; "
        f"the official split has {total:,} and {TEST_TOTAL:,}"
    )


def read_pickle(file: Path) -> Any:
    """The lists, dicts, strings, numbers and arrays of strings of a pickle; runs none of its code.

    Raises:
        CogError: it is damaged, or calls for anything else, which the error names.
    """
    try:
        with file.open("rb") as opened:
            return _Restricted(opened).load()
    except (CogError, OSError):
        raise
    except Exception as error:  # the reader raises nearly anything for damaged pickles
        raise CogError(
            f"{file} is not a whole pickle of names ({type(error).__name__}: {error})", _HINT
        ) from error


class _Restricted(pickle._Unpickler):
    """The reader in Python: a hostile number makes the one in C fill all memory."""

    def find_class(self, module: str, name: str) -> Any:
        """A function in place of one of numpy; any other name is refused."""
        make = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if make is None:
            raise CogError(
                f"the pickle calls for {module}.{name}, which no list of images needs; "
                "it is refused, as it could run code",
                _HINT,
            )
        return lambda *given: make(*given)  # a new one each time: a pickle can set its attributes


class PickledDtype:
    """A numpy dtype as a pickle describes it, for strings and plain numbers only."""

    def __init__(self, code: Any, *_: Any) -> None:
        """`code`: such as U12."""
        if not isinstance(code, str) or code[:1] not in ("U", "S", "O", "i", "u", "b"):
            raise ValueError(f"a dtype {code!r} holds no names")
        self.dtype: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """Take the byte order from the state; all else follows from the code."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray:
    """An array of one dimension, as a pickle describes it."""

    def __init__(self, *_: Any) -> None:
        """Empty, whatever numpy would be given."""
        self.data: Any = []  # a list of values, or their bytes

    def __setstate__(self, state: Any) -> None:
        """Take a state (version, shape, dtype, Fortran order, bytes or list).

        Raises:
            ValueError: more than one dimension, or data that do not fit the shape.
        """
        _, shape, kind, _, data = state
        if type(kind) is not PickledDtype or type(shape) is not tuple or len(shape) != 1:
            raise ValueError("expected an array of one dimension")
        boxed = kind.dtype.kind == "O"
        if not isinstance(data, list if boxed else bytes | bytearray):
            raise ValueError("an array without its values")
        if len(data) != shape[0] * (1 if boxed else kind.dtype.itemsize):
            raise ValueError("the values of an array do not fit its shape")
        self.data, self.dtype, self.count = data, kind.dtype, shape[0]

    def values(self) -> list[Any]:
        """The values; made only when needed, as there are millions."""
        if isinstance(self.data, list):
            return self.data
        return list(np.frombuffer(self.data, self.dtype, self.count).tolist())


def _array(data: Any, kind: Any, shape: Any, _: Any = "C") -> PickledArray:
    array = PickledArray()
    array.__setstate__((1, shape, kind, False, data))
    return array


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): PickledArray,  # an argument of _reconstruct
    ("numpy", "dtype"): PickledDtype,
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy.core.multiarray", "scalar"): lambda kind, data: _array(data, kind, (1,)).values()[0],
    ("numpy.core.numeric", "_frombuffer"): _array,
    # how pickles of protocol 2 hold bytes
    ("_codecs", "encode"): lambda text, _: str(text).encode("latin-1"),
}
