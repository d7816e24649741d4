"""The datasets of a run: ImageNet-1K and one per level, each with its images and split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cog.datasets.imagenet1k import in1k_lists
from cog.datasets.official_pickles import MAPPING_FILE, refuse_another_mapping
from cog.datasets.splits import Split, split_images
from cog.errors import CogError, unknown_name
from cog.images.image_list import ImageList
from cog.levels.table import Levels
from cog.recipe import Recipe


@dataclass(frozen=True)
class DatasetOptions:
    """Where the images are and which of them are wanted."""

    images: Path
    in1k: Path | None = None
    split: Path | None = None  # official test lists: a folder of text, or the pickle
    only: tuple[str, ...] = ()  # L1 or cog_l1, in1k; empty: all
    allow_missing: bool = False


@dataclass(frozen=True)
class Dataset:
    """One dataset with the split that a run uses: `in1k`, `cog_l1`, `cog_l2`, …"""

    name: str
    split: Split
    n_wanted: int  # classes, before any was left out

    @property
    def lists(self) -> tuple[ImageList, ImageList]:
        """Training and test images."""
        return self.split.train, self.split.test

    @property
    def n_classes(self) -> int:
        """Classes that have images."""
        return len(self.split.train.wnids)


def dataset_names(levels: Levels) -> tuple[str, ...]:
    """The datasets that a benchmark has, in1k first."""
    return ("in1k", *(f"cog_l{number}" for number in levels.numbers))


def find_datasets(options: DatasetOptions, levels: Levels, recipe: Recipe) -> tuple[Dataset, ...]:
    """Every wanted dataset, with its split.

    in1k is left out where no folder of it is given.

    Raises:
        CogError: an unknown dataset, or classes that are missing or short: of all datasets at once;
            the official pickle of levels lies beside the split and has other concepts.
    """
    if options.split is not None:
        beside = options.split if options.split.is_dir() else options.split.parent
        if (beside / MAPPING_FILE).is_file():
            wnids = {number: levels.wnids(number) for number in levels.numbers}
            refuse_another_mapping(beside / MAPPING_FILE, wnids)
    found: list[Dataset] = []
    errors: list[CogError] = []
    for name in wanted_names(options, levels):
        try:
            found.append(_find(name, options, levels, recipe))
        except CogError as error:
            errors.append(CogError(f"{name}: {error.what}", error.hint))
    if errors:
        raise CogError("; ".join(error.what for error in errors), errors[0].hint)
    return tuple(found)


def wanted_names(options: DatasetOptions, levels: Levels) -> tuple[str, ...]:
    """The names of the datasets asked for, in their usual order.

    Raises:
        CogError: a name that the benchmark does not have, or in1k without its folder.
    """
    known = dataset_names(levels)
    asked = {text.strip().lower().replace("cog_", "") for text in options.only}
    short = {name.replace("cog_", ""): name for name in known}
    for name in asked - set(short):
        raise unknown_name("dataset", name, [*short, *known])
    if "in1k" in asked and options.in1k is None:
        raise CogError("in1k was asked for without its images", "give --in1k ROOT (train/, val/)")
    return tuple(
        name
        for key, name in short.items()
        if (key in asked or not asked) and (name != "in1k" or options.in1k is not None)
    )


def _find(name: str, options: DatasetOptions, levels: Levels, recipe: Recipe) -> Dataset:
    """One dataset."""
    if name == "in1k":
        assert options.in1k is not None  # wanted_names saw to it
        split = in1k_lists(options.in1k, levels.seen, allow_missing=options.allow_missing)
        return Dataset(name, split, len(levels.seen))
    wnids = levels.wnids(int(name.removeprefix("cog_l")))
    split = split_images(
        options.images, wnids, recipe, tests=options.split, allow_missing=options.allow_missing
    )
    return Dataset(name, split, len(wnids))
