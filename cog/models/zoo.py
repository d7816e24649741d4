"""The table of models that are known by name, zoo.csv: one row each. Needs no torch.

Columns, from the file to the features:
- `name`, short `aliases`, `benchmark` (one of the paper's 31), `family`, `year`;
- `architecture`: `torchvision:NAME`, `timm:NAME` or `cog:NAME`, made with `options`;
- `urls` of one file, in the order in which they are tried; `file`, its name in the cache; `sha256`
  or `md5`, or the start of one; `access` (see ACCESS; the file of an unpublished model has neither
  address nor name, and the note tells what is known of its layout); `beside`, a second file;
- `nested`: the entry that holds the tensors; | separates alternatives, and an empty last one means
  that tensors may stand without an entry;
- `drop`: patterns of tensors in the file that the network does not have; ? before one that may be
  absent; `prefix` of the names, | between alternatives; `rename`: a name in RENAMES of
  weights/published_names.py;
- `head`: the classifier, removed after loading if the file has it (`head_in_file`), else before;
- `resize`, `crop`, `mean`, `std`: bicubic, and S and S as in the benchmark, except for models whose
  authors squash the image; `official_preprocess` is what the authors do, in words;
- `pool`: the tokens that make the feature, empty where the network decides; `feature`, in words;
  `dim`, its size; `parameters`, without the classifier;
- `licence`, `seen_data`, `quirks` (see quirks.py), `note`, `source`;
- `papers`: what to cite for it, keys of cog/papers.csv.
"""

from __future__ import annotations

import csv
from ast import literal_eval
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from cog.errors import CogError, unknown_name
from cog.models.sources.table import written_forms

ACCESS = {
    "direct": "downloaded by cog",
    "browser": "to be downloaded with a browser",
    "gated": "available after you accept a licence",
    "convert": "published for another framework and must be converted",
    "unpublished": "not published, and read from your own file alone",
}
"""how a file is obtained, in words that follow "its weights are" """


@dataclass(frozen=True)
class ZooRow:
    """One model as its authors published it; the head of this file explains the columns."""

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
    papers: tuple[str, ...]

    @property
    def cache_file(self) -> str:
        """The file in the weights cache, in a folder of its own: authors reuse names."""
        return f"{self.name}/{self.file}"

    @property
    def restricted(self) -> bool:
        """Whether its licence forbids commercial use or has terms of its own."""
        return "NC" in self.licence or self.licence in ("Apple ASCL", "DINOv3 License")


def read_zoo() -> dict[str, ZooRow]:
    """All rows of zoo.csv by name, in the table's order."""
    text = (files("cog.models") / "zoo.csv").read_text(encoding="utf-8")
    rows = [
        ZooRow(**{column: _READERS.get(column, str)(cell) for column, cell in fields.items()})
        for fields in csv.DictReader(text.splitlines())
    ]
    return {row.name: row for row in rows}


def find_row(name: str, other_forms: Iterable[str] = ()) -> ZooRow:
    """The row with this name or alias.

    `other_forms`: what else the name may mean, such as `timm:resnet18` for `resnet18`.

    Raises:
        CogError: no such model; it shows the three nearest names and the other forms.
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


def _sides(text: str) -> int | tuple[int, ...]:
    sides = tuple(map(int, text.split()))
    return sides if len(sides) > 1 else sum(sides)


def _options(text: str) -> dict[str, object]:
    pairs = (word.partition("=") for word in text.split())
    return {key: literal_eval(value) for key, _, value in pairs}


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(
        ("aliases", "urls", "drop", "head", "quirks", "papers"),
        lambda text: tuple(text.split()),
    ),
    **dict.fromkeys(("benchmark", "head_in_file"), lambda text: text == "yes"),
    **dict.fromkeys(("year", "dim", "parameters"), lambda text: int(text or 0)),
    **dict.fromkeys(("mean", "std"), lambda text: tuple(map(float, (text or "0 0 0").split()))),
    "crop": lambda text: int(text) if text else None,
    "options": _options,
    "prefix": lambda text: tuple(text.split("|")) if text else (),
    "resize": _sides,
}
"""how the columns are read that are no text"""
