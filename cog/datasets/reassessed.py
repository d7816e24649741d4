"""`in1k/real=real.json`: ImageNet-1K's validation images with the reassessed labels, ReaL.

In: the published JSON, a list of 50,000 lists of class numbers: the right classes of
ILSVRC2012_val_00000001.JPEG, of …2.JPEG, and so on. A number counts the wnids of ImageNet-1K in
their order, from 0. Out: a test set of in1k. It is made of the test images of in1k that have a
right class, and has their features: nothing is decoded again.

An answer is right if it is any of the right classes; so the rank of an image is that of the right
class that is placed best. Images without a right class are left out. Where an image must have one
class, as in accuracies by class, it is the class of in1k if that is right, else the first one that
the file names.
Source: Beyer et al., "Are we done with ImageNet?", 2020.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cog.datasets.dataset import Dataset, Named, Source
from cog.datasets.right_classes import RightClasses
from cog.datasets.splits import Split
from cog.errors import CogError
from cog.images.image_list import ImageList, some_images
from cog.plain_text import printable
from cog.recipe import IN1K
from cog.small_files import NotReadable, read_json
from cog.wordnet.concept_lists import read_wnids

KIND = "several right classes"
N_IMAGES, N_CLASSES = 50_000, 1000
_FORM = f"a list of {N_IMAGES:,} lists of class numbers, 0 to {N_CLASSES - 1}"
_HINT = "give real.json as github.com/google-research/reassessed-imagenet has it"
_VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})(?!\d)")


def is_reassessed(source: Source) -> bool:
    """Whether a source is such a file: a .json that begins with anything but an object."""
    if not isinstance(source, str | Path) or Path(source).suffix != ".json":
        return False
    if not Path(source).is_file():
        return False
    with Path(source).open("rb") as file:
        return not file.read(4096).lstrip().startswith(b"{")


def find_reassessed(named: Named, base: Dataset) -> Dataset:
    """The test images of `base`, in1k, with the right classes that a file has for them.

    Raises:
        CogError: another dataset, another file, or images whose names have no number.
    """
    if base.name != IN1K:
        raise CogError(
            f"{named.source} has classes of ImageNet-1K's validation images, not of {base.name}",
            f"write {IN1K}/NAME={named.source}",
        )
    images = base.split.test
    by_number = read_right_classes(Path(str(named.source)))
    index = {wnid: label for label, wnid in enumerate(images.classes)}
    label_of = [index.get(wnid) for wnid in sorted(read_wnids(IN1K))]
    named_right = [by_number[number - 1] for number in _numbers(images)]
    right = [
        _in_order([new for old in own if (new := label_of[old]) is not None], label)
        for own, label in zip(named_right, images.labels.tolist(), strict=True)
    ]
    kept = [row for row, own in enumerate(right) if own]
    if not kept:
        raise CogError(f"no image of {base.name} has a right class in {named.source}", _HINT)
    kept.sort(key=lambda row: (right[row][0], images.paths[row]))
    found = RightClasses.of([right[row] for row in kept])
    tests = replace(some_images(images, kept), labels=found.labels)
    n_none = sum(not own for own in named_right)
    split = Split(
        base.split.train, tests, base.split.left_out, KIND,
        _notes(found, len(images), n_none, base.name), right=found, within=images,
    )  # fmt: skip
    return Dataset(named.name, split, base.n_wanted, base.metric, base.synsets, base.protocol)


def read_right_classes(file: Path) -> list[list[int]]:
    """The right classes of every validation image, by its number less one.

    Raises:
        CogError: the file is something else.
    """
    try:
        found = read_json(file)
    except (NotReadable, OSError) as error:
        raise CogError(f"cannot read {file}: {error}", _HINT) from error
    if not isinstance(found, list) or len(found) != N_IMAGES:
        what = f"{len(found):,} of them" if isinstance(found, list) else f"a {type(found).__name__}"
        raise CogError(f"expected {_FORM}, found {what} in {file}", _HINT)
    for number, own in enumerate(found, start=1):
        if not isinstance(own, list) or not all(map(_is_class, own)):
            shown = printable(str(own))[:60]
            raise CogError(f"expected {_FORM}, found {shown} for image {number:,} in {file}", _HINT)
    return found


def _is_class(value: Any) -> bool:
    return type(value) is int and 0 <= value < N_CLASSES


def _numbers(images: ImageList) -> list[int]:
    """The number of each validation image, which its name has."""
    names = [path.rpartition("/")[2] for path in images.paths]
    found = [int(match[1]) if (match := _VALIDATION.match(name)) else 0 for name in names]
    odd = [name for name, number in zip(names, found, strict=True) if not 1 <= number <= N_IMAGES]
    if odd:
        raise CogError(
            f"{len(odd):,} of {len(names):,} test images have no number of a validation image in "
            f"their names: {', '.join(map(printable, odd[:5]))}",
            "give --in1k a copy whose validation images are called ILSVRC2012_val_00000001.JPEG, …",
        )
    return found


def _in_order(right: Sequence[int], label: int) -> list[int]:
    """Right classes, each once: the label of the image, and the others in ascending order."""
    first = [label] if label in right else list(right[:1])
    return [*first, *sorted({*right}.difference(first))]


def _notes(right: RightClasses, n_images: int, n_none: int, base: str) -> tuple[str, ...]:
    """What the user should know."""
    own = len(right.counts)
    notes = [
        f"{own:,} of the {n_images:,} test images of {base}, with "
        f"{len(right.classes) / own:.2f} right classes on average; any of them is right",
    ]
    if n_none:
        notes.append(f"{n_none:,} images without a right class are left out")
    if other := n_images - own - n_none:
        notes.append(f"{other:,} images whose right classes {base} lacks are left out")
    return tuple(notes)
