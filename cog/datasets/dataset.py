"""A dataset with its split, and the options that say which datasets a run has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from cog.datasets.protocol import Protocol
from cog.datasets.splits import Split
from cog.images.image_list import ImageList
from cog.probes.settings import Probing
from cog.probes.table import PROBES
from cog.recipe import TOP1, WNID, Recipe, fitted_on

Wnids = tuple[str, ...]
Source = str | Path | Callable[[], Any]
"""where labelled images are: a path, `torchvision:NAME@ROOT`, `file.py:function`, a function"""


class Named(NamedTuple):
    """Labelled images that are a dataset of the user's: `--dataset NAME=SOURCE`."""

    name: str
    source: Source


def source_text(source: Source) -> str:
    """A source as run.json has it."""
    return getattr(source, "__qualname__", "") or str(source)


@dataclass(frozen=True)
class DatasetOptions:
    """Where the images are, and which datasets are wanted."""

    images: Path | None = None  # of the levels
    in1k: Path | None = None
    datasets: tuple[Named, ...] = ()  # any labelled images
    test_sets: tuple[Named, ...] = ()  # further ones of datasets: DATASET/NAME
    refit_shots: tuple[int | None, ...] = ()  # heads are refitted on so many images of test sets
    split: Path | None = None  # official test lists: a folder of text files, or the pickle
    only: tuple[str, ...] = ()  # L1 or cog_l1, in1k, own names; empty: all
    allow_missing: bool = False
    metrics: tuple[tuple[str, str], ...] = ()  # headline metrics of datasets, by their names
    synsets: tuple[tuple[str, Path], ...] = ()  # tables of synsets of datasets, by their names
    download: bool = False  # files of `torchvision:NAME@ROOT` that are not there
    suites: tuple[str, ...] = ()  # names, or TOML files; see suites/at_root.py
    data: Path | None = None  # where the sets of suites lie
    protocols: tuple[tuple[str, Protocol], ...] = ()  # of sets of suites, by their names
    left_out: tuple[tuple[str, str], ...] = ()  # suites, and sets of them that are missing
    image_key: str | None = None  # the field of WebDataset samples that is their image


@dataclass(frozen=True)
class Synsets:
    """The synsets of a dataset's classes, as a table gives them: `--synsets NAME=table.csv`."""

    table: str  # its path, as the user wrote it
    sha256: str  # of the table
    wnids: tuple[str, ...]  # [c], in the order of labels; two classes may have the same
    notes: tuple[str, ...] = ()  # what the user should know of the table


@dataclass(frozen=True)
class Dataset:
    """One dataset with the split that a run uses: `in1k`, `cog_l1`, `cog_l2`, … or any name.

    A further test set of one, `in1k/v2`, is a dataset with the training images of that.
    """

    name: str
    split: Split
    n_wanted: int  # classes, with those that were left out
    metric: str = TOP1  # the headline metric, as the field reports this set
    synsets: Synsets | None = None  # where a table is given
    protocol: Protocol | None = None  # where a suite has one for it
    refit_shots: tuple[int | None, ...] = ()  # of a test set with heads that are refitted on it

    @property
    def lists(self) -> tuple[ImageList, ImageList]:
        """Training and test images."""
        return self.split.train, self.split.test

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe of a run as it is for this dataset."""
        if self.protocol is None:
            return recipe
        return self.protocol.recipe(recipe, len(self.split.train))

    def probing(self, probing: Probing) -> Probing:
        """The probes of a run as they are for this dataset."""
        own = probing if self.protocol is None else self.protocol.probing(probing)
        if not self.refit_shots:
            return own
        probes = tuple(probe for probe in own.probes if not PROBES[probe].among_test)
        return replace(own, probes=probes, shots=self.refit_shots)

    @property
    def n_classes(self) -> int:
        """Classes that have images: the answers of a probe."""
        return len(self.split.test.classes)

    @property
    def wnids(self) -> tuple[str, ...] | None:
        """The synset of each class as wnid [c], in the order of labels; None where nobody knows.

        Those of the table, or else the names of the classes where all of them are wnids.
        """
        if self.synsets is not None:
            return self.synsets.wnids
        classes = self.split.test.classes
        return classes if all(map(WNID.fullmatch, classes)) else None

    @property
    def own_lists(self) -> tuple[ImageList, ...]:
        """The lists that no other dataset has: of a test set, its test images, if these are its."""
        lists = self.split.feature_lists[1:] if self.is_test_set else self.split.feature_lists
        return tuple(images for images in lists if images is not self.split.within)

    @property
    def of_features(self) -> str:
        """The dataset whose features it has: itself, but for a test set of others' images."""
        return fitted_on(self.name) if self.split.within else self.name

    @property
    def is_test_set(self) -> bool:
        """Whether it is a further test set, for probes that are fitted on another dataset."""
        return fitted_on(self.name) != self.name
