"""The datasets of a run, each with its images and split: ImageNet-1K and one per level.

To add a kind of dataset: its entry in `DATASETS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cog.datasets.check.listing import Listed, list_in1k, list_levels
from cog.datasets.dataset import Dataset, DatasetOptions, Wnids
from cog.datasets.imagenet1k import in1k_lists
from cog.datasets.official_pickles import MAPPING_FILE, refuse_another_mapping
from cog.datasets.splits import Split, split_images
from cog.errors import CogError, unknown_name
from cog.levels.table import Levels
from cog.recipe import IN1K, LEVEL, Recipe


@dataclass(frozen=True)
class DatasetKind:
    """A kind of dataset.

    Args:
        root: the field of `DatasetOptions`, and the option, that says where the images are.
        release: where to get the images.
        classes: the datasets of this kind that a benchmark has, each with its sorted wnids.
        split: finds and splits the images of some wnids.
        check: lists the images of some datasets, and what is wrong with them.
    """

    root: str
    release: str
    classes: Callable[[Levels], dict[str, Wnids]]
    split: Callable[[DatasetOptions, Wnids, Recipe], Split]
    check: Callable[[DatasetOptions, Mapping[str, Wnids], Recipe], Listed]


def find_datasets(options: DatasetOptions, levels: Levels, recipe: Recipe) -> tuple[Dataset, ...]:
    """Every wanted dataset, with its split.

    Raises:
        CogError: an unknown dataset; classes of any dataset that are missing or short; or the
            official pickle of levels lies beside the split and has other concepts.
    """
    if options.split is not None:
        beside = options.split if options.split.is_dir() else options.split.parent
        if (beside / MAPPING_FILE).is_file():
            wnids = {number: levels.wnids(number) for number in levels.numbers}
            refuse_another_mapping(beside / MAPPING_FILE, wnids)
    found: list[Dataset] = []
    errors: list[CogError] = []
    for kind, classes in wanted_datasets(options, levels):
        for name, wanted in classes.items():
            try:
                found.append(Dataset(name, kind.split(options, wanted, recipe), len(wanted)))
            except CogError as error:
                errors.append(CogError(f"{name}: {error.what}", error.hint))
    if errors:
        raise CogError("; ".join(error.what for error in errors), errors[0].hint)
    return tuple(found)


def wanted_datasets(
    options: DatasetOptions, levels: Levels
) -> list[tuple[DatasetKind, dict[str, Wnids]]]:
    """The datasets of a run by kind, in their usual order, each with its wnids.

    Without `only`, these are all whose root is given.

    Raises:
        CogError: a name that the benchmark does not have, or a dataset without its root.
    """
    kinds = [(kind, kind.classes(levels)) for kind in DATASETS.values()]
    names = [name for _, classes in kinds for name in classes]
    asked = {_short(text.strip().lower()) for text in options.only}
    for name in asked.difference(map(_short, names)):
        raise unknown_name("dataset", name, [*map(_short, names), *names])
    wanted = []
    for kind, classes in kinds:
        own = {name: classes[name] for name in classes if not asked or _short(name) in asked}
        if own and getattr(options, kind.root) is not None:
            wanted.append((kind, own))
        elif own and asked:
            what = f"{', '.join(own)} was asked for without its images"
            raise CogError(what, f"give --{kind.root} ROOT")
    return wanted


def _short(name: str) -> str:
    """The name of a dataset as people may write it: l1 for cog_l1."""
    return name.replace("cog_", "")


def kind_of(dataset: str) -> DatasetKind:
    """The kind of a dataset, or of a part of it such as `in1k-train`."""
    return next(kind for prefix, kind in DATASETS.items() if dataset.startswith(prefix))


def _split_in1k(options: DatasetOptions, wnids: Wnids, _: Recipe) -> Split:
    assert options.in1k is not None  # checked in wanted_datasets
    return in1k_lists(options.in1k, wnids, allow_missing=options.allow_missing)


def _split_level(options: DatasetOptions, wnids: Wnids, recipe: Recipe) -> Split:
    return split_images(
        options.images, wnids, recipe, tests=options.split, allow_missing=options.allow_missing
    )


DATASETS = {  # each key begins the names of its datasets
    IN1K: DatasetKind(
        root=IN1K,
        release="ILSVRC2012 (image-net.org, with an account): its train and val tars",
        classes=lambda levels: {IN1K: levels.seen},
        split=_split_in1k,
        check=list_in1k,
    ),
    LEVEL: DatasetKind(
        root="images",
        release="ImageNet-21K (image-net.org, with an account): <wnid>.tar in the winter21 release",
        classes=lambda levels: {
            f"{LEVEL}{number}": levels.wnids(number) for number in levels.numbers
        },
        split=_split_level,
        check=list_levels,
    ),
}
