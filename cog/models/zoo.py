"""The table of the models that are known by name, zoo.csv: one row each. Needs no torch.

Columns, from the file to the features:
- `name`, short `aliases`, `benchmark` (one of the 31 of the paper), `family`, `year`;
- `architecture`: `torchvision:NAME`, `timm:NAME` or `cog:NAME` with `options`; none where there is
  no network or no public file, and the note says why;
- `urls` (of one file, in the order they are tried), `file`, `sha256` or `md5` (or their start),
  `access` (see ACCESS), `beside` (a second file that is needed);
- `nested`: the entry that holds the tensors, alternatives split by |, the last empty if they may
  lie bare; `drop`: patterns of tensors in the file that the network has not, ? where they may be
  absent; `prefix` of the names, alternatives split by |; `rename`: a function of renames.py;
- `head`: the classifier, taken off after the load if the file has it (`head_in_file`), else before;
- `resize`, `crop`, `mean`, `std`: bicubic, S and S as in the benchmark for all but those whose
  authors squash the image; `official_preprocess` tells what the authors did;
- `pool`: which tokens make the feature, empty where the network says; `feature` in words, its size
  `dim`; `parameters` without the classifier;
- `licence`, `seen_data`, `quirks` (see quirks.py), `note`, `source`.
"""

from __future__ import annotations

import csv
from ast import literal_eval
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from cog.errors import CogError, unknown_name
from cog.models.sources.table import written_forms

ACCESS = {
    "direct": "downloaded by cog",
    "browser": "to be fetched with a browser",
    "gated": "given out after accepting a licence",
    "convert": "published for another framework; to be converted",
    "none": "not loadable",
}
"""how a file is got, and what to say of it"""


@dataclass(frozen=True)
class ZooRow:
    """One model as its authors published it; the columns are told at the head of this file."""

    name: str
    aliases: tuple[str, ...]
    benchmark: bool
    family: str
    year: int
    architecture: str
    options: dict[str, object]
    urls: tuple[str, ...]
    file: str
    sha256: str
    md5: str
    access: str
    nested: str
    prefix: tuple[str, ...]
    rename: str
    drop: tuple[str, ...]
    head: tuple[str, ...]
    head_in_file: bool
    beside: str
    resize: int | tuple[int, int]
    crop: int | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pool: str
    feature: str
    dim: int
    parameters: int
    licence: str
    seen_data: str
    quirks: tuple[str, ...]
    official_preprocess: str
    note: str
    source: str

    @property
    def loadable(self) -> bool:
        """Whether there is a network and a file."""
        return self.access != "none"

    @property
    def cache_file(self) -> str:
        """Where the file lies in the weights cache; authors give the same name to many."""
        return f"{self.name}/{self.file}"

    @property
    def restricted(self) -> bool:
        """Whether its licence forbids commercial use, sets terms of its own, or is not stated."""
        return "NC" in self.licence or self.licence in ("Apple ASCL", "DINOv3 License")

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
    error = unknown_name("model", name, names)
    forms = list(other_forms)
    if forms:
        raise CogError(error.what, f"write {' or '.join(forms)}; in the table, {error.hint}")
    raise CogError(error.what, f"{error.hint}; other forms: {written_forms()}")


def _row(fields: dict[str, str]) -> ZooRow:
    words: dict[str, Any] = {
        name: tuple(fields[name].split()) for name in ("aliases", "urls", "drop", "head", "quirks")
    }
    texts: dict[str, Any] = {name: fields[name] for name in _TEXTS}
    return ZooRow(
        **texts,
        **words,
        benchmark=fields["benchmark"] == "yes",
        year=int(fields["year"]),
        options=_options(fields["options"]),
        prefix=tuple(fields["prefix"].split("|")) if fields["prefix"] else (),
        head_in_file=fields["head_in_file"] == "yes",
        resize=_sides(fields["resize"]),
        crop=int(fields["crop"]) if fields["crop"] else None,
        mean=_three(fields["mean"]),
        std=_three(fields["std"]),
        dim=int(fields["dim"]),
        parameters=int(fields["parameters"] or 0),
    )


_TEXTS = (
    "name", "family", "architecture", "file", "sha256", "md5", "access", "nested", "rename",
    "beside", "pool", "feature", "licence", "seen_data", "official_preprocess", "note", "source",
)  # fmt: skip


def _options(text: str) -> dict[str, object]:
    pairs = (word.partition("=") for word in text.split())
    return {key: literal_eval(value) for key, _, value in pairs}


def _sides(text: str) -> int | tuple[int, int]:
    sides = [int(side) for side in text.split()] or [0]
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _three(text: str) -> tuple[float, float, float]:
    first, second, third = (float(number) for number in (text or "0 0 0").split())
    return first, second, third
