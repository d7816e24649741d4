"""Published datasets as torchvision reads them, `torchvision:NAME@ROOT`, from files that are there.

In: a class of torchvision.datasets whose items are (image, label), and the folder that its `root`
is. Out: the split that the field uses, and the metric that it reports (Kornblith et al., CVPR 2019,
table 1, for the sets of `PUBLISHED`). Images that are files are read where they lie; others, as
those of CIFAR, are kept in a pack (pack.py), as PNGs, which lose nothing.
"""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cog.datasets.labelled.grouped import grouped
from cog.datasets.labelled.labelled import Labelled
from cog.datasets.labelled.pack import pack
from cog.errors import CogError, unknown_name
from cog.images.listing import Listing, reason_in_a_line
from cog.recipe import MEAN_CLASS, TOP1
from cog.small_files import read_lines

PREFIX = "torchvision:"
SUN_LISTS = ("Training_01.txt", "Testing_01.txt")
Arguments = Mapping[str, Any]
"""what a class of torchvision.datasets is called with, beside its root"""


@dataclass(frozen=True)
class Published:
    """How a published dataset is used."""

    split: str = ""
    """which split it is; none: one has to be drawn"""
    train: tuple[Arguments, ...] = ({},)
    test: tuple[Arguments, ...] = ()
    metric: str = TOP1


def _splits(train: Sequence[str], test: str, metric: str = TOP1, **others: Any) -> Published:
    """A dataset whose argument `split` names the parts."""
    return Published(
        f"{'+'.join(train)}/{test}",
        tuple({"split": part, **others} for part in train),
        ({"split": test, **others},),
        metric,
    )


PUBLISHED = {
    "CIFAR10": Published("train/test", ({"train": True},), ({"train": False},)),
    "CIFAR100": Published("train/test", ({"train": True},), ({"train": False},)),
    "Caltech101": Published(metric=MEAN_CLASS),
    "Country211": _splits(["train", "valid"], "test"),
    "DTD": _splits(["train", "val"], "test", partition=1),
    "EuroSAT": Published(),
    "FGVCAircraft": _splits(["trainval"], "test", MEAN_CLASS),
    "Flowers102": _splits(["train", "val"], "test", MEAN_CLASS),
    "Food101": _splits(["train"], "test"),
    "INaturalist": Published(
        "2021_train/2021_valid", ({"version": "2021_train"},), ({"version": "2021_valid"},)
    ),
    "OxfordIIITPet": _splits(["trainval"], "test", MEAN_CLASS),
    "SUN397": Published(),
    "StanfordCars": _splits(["train"], "test"),
    "SVHN": _splits(["train"], "test"),
}
"""by the name of its class; of other classes, the arguments `train` or `split` tell the parts"""


def find_published(text: str, *, download: bool = False) -> Labelled:
    """The labelled images of `torchvision:NAME@ROOT`.

    Raises:
        CogError: no such class, its files are not in ROOT, or its items are no (image, label).
    """
    name, _, folder = text.removeprefix(PREFIX).partition("@")
    if not (name and folder):
        raise CogError(
            f"no source: {text!r}", "write torchvision:NAME@ROOT, such as torchvision:DTD@/data"
        )
    kind, root = _class_of(name), Path(folder)
    if not root.is_dir() and not download:
        raise CogError(f"there is no folder {root}", f"give the root of torchvision's {name}")
    how = PUBLISHED.get(name) or _inferred(kind)
    train = _listing([_opened(kind, root, each, download) for each in how.train], root)
    if name == "SUN397":
        return _first_partition(train, root)
    test = [_opened(kind, root, each, download) for each in how.test]
    return Labelled(train, _listing(test, root) if test else None, how.split, how.metric)


def _first_partition(every: Listing, root: Path) -> Labelled:
    """SUN397 by the first of its ten published partitions, if that lies beside the images.

    Source: Xiao et al., CVPR 2010; its Partitions.zip. Each part has 50 images a class.
    """
    folders = (root, root / "SUN397", root / "Partitions", root / "SUN397" / "Partitions")
    folder = next((each for each in folders if all((each / f).is_file() for f in SUN_LISTS)), None)
    if folder is None:
        note = f"its published partitions ({' and '.join(SUN_LISTS)}) are not in {root}"
        return Labelled(every, None, notes=(note,))
    parts = []
    for name in SUN_LISTS:
        listed = {f"SUN397/{line.strip().lstrip('/')}" for line in read_lines(folder / name)}
        paths = {
            label: tuple(path for path in own if path in listed)
            for label, own in every.paths.items()
        }
        parts.append(replace(every, paths=paths))
        if lost := len(listed) - sum(map(len, paths.values())):
            what = f"{lost:,} of {len(listed):,} images of {folder / name} are not in {root}"
            raise CogError(what, "bring them there, or take the partitions away to draw a split")
    train, test = parts
    return Labelled(train, test, "Training_01/Testing_01")


def _class_of(name: str) -> Any:
    """A class of torchvision.datasets by its name."""
    from torchvision import datasets

    known = {
        key: value
        for key, value in vars(datasets).items()
        if inspect.isclass(value) and "root" in inspect.signature(value).parameters
    }
    if name not in known:
        raise unknown_name("dataset of torchvision", name, sorted(known))
    return known[name]


def _inferred(kind: Any) -> Published:
    """The parts of a dataset that is not in the table, by the arguments of its class."""
    arguments = inspect.signature(kind).parameters
    if "train" in arguments:
        return Published("train/test", ({"train": True},), ({"train": False},))
    if "split" in arguments:
        return _splits(["train"], "test")
    return Published()


def _opened(kind: Any, root: Path, arguments: Arguments, download: bool) -> Any:
    """A part of a dataset of torchvision."""
    more = (
        {"download": True} if download and "download" in inspect.signature(kind).parameters else {}
    )
    try:
        return kind(root, **arguments, **more)
    except Exception as error:  # of torchvision, which raises many
        said = ", ".join(f"{key} {value}" for key, value in arguments.items())
        raise CogError(
            f"torchvision cannot read {f'{kind.__name__} {said}'.strip()} in {root} "
            f"({reason_in_a_line(error)})",
            "put its files there as torchvision lays them out, or give --download",
        ) from error


def _listing(parts: Sequence[Any], root: Path) -> Listing:
    """The images of some parts together, by the names of their classes."""
    files = [_files(part) for part in parts]
    labels: list[str] = []
    if all(each is not None for each in files):
        paths = []
        for part, own in zip(parts, files, strict=True):
            names = _names(part)
            paths += [os.path.relpath(path, root) for path, _ in own or ()]
            labels += [names.get(label, str(label)) for _, label in own or ()]
        return grouped(root, "folder", paths, labels)
    file, spans = pack(_encoded(parts, labels))
    numbered = [_number(row) for row in range(len(labels))]
    return grouped(file.parent, "webdataset", numbered, labels, spans, (file.name,))


def _files(part: Any) -> list[tuple[str, int]] | None:
    """The file and the label of each image; None where images are no files of their own."""
    if type(part).__name__ == "Caltech101":
        folder = Path(part.root, "101_ObjectCategories")
        return [
            (f"{folder}/{part.categories[label]}/image_{number:04}.jpg", label)
            for number, label in zip(part.index, part.y, strict=True)
        ]
    if type(part).__name__ == "INaturalist":
        return [(f"{part.root}/{part.all_categories[c]}/{file}", c) for c, file in part.index]
    for files, labels in (("_image_files", "_labels"), ("_images", "_labels")):
        if hasattr(part, files) and hasattr(part, labels):
            return _if_paths(zip(getattr(part, files), getattr(part, labels), strict=True))
    pairs = getattr(part, "_samples", None) or getattr(part, "samples", None)
    return _if_paths(pairs) if pairs else None


def _if_paths(pairs: Iterable[Any]) -> list[tuple[str, int]] | None:
    """Pairs of paths and labels as they are; None if they are something else."""
    found = list(pairs)
    if not all(len(pair) == 2 and isinstance(pair[0], str | os.PathLike) for pair in found):
        return None
    return [(os.fspath(path), int(label)) for path, label in found] or None


def _names(part: Any) -> dict[Any, str]:
    """The name of each label; none where there are no names, or a name is there twice."""
    for field in ("classes", "categories", "all_categories"):
        names = getattr(part, field, None)
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return dict(enumerate(names)) if len(set(names)) == len(names) else {}
    return {}


def _number(row: int) -> str:
    return f"{row:07}.png"


def _items(part: Any) -> Iterator[Any]:
    """The items of a part of a dataset of torchvision."""
    try:
        for row in range(len(part)):
            yield part[row]
    except Exception as error:  # of torchvision, which raises many
        raise CogError(
            f"torchvision cannot read an item of {type(part).__name__} ({reason_in_a_line(error)})",
            "give a dataset of labelled images, whole and as torchvision lays it out",
        ) from error


def _encoded(parts: Sequence[Any], labels: list[str]) -> Iterator[tuple[str, bytes]]:
    """Every image of some parts as a PNG under its number; its class is appended to `labels`."""
    from PIL.Image import Image

    for part in parts:
        names = _names(part)
        for item in _items(part):
            image, label = item if isinstance(item, tuple) and len(item) == 2 else (None, None)
            if not isinstance(image, Image) or not isinstance(label, int | str):
                raise CogError(
                    f"an item of torchvision's {type(part).__name__} is no (image, label)",
                    "give a dataset of labelled images, or a file.py:function that makes one of it",
                )
            out = io.BytesIO()
            image.save(out, "PNG", compress_level=1)
            yield _number(len(labels)), out.getvalue()
            labels.append(names.get(label, str(label)))
