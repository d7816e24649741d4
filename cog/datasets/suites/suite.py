"""A suite as its TOML file has it; every key is checked.

A file has `about` and `paper`, tables `[protocols.NAME]` with the fields of `Protocol`, and tables
`[sets.NAME]` with those of `SuiteSet`. The sets `in1k` and `levels` are the benchmark's own; any
other is labelled images under its name. Tables `[test_sets."SET/NAME"]`, with fields of `SuiteSet`
too, are further test images of a set: the protocol and the metric are those of the set.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from cog.datasets.dataset import Named
from cog.datasets.labelled.names import check_names
from cog.datasets.protocol import SOLVERS, Protocol
from cog.datasets.test_sets import check_test_sets
from cog.errors import CogError, unknown_name
from cog.recipe import HEADLINES, IN1K, NORMS, parted
from cog.small_files import read_text

LEVELS = "levels"
OWN = {IN1K: "in1k", LEVELS: "images"}
"""the sets that are the benchmark's own, each with the option that says where it lies"""

_FOLDER = Path(__file__).parent
_BYTES = 1 << 20


OF_ITS_SET = ("protocol", "metric", "split", "train")
"""the fields of `SuiteSet` that a test set does not have"""


@dataclass(frozen=True)
class SuiteSet:
    """A dataset of a suite, or a further test set of one."""

    source: str
    """as in `--dataset NAME=SOURCE`, `--test-set SET/NAME=SOURCE`; its path is relative to the
    folder of all sets"""
    needs: tuple[str, ...] = ()
    """files and folders that must be there, relative to that folder; none: the source's path"""
    protocol: str = ""
    metric: str = ""
    """the headline one; none: as the source has it"""
    split: str = ""
    """which split is used, for people"""
    paper: str = ""
    cite: tuple[str, ...] = ()
    """keys of cog/papers.csv"""
    licence: str = "see source"
    classes: int = 0
    train: int = 0
    """images; 0: not said"""
    test: int = 0

    @property
    def path(self) -> str:
        """The path of the source, relative to the folder of all sets.

        >>> SuiteSet("torchvision:DTD@textures").path, SuiteSet("sets.py:load").path
        ('textures', 'sets.py')
        """
        if self.source.startswith("torchvision:"):
            return self.source.partition("@")[2]
        head, colon, _ = self.source.rpartition(".py:")
        return f"{head}.py" if colon else self.source


@dataclass(frozen=True)
class Suite:
    """A suite: its sets and protocols by name, in the order of its file."""

    name: str
    about: str
    sets: Mapping[str, SuiteSet]
    protocols: Mapping[str, Protocol] = field(default_factory=dict)
    paper: str = ""
    cite: tuple[str, ...] = ()
    """keys of cog/papers.csv"""
    test_sets: Mapping[str, SuiteSet] = field(default_factory=dict)
    """further test sets of the sets, by their names SET/NAME"""

    @property
    def every(self) -> dict[str, SuiteSet]:
        """The sets, each with its test sets behind it."""
        return {
            key: each
            for name, own in self.sets.items()
            for key, each in ((name, own), *_of_base(self.test_sets, name))
        }


def _of_base(test_sets: Mapping[str, SuiteSet], name: str) -> list[tuple[str, SuiteSet]]:
    return [(key, each) for key, each in test_sets.items() if parted(key)[0] == name]


@dataclass(frozen=True)
class _Head:
    """What stands above the tables."""

    about: str
    paper: str = ""
    cite: tuple[str, ...] = ()


Record = TypeVar("Record", Protocol, SuiteSet, _Head)


def suite_names() -> list[str]:
    """The suites that are part of the program."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read_suite(name: str | Path) -> Suite:
    """A suite of ours by its name, or of a file whose name ends in .toml.

    Raises:
        CogError: no such suite, or a key of its file that is unknown, missing or wrong.
    """
    ours = str(name) in suite_names()
    path = _FOLDER / f"{name}.toml" if ours else Path(name)
    if path.suffix != ".toml":
        raise unknown_name("suite", str(name), [*suite_names(), "FILE.toml"])
    try:
        found = tomllib.loads(read_text(path, _BYTES))
    except OSError as error:
        what = f"the suite {path} cannot be read ({error.strerror or error})"
        raise CogError(what, f"give one of {', '.join(suite_names())}, or a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise CogError(f"{path} is no suite: {error}", "mend it") from error
    return _checked(path, found)


def _checked(path: Path, found: dict[str, Any]) -> Suite:
    """The suite of a parsed file.

    Raises:
        CogError: a key of the file that is unknown, missing or wrong.
    """
    protocols = {
        name: _record(Protocol, table, f"{path}: protocols.{name}")
        for name, table in _tables(found, "protocols", path).items()
    }
    sets, test_sets = (
        {
            name: _record(SuiteSet, table, f"{path}: {key}.{name}")
            for name, table in _tables(found, key, path).items()
        }
        for key in ("sets", "test_sets")
    )
    tables = ("protocols", "sets", "test_sets")
    texts = {key: value for key, value in found.items() if key not in tables}
    head = _record(_Head, texts, f"{path}: ")
    if not sets:
        raise CogError(f"{path}: sets: expected one set or more, found none", "add [sets.NAME]")
    check_names(name for name in sets if name not in OWN)
    for name, protocol in protocols.items():
        _check_protocol(protocol, f"{path}: protocols.{name}")
    for name, each in sets.items():
        if name in OWN and each.metric:
            raise _wrong(f"{path}: sets.{name}.metric", "none, as it is top1", each.metric)
        _check_set(each, protocols, f"{path}: sets.{name}")
    _check_test_sets(test_sets, sets, path)
    return Suite(path.stem, head.about, sets, protocols, head.paper, head.cite, test_sets)


def _check_protocol(protocol: Protocol, where: str) -> None:
    """Raise CogError for values that are of the right type, but wrong."""
    _one_of(protocol.solver, SOLVERS, f"{where}.solver")
    _one_of(protocol.norm, NORMS, f"{where}.norm")
    if protocol.c and not (len(protocol.c) == 2 and 0 < protocol.c[0] < protocol.c[1] < math.inf):
        raise _wrong(f"{where}.c", "two numbers, 0 < low < high", list(protocol.c))
    for size in ("test_per_class", "min_train"):
        _not_negative(getattr(protocol, size), f"{where}.{size}")


def _check_test_sets(
    test_sets: Mapping[str, SuiteSet], sets: Mapping[str, SuiteSet], path: Path
) -> None:
    """Raise CogError for a test set of no set of the file, or with what is that of its set."""
    check_test_sets([Named(name, each.source) for name, each in test_sets.items()])
    for name, each in test_sets.items():
        where = f"{path}: test_sets.{name}"
        if (base := parted(name)[0]) not in sets:
            raise _wrong(where, f"SET/NAME with one of {', '.join(sets)}", base)
        for key in OF_ITS_SET:
            if value := getattr(each, key):
                raise _wrong(f"{where}.{key}", "none, as it is that of its set", value)
        _check_set(each, {}, where)


def _check_set(each: SuiteSet, protocols: Mapping[str, Protocol], where: str) -> None:
    """Raise CogError for values that are of the right type, but wrong."""
    _one_of(each.protocol, protocols, f"{where}.protocol")
    _one_of(each.metric, HEADLINES, f"{where}.metric")
    if not each.path:
        raise _wrong(f"{where}.source", "a path, or torchvision:NAME@PATH", each.source)
    for count in ("classes", "train", "test"):
        _not_negative(getattr(each, count), f"{where}.{count}")


def _not_negative(value: int, where: str) -> None:
    if value < 0:
        raise _wrong(where, "no number below 0", value)


def _tables(found: Mapping[str, Any], key: str, path: Path) -> dict[str, dict[str, Any]]:
    """The tables `[key.NAME]`."""
    tables = found.get(key, {})
    if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
        raise _wrong(f"{path}: {key}", f"tables [{key}.NAME]", tables)
    return tables


def _record(kind: type[Record], table: Mapping[str, Any], where: str) -> Record:
    """A table as a dataclass."""
    known = {each.name: each for each in fields(kind)}
    at = where if where.endswith(" ") else f"{where}."
    for key in table:
        if key not in known:
            error = unknown_name("key", f"{at}{key}", [f"{at}{name}" for name in known])
            raise CogError(error.what, f"the keys are {', '.join(known)}")
    for name, each in known.items():
        if each.default is MISSING and name not in table:
            raise CogError(f"{at}{name}: expected a text, found nothing", f'add {name} = "…"')
    return kind(**{key: _value(known[key].type, table[key], f"{at}{key}") for key in table})


def _value(kind: object, value: Any, where: str) -> Any:
    """A value of a key, of the type that the field has."""
    if kind == "str" and isinstance(value, str) and value.isprintable():
        return value
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "tuple[str, ...]" and _all_of(value, str):
        return tuple(value)
    if kind == "tuple[float, ...]" and _all_of(value, int | float):
        return tuple(map(float, value))
    names = {"str": "a text of one line", "int": "a whole number"}
    lists = {"tuple[str, ...]": "a list of texts", "tuple[float, ...]": "a list of numbers"}
    raise _wrong(where, (names | lists)[str(kind)], value)


def _all_of(value: Any, kind: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, kind) and not isinstance(each, bool) for each in value
    )


def _one_of(value: str, known: Any, where: str) -> None:
    """Raise CogError for a value that is neither empty nor known."""
    if value and value not in known:
        raise _wrong(where, f"one of {', '.join(known)}" if known else "no value", value)


def _wrong(where: str, expected: str, found: object) -> CogError:
    return CogError(f"{where}: expected {expected}, found {str(found)[:80]!r}", "mend this key")
