"""The table of the benchmark's models, zoo.csv: one row each. Needs no torch."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.resources import files

from cog.errors import CogError, unknown_name


@dataclass(frozen=True)
class ZooRow:
    """One model of the benchmark, as its authors published it.

    `nested`: the entry of the file that holds the tensors; `rename`: a function of checkpoints.py;
    `drop`: patterns of tensors in the file that the network has not; `head`: the network's
    classifier, taken off after the load if the file has it (`head_in_file`), before it if not.
    `sha256` may be the start of it. `parameters` without the classifier.
    """

    name: str
    aliases: tuple[str, ...]
    family: str
    year: int
    architecture: str
    url: str
    file: str
    sha256: str
    nested: str
    rename: str
    drop: tuple[str, ...]
    head: str
    head_in_file: bool
    resize: int
    crop: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    feature: str
    dim: int
    parameters: int
    licence: str
    seen_data: str
    source: str

    def summary(self) -> dict[str, object]:
        """The row as plain values that JSON can hold."""
        return asdict(self)


def read_zoo() -> dict[str, ZooRow]:
    """All rows of zoo.csv by name, in the table's order."""
    text = (files("cog.models") / "zoo.csv").read_text(encoding="utf-8")
    rows = [_row(fields) for fields in csv.DictReader(text.splitlines())]
    return {row.name: row for row in rows}


def find_row(name: str, other_forms: Iterable[str] = ()) -> ZooRow:
    """The row that `name` names, or is an alias of.

    `other_forms`: what else may have been meant, such as `timm:resnet18` for `resnet18`.

    Raises:
        CogError: no such model; the three nearest names and the other forms are shown.
    """
    zoo = read_zoo()
    names = {alias: row for row in zoo.values() for alias in row.aliases} | zoo
    if name in names:
        return names[name]
    error = unknown_name("model", name, [*names, *other_forms])
    raise CogError(
        error.what,
        f"{error.hint}; other forms: timm:NAME, torchvision:NAME, file.py:function",
    )


def _row(fields: dict[str, str]) -> ZooRow:
    return ZooRow(
        name=fields["name"],
        aliases=tuple(fields["aliases"].split()),
        family=fields["family"],
        year=int(fields["year"]),
        architecture=fields["architecture"],
        url=fields["url"],
        file=fields["file"],
        sha256=fields["sha256"],
        nested=fields["nested"],
        rename=fields["rename"],
        drop=tuple(fields["drop"].split()),
        head=fields["head"],
        head_in_file=fields["head_in_file"] == "yes",
        resize=int(fields["resize"]),
        crop=int(fields["crop"]),
        interpolation=fields["interpolation"],
        mean=_three(fields["mean"]),
        std=_three(fields["std"]),
        feature=fields["feature"],
        dim=int(fields["dim"]),
        parameters=int(fields["parameters"]),
        licence=fields["licence"],
        seen_data=fields["seen_data"],
        source=fields["source"],
    )


def _three(text: str) -> tuple[float, float, float]:
    first, second, third = (float(number) for number in text.split())
    return first, second, third
