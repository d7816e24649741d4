"""Which images of the wanted datasets are there, and which classes are missing or short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cog.datasets.check.report import Finding
from cog.datasets.dataset import DatasetOptions, Wnids
from cog.datasets.imagenet1k import in1k_lists
from cog.datasets.matching import match_listed
from cog.datasets.official_lists import read_lists
from cog.images.find import find_images
from cog.images.image_list import ImageList, every_image
from cog.images.listing import Listing
from cog.recipe import IN1K, Recipe

IN1K_TOTALS = (1_281_167, 50_000)


@dataclass(frozen=True, eq=False)
class Part:
    """All images of a dataset, or of one of its splits, that are there."""

    dataset: str
    n_wanted: int  # classes
    images: ImageList


@dataclass(frozen=True, eq=False)
class Listed:
    """What a listing finds without reading any image."""

    parts: tuple[Part, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Listed) -> Listed:
        """Both together."""
        return Listed(
            self.parts + other.parts, self.findings + other.findings, self.notes + other.notes
        )


def list_in1k(
    root: Path, classes: Mapping[str, Wnids], _: Recipe, options: DatasetOptions
) -> Listed:
    """List ImageNet-1K: its train and val, and the classes that have no images in one of them.

    Raises:
        CogError: as `in1k_lists` does, but not for missing classes.
    """
    wnids = classes[IN1K]
    split = in1k_lists(root, wnids, allow_missing=True, image_key=options.image_key)
    findings = [
        Finding(IN1K, wnid, "", "missing", "none in train, or none in val")
        for wnid in split.left_out
    ]
    for name, faults in split.broken.items():
        for path, why in faults.items():
            wnid = path.partition("/")[0] if "/" in path else ""  # of a flat val/
            findings.append(Finding(f"{IN1K}-{name}", wnid, path, "broken", why))
    lists = split.train, split.test
    parts = (Part(f"{IN1K}-{images.split}", len(wnids), images) for images in lists)
    notes, sizes = split.notes, tuple(map(len, lists))
    if len(wnids) == 1000 and sizes != IN1K_TOTALS:
        form = "{:,} images to train and {:,} to test".format
        notes += (f"{IN1K} has {form(*sizes)}; officially {form(*IN1K_TOTALS)}",)
    return Listed(tuple(parts), tuple(findings), notes)


def list_levels(
    root: Path, classes: Mapping[str, Wnids], recipe: Recipe, options: DatasetOptions
) -> Listed:
    """List the datasets of levels: missing, short and damaged classes, and listed images.

    Raises:
        CogError: as `find_images` does, but not for single damaged classes; a list that does not
            fit a level.
    """
    every = sorted({wnid for wnids in classes.values() for wnid in wnids})
    listing = find_images(root, every, skip_damaged=True, image_key=options.image_key)
    need = recipe.test_per_class + recipe.min_train
    parts: list[Part] = []
    findings: list[Finding] = []
    for name, wnids in classes.items():
        parts.append(Part(name, len(wnids), every_image(listing, "train", wnids)))
        for wnid in wnids:
            have = len(listing.paths[wnid])
            if wnid in listing.damaged:
                findings.append(Finding(name, wnid, "", "damaged", listing.damaged[wnid].what))
            elif have < need:
                remark = listing.remarks.get(wnid)
                kind = "short" if have else "missing"
                kind = "misplaced" if remark and remark.misplaced else kind
                why = f": {remark.found}; {remark.advice}" if remark else ""
                findings.append(Finding(name, wnid, "", kind, f"{have} of {need}{why}"))
            for path, fault in listing.broken.get(wnid, {}).items():
                findings.append(Finding(name, wnid, path, "broken", fault))
        findings += _of_lists(name, wnids, listing, options.split)
    missing = {each.wnid for each in findings if each.finding == "missing"}
    capitals = _in_capitals(root, missing)
    findings = [
        each._replace(finding="misplaced") if each.wnid in capitals else each for each in findings
    ]
    return Listed(tuple(parts), tuple(findings), (*listing.notes, *capitals.values()))


def _of_lists(
    dataset: str, wnids: Sequence[str], listing: Listing, split: Path | None
) -> Iterator[Finding]:
    """The images of the official lists that are absent or have another name."""
    for part, lists in zip(("test", "training"), read_lists(split, wnids), strict=True):
        for wnid, listed in (lists or {}).items():
            _, absent, renamed = match_listed(listed, listing.paths[wnid])
            for path in absent if listing.paths[wnid] else ():  # else the class is a finding
                yield Finding(dataset, wnid, path, "absent", f"a listed {part} image")
            for path, own in renamed.items():
                yield Finding(dataset, wnid, path, "renamed", f"is there as {own}")


def _in_capitals(root: Path, missing: set[str]) -> dict[str, str]:
    """A note for each missing class that is there in capitals, or as .TAR."""
    notes = {}
    for name in sorted(path.name for path in root.glob("*")):
        wnid = name.lower().removesuffix(".tar")
        if wnid in missing and name != name.lower():
            notes[wnid] = f"{wnid} is there as {name}: rename it to {name.lower()}"
    return notes
