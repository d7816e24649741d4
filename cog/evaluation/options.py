"""How options become dataclasses; paths and lists may come as text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cog.errors import CogError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def _read_name(value: str) -> str:
    """A name that is not empty."""
    if not value:
        raise ValueError(value)
    return value


def _read_shots(value: str | int | None) -> int | None:
    """A number of training images per class; None for all."""
    if value is None or value == "all":
        return None
    if int(value) < 1:
        raise ValueError(value)
    return int(value)


PATHS = ("images", "in1k", "data", "split", "weights")
LISTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "only": (_read_name, "in1k,L1,L5"),
    "suites": (_read_name, "cog,transfer"),
    "probes": (_read_name, "logreg,knn"),
    "shots": (_read_shots, "all,1,2,4"),
    "refit_shots": (_read_shots, "10,all"),
    "seeds": (int, "22,37"),
    "log": (_read_name, "wandb,tensorboard"),
}
"""the options that are lists: how one value is read, and an example"""


def read_list(option: str, given: str | Iterable[Any]) -> tuple[Any, ...]:
    """The values of an option that is a list, each once, in their order.

    >>> read_list("only", "L1, L5,L1"), read_list("shots", "all,1"), read_list("seeds", [22, 37])
    (('L1', 'L5'), (None, 1), (22, 37))

    Raises:
        CogError: a value that cannot be read.
    """
    read, example = LISTS[option]
    values = given
    if isinstance(given, str):
        values = [part.strip() for part in given.split(",") if part.strip()] or [""]
    try:
        return tuple(dict.fromkeys(map(read, values)))
    except (TypeError, ValueError) as error:
        raise CogError(f"{option} cannot be {given!r}", f"give a list such as {example}") from error


def read_options(names: Iterable[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that have these names, read; without None, which leaves a default.

    >>> read_options(("only", "split"), {"only": "L1,L5", "split": None, "images": "photos"})
    {'only': ('L1', 'L5')}
    """
    given = {name: options[name] for name in names if options.get(name) is not None}
    lists = {name: read_list(name, given[name]) for name in LISTS if name in given}
    paths = {name: Path(given[name]) for name in PATHS if name in given}
    return (
        given
        | lists
        | paths
        | _read_image_key(given)
        | _read_datasets(given)
        | _read_test_sets(given)
        | _read_metrics(given)
        | _read_synsets(given)
    )


def _read_image_key(given: Mapping[str, Any]) -> dict[str, str]:
    """The image key, if it is given."""
    if "image_key" not in given:
        return {}
    from cog.images.samples import read_image_key

    return {"image_key": read_image_key(given["image_key"])}


def _read_datasets(given: Mapping[str, Any]) -> dict[str, Any]:
    """The labelled datasets, if any are given: `{name: source}`, or texts `NAME=SOURCE`."""
    if "datasets" not in given:
        return {}
    from cog.datasets.dataset import Named
    from cog.datasets.labelled.names import check_names

    datasets = given["datasets"]
    pairs = _pairs(datasets, "flowers=/data/flowers")
    named = tuple(Named(name, _from_home(source)) for name, source in pairs)
    check_names(each.name for each in named)
    return {"datasets": named}


def _read_test_sets(given: Mapping[str, Any]) -> dict[str, Any]:
    """The further test sets, if any are given: `{name: source}`, or texts `NAME=SOURCE`."""
    if "test_sets" not in given:
        return {}
    from cog.datasets.dataset import Named

    pairs = _pairs(given["test_sets"], "in1k/v2=/data/imagenetv2")
    return {"test_sets": tuple(Named(name, _from_home(source)) for name, source in pairs)}


def _read_metrics(given: Mapping[str, Any]) -> dict[str, Any]:
    """The headline metrics, if any are given: `{name: metric}`, or texts `NAME=METRIC`."""
    if "metrics" not in given:
        return {}
    return {"metrics": tuple(_pairs(given["metrics"], "flowers=mean_class"))}


def _read_synsets(given: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of synsets, if any are given: `{name: path}`, or texts `NAME=FILE`."""
    if "synsets" not in given:
        return {}
    pairs = _pairs(given["synsets"], "flowers=flowers-synsets.csv")
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise CogError(f"two tables of synsets for {name}", "give one --synsets a dataset")
    return {"synsets": tuple((name, Path(_from_home(path))) for name, path in pairs)}


def _from_home(source: Any) -> Any:
    """A source with the user's home for `~`, which shells leave behind a `=`.

    >>> _from_home("birds"), _from_home("torchvision:DTD@~/data").startswith("torchvision:DTD@/")
    ('birds', True)
    """
    if not isinstance(source, str):
        return source
    head, at, path = (
        source.rpartition("@") if source.startswith("torchvision:") else ("", "", source)
    )
    return head + at + os.path.expanduser(path)  # noqa: PTH111 # a part of a text


def _pairs(given: Any, example: str) -> list[tuple[str, Any]]:
    """Pairs of a mapping, or of texts `NAME=VALUE`; pairs stay as they are."""
    if isinstance(given, Mapping):
        return list(given.items())
    pairs = []
    for each in (given,) if isinstance(given, str) else given:
        if isinstance(each, tuple):
            pairs.append(each)
            continue
        name, _, value = (part.strip() for part in str(each).partition("="))
        if not (name and value):
            raise CogError(f"no name and value: {each!r}", f"write NAME=VALUE, such as {example}")
        pairs.append((name, value))
    return pairs


def pick(kind: type[Record], options: Mapping[str, Any]) -> Record:
    """A dataclass from those of the options that are its fields."""
    return kind(**read_options([field.name for field in fields(kind)], options))
