"""Test sets with heads that are refitted on images of their own domain: `--refit-shots LIST`.

In: the test sets of a run, such as real/sketch. Out: beside each a dataset real/sketch+refit, whose
probes learn from N images a class of the target domain and are tested on its other images.

- The training images are those of the target's own training part, if its source has one; then the
  test images are those of the test set. DomainNet's sketch_test.txt has sketch_train.txt beside it.
- Else a seeded half of each class trains and the other half tests, whatever N and the seed are.
- Test images with several right classes (in1k/real) are the dataset's own: they have no refit.

The N images are drawn as `--shots` draws them. Source of the protocol: Shi et al., ICLR 2023, who
train the linear head on a small amount of data of the target domain and keep the representation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cog.datasets.dataset import Dataset, DatasetOptions, Named, Source
from cog.datasets.labelled.find import find_labelled
from cog.datasets.labelled.labelled import Labelled
from cog.datasets.labelled.parts import train_beside
from cog.datasets.labelled.text import SUFFIXES, find_in_list
from cog.datasets.splits import REFIT_DRAW, Split, draw_images
from cog.datasets.test_sets import (
    chosen,
    class_list,
    match_classes,
    wanted_test_sets,
)
from cog.errors import CogError
from cog.images.image_list import ImageList, some_images, with_own_classes
from cog.images.listing import Listing
from cog.plain_text import first_names
from cog.recipe import REFIT, Recipe


def with_refits(
    found: Sequence[Dataset], options: DatasetOptions, recipe: Recipe
) -> tuple[Dataset, ...]:
    """Each dataset, and each test set with its refit behind it, if there are shots to refit on.

    Raises:
        CogError: no test set, or one without images to refit on.
    """
    if not options.refit_shots:
        return tuple(found)
    if not options.test_sets:
        raise CogError(
            "--refit-shots refits heads on test sets, and there is none",
            "give --test-set DATASET/NAME=SOURCE",
        )
    sources = {named.name: named for named in wanted_test_sets(found, options)}
    every = []
    for dataset in found:
        every.append(dataset)
        if dataset.is_test_set and not dataset.split.right:
            every.append(find_refit(dataset, sources[dataset.name], options, recipe))
    return tuple(every)


def find_refit(test_set: Dataset, named: Named, options: DatasetOptions, recipe: Recipe) -> Dataset:
    """The dataset whose probes are refitted on the domain of a test set.

    Raises:
        CogError: no images to refit on of some classes (with `allow_missing` these are left out),
            or images that both train and test.
    """
    listing = _training_part(find_labelled(named, options), named.source)
    tested = test_set.split.test
    if listing is None:
        train, test = _halves(tested, recipe)
        kind, note = "refit on a half", "half of its images, seeded, refit heads, the others test"
    else:
        train, test = _own_part(listing, named.source, test_set), tested
        kind, note = "refit on its training part", f"{len(train):,} images of its training part"
    full = sorted({*train.classes} & {*test.classes})
    lacking = [name for name in tested.classes if name not in set(full)]
    if len(full) < 2 or (lacking and not options.allow_missing):
        raise CogError(
            f"{test_set.name}: {len(lacking):,} of {len(tested.classes):,} classes have no images "
            f"to refit a head on beside those that test: {first_names(lacking)}",
            "add images of these classes, or give --allow-missing to leave them out",
        )
    notes = [note]
    if lacking:
        notes.append(f"{len(lacking):,} classes without images to refit on are left out")
    split = Split(
        _only(train, full), _only(test, full), (), kind, tuple(notes), named=True,
        within=tested, train_within=listing is None,
    )  # fmt: skip
    return replace(
        test_set, name=test_set.name + REFIT, split=split, refit_shots=options.refit_shots
    )


def _training_part(labelled: Labelled, source: Source) -> Listing | None:
    """The images of a source that train: its part for that, or the list beside a list of tests."""
    if labelled.test is not None:
        return labelled.train
    file = Path(source) if isinstance(source, str | Path) else None
    if file is None or file.suffix not in SUFFIXES or (beside := train_beside(file)) is None:
        return None
    return find_in_list(beside).train


def _own_part(listing: Listing, source: Source, test_set: Dataset) -> ImageList:
    """The training images of the target domain, of the classes of the test set."""
    wanted = sorted([*test_set.split.train.classes, *test_set.split.left_out])
    filled = [name for name, paths in listing.paths.items() if paths]
    class_of, _ = match_classes(filled, wanted, class_list(source))
    tested = set(test_set.split.test.classes)
    own = {name: of for name, of in class_of.items() if of in tested}
    images, tests = chosen(listing, own, "train"), test_set.split.test
    files = (
        images.spans is None and images.root == tests.root
    )  # names in shards start again in each
    if both := set(images.paths) & set(tests.paths) if files else ():
        raise CogError(
            f"{test_set.name}: {len(both):,} images both train and test, such as {min(both)}",
            "take them out of one of the two",
        )
    return images


def _halves(images: ImageList, recipe: Recipe) -> tuple[ImageList, ImageList]:
    """A seeded half of the images of each class, and the others; of an odd one more that test."""
    rows = {
        name: np.flatnonzero(images.labels == label) for label, name in enumerate(images.classes)
    }
    shuffled = draw_images(recipe, REFIT_DRAW, len(images), rows)
    drawn = [own[: len(own) // 2] for own in shuffled.values()]
    trains = np.zeros(len(images), bool)
    trains[np.concatenate(drawn)] = True
    train, test = (
        with_own_classes(some_images(images, np.flatnonzero(rows))) for rows in (trains, ~trains)
    )
    return replace(train, split="train"), replace(test, split="test")


def _only(images: ImageList, classes: Sequence[str]) -> ImageList:
    """The images of some classes."""
    if list(images.classes) == list(classes):
        return images
    kept = np.array([name in set(classes) for name in images.classes])
    return with_own_classes(some_images(images, np.flatnonzero(kept[images.labels])))
