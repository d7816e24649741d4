"""Which images of the chosen datasets are there, and which classes are missing or short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cog.datasets.check.report import Finding
from cog.datasets.check.sound import find_sound_images
from cog.datasets.find import DatasetOptions, wanted_names
from cog.datasets.imagenet1k import in1k_lists
from cog.datasets.matching import match_listed
from cog.datasets.official_lists import read_lists
from cog.images.image_list import ImageList, choose
from cog.levels.table import Levels
from cog.recipe import Recipe

IN1K_TOTALS = (1_281_167, 50_000)


@dataclass(frozen=True, eq=False)
class Part:
    """All images of a dataset, or of one of its splits, that are there."""

    dataset: str
    n_wanted: int  # classes
    images: ImageList


@dataclass(frozen=True, eq=False)
class Listed:
    """What listing alone tells."""

    parts: list[Part] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def list_parts(options: DatasetOptions, levels: Levels, recipe: Recipe) -> Listed:
    """List all chosen datasets: their images, and what of them is not as it should be.

    Raises:
        CogError: an unknown dataset, or nothing of the classes is there at all.
    """
    names = wanted_names(options, levels)
    found = Listed()
    if "in1k" in names:
        _list_in1k(options, levels.seen, found)
    numbers = [int(name.removeprefix("cog_l")) for name in names if name != "in1k"]
    if numbers:
        _list_levels(options, {number: levels.wnids(number) for number in numbers}, recipe, found)
    return found


def _list_in1k(options: DatasetOptions, wnids: Sequence[str], found: Listed) -> None:
    assert options.in1k is not None  # wanted_names saw to it
    split = in1k_lists(options.in1k, wnids, allow_missing=True)
    found.notes.extend(split.notes)
    for wnid in split.left_out:
        found.findings.append(Finding("in1k", wnid, "", "missing", "none in train, or none in val"))
    for images in (split.train, split.test):
        found.parts.append(Part(f"in1k-{images.split}", len(wnids), images))
    totals = len(split.train), len(split.test)
    if len(wnids) == 1000 and totals != IN1K_TOTALS:
        train, test = totals
        found.notes.append(
            f"in1k has {train:,} images to train and {test:,} to test; officially "
            f"{IN1K_TOTALS[0]:,} and {IN1K_TOTALS[1]:,}"
        )


def _list_levels(
    options: DatasetOptions, levels: dict[int, tuple[str, ...]], recipe: Recipe, found: Listed
) -> None:
    wnids = sorted({wnid for own in levels.values() for wnid in own})
    listing, damaged = find_sound_images(options.images, wnids)
    found.notes.extend(listing.notes)
    need = recipe.test_per_class + recipe.min_train
    for number, own in levels.items():
        dataset = f"cog_l{number}"
        rows = {wnid: np.arange(len(listing.paths[wnid])) for wnid in own}
        found.parts.append(Part(dataset, len(own), choose(listing, rows, "train")))
        for wnid in own:
            have = len(listing.paths[wnid])
            if wnid in damaged:
                found.findings.append(Finding(dataset, wnid, "", "damaged", damaged[wnid]))
            elif not have:
                found.findings.append(Finding(dataset, wnid, "", "missing", f"0 of {need}"))
            elif have < need:
                found.findings.append(Finding(dataset, wnid, "", "short", f"{have} of {need}"))
        for part, lists in zip(("test", "training"), read_lists(options.split, own), strict=True):
            for wnid, listed in (lists or {}).items():
                _match(dataset, wnid, part, listed, listing.paths[wnid], found.findings)
    missing = {each.wnid for each in found.findings if each.finding == "missing"}
    found.notes.extend(_other_case(options.images, missing))


def _match(
    dataset: str,
    wnid: str,
    part: str,
    listed: Sequence[str],
    there: Sequence[str],
    findings: list[Finding],
) -> None:
    """Add the listed images of a class that are absent or are called otherwise."""
    match = match_listed(listed, there)
    for path in match.absent if there else ():  # a class without any is missing, and said to be
        findings.append(Finding(dataset, wnid, path, "absent", f"a listed {part} image"))
    for path, own in match.renamed.items():
        findings.append(Finding(dataset, wnid, path, "renamed", f"is there as {own}"))


def _other_case(root: Path, missing: set[str]) -> Iterator[str]:
    """Say which missing classes are there in capitals, or as .TAR."""
    if not root.is_dir():
        return
    for name in sorted(entry.name for entry in root.iterdir()):
        wnid = name.lower().removesuffix(".tar")
        if wnid in missing:
            yield f"{wnid} is there as {name}: call it {name.lower()}"
