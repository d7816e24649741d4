"""A dataset with its split, and the options that say which datasets a run has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cog.datasets.splits import Split
from cog.images.image_list import ImageList

Wnids = tuple[str, ...]


@dataclass(frozen=True)
class DatasetOptions:
    """Where the images are, and which datasets are wanted."""

    images: Path
    in1k: Path | None = None
    split: Path | None = None  # official test lists: a folder of text files, or the pickle
    only: tuple[str, ...] = ()  # L1 or cog_l1, in1k; empty: all
    allow_missing: bool = False
    image_key: str | None = None  # the field of WebDataset samples that is their image


@dataclass(frozen=True)
class Dataset:
    """One dataset with the split that a run uses: `in1k`, `cog_l1`, `cog_l2`, …"""

    name: str
    split: Split
    n_wanted: int  # classes, with those that were left out

    @property
    def lists(self) -> tuple[ImageList, ImageList]:
        """Training and test images."""
        return self.split.train, self.split.test

    @property
    def n_classes(self) -> int:
        """Classes that have images."""
        return len(self.split.train.wnids)
