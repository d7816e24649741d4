"""The datasets of a run, each with its images and split: ImageNet-1K, the levels, the user's own.

To add a kind of dataset with classes in WordNet: its entry in `DATASETS`. A form of any labelled
images: labelled/find.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from cog.datasets.check.listing import Listed, list_in1k, list_levels
from cog.datasets.dataset import Dataset, DatasetOptions, Named, Wnids
from cog.datasets.imagenet1k import in1k_lists
from cog.datasets.labelled.find import labelled_dataset
from cog.datasets.labelled.names import short_name
from cog.datasets.official_pickles import MAPPING_FILE, refuse_another_mapping
from cog.datasets.protocol import Protocol
from cog.datasets.refits import with_refits
from cog.datasets.splits import Split, split_images
from cog.datasets.suites.suite import LEVELS
from cog.datasets.synsets import with_synsets
from cog.datasets.test_sets import with_test_sets
from cog.errors import CogError, one_error, unknown_name
from cog.levels.table import Levels
from cog.recipe import HEADLINES, IN1K, LEVEL, Recipe, of_levels

Found = TypeVar("Found")


@dataclass(frozen=True)
class DatasetKind:
    """A kind of dataset.

    Args:
        root: the field of `DatasetOptions`, and the option, that says where the images are.
        release: where to get the images.
        classes: the datasets of this kind that a benchmark has, each with its sorted wnids.
        split: finds and splits the images of some wnids under a root.
        check: lists the images of some datasets, and what is wrong with them and with the lists
            of `--split`.
    """

    root: str
    release: str
    classes: Callable[[Levels], dict[str, Wnids]]
    split: Callable[[Path, Wnids, Recipe, DatasetOptions], Split]
    check: Callable[[Path, Mapping[str, Wnids], Recipe, DatasetOptions], Listed]


def find_datasets(options: DatasetOptions, levels: Levels, recipe: Recipe) -> tuple[Dataset, ...]:
    """Every wanted dataset, with its split.

    Raises:
        CogError: nothing is wanted; an unknown dataset; classes of any dataset that are missing or
            short; the official pickle of levels lies beside the split, with other concepts; or a
            table of synsets that does not fit the classes.
    """
    if options.split is not None:
        beside = options.split if options.split.is_dir() else options.split.parent
        if (mapping := beside / MAPPING_FILE).is_file():
            refuse_another_mapping(mapping, {n: levels.wnids(n) for n in levels.numbers})
    finders = {
        name: partial(
            _of_kind, kind, root, name, wanted, _splitting(name, options, recipe), options
        )
        for kind, root, classes in wanted_datasets(options, levels)
        for name, wanted in classes.items()
    }
    own = {
        named.name: partial(
            labelled_dataset, named, options, _splitting(named.name, options, recipe)
        )
        for named in wanted_labelled(options)
    }
    refuse_nothing(options, levels)
    every = _with_protocols(all_found(finders | own), options)
    every = with_test_sets(with_synsets(every, options, levels), options)
    return with_refits(every, options, recipe)


def refuse_nothing(options: DatasetOptions, levels: Levels) -> None:
    """Refuse options that want no dataset; no image is looked for.

    Raises:
        CogError: nothing is wanted, or an unknown dataset.
    """
    kinds = any(classes for _, _, classes in wanted_datasets(options, levels))
    if not kinds and not wanted_labelled(options):
        hint = "give --images ROOT, --in1k ROOT, --dataset NAME=SOURCE or --suite NAME"
        raise CogError("there is nothing to evaluate", hint)


def _with_protocols(datasets: Sequence[Dataset], options: DatasetOptions) -> tuple[Dataset, ...]:
    """The datasets with the protocols that suites have for them; all levels are one set."""
    return tuple(replace(each, protocol=_protocol_of(each.name, options)) for each in datasets)


def _protocol_of(name: str, options: DatasetOptions) -> Protocol | None:
    """The protocol that suites have for a dataset, if they do."""
    is_level = of_levels(name) and name != IN1K
    return dict(options.protocols).get(LEVELS if is_level else name)


def _splitting(name: str, options: DatasetOptions, recipe: Recipe) -> Recipe:
    """The recipe by which the images of a dataset are split."""
    protocol = _protocol_of(name, options)
    return recipe if protocol is None else protocol.splitting(recipe)


def all_found(finders: Mapping[str, Callable[[], Found]]) -> tuple[Found, ...]:
    """What all finders, by their names, find; raises the errors of all of them as one CogError."""
    found: list[Found] = []
    errors: list[tuple[str, CogError]] = []
    for name, find in finders.items():
        try:
            found.append(find())
        except CogError as error:
            errors.append((name, error))
    if errors:
        raise one_error(errors)
    return tuple(found)


def _of_kind(
    kind: DatasetKind,
    root: Path,
    name: str,
    wanted: Wnids,
    recipe: Recipe,
    options: DatasetOptions,
) -> Dataset:
    """One dataset of the benchmark with its split."""
    return Dataset(name, kind.split(root, wanted, recipe, options), len(wanted))


def wanted_labelled(options: DatasetOptions) -> tuple[Named, ...]:
    """The datasets of labelled images of a run, in the order in which they were given.

    Raises:
        CogError: a headline metric or synsets of a dataset that is not given, or a metric that
            there is not.
    """
    names = [each.name for each in options.datasets]
    for name, _ in options.synsets:
        if name not in names:
            raise unknown_name("dataset of --synsets", name, names)
    for name, metric in options.metrics:
        if name not in names:
            raise unknown_name("dataset of --metric", name, names)
        if metric not in HEADLINES:
            raise unknown_name("metric", metric, HEADLINES)
    asked = {short_name(text) for text in options.only}
    return tuple(each for each in options.datasets if not asked or short_name(each.name) in asked)


def wanted_datasets(
    options: DatasetOptions, levels: Levels
) -> list[tuple[DatasetKind, Path, dict[str, Wnids]]]:
    """The benchmark's datasets of a run by kind, in order: the root of each kind, and the wnids.

    Without `only`, these are all whose root is given.

    Raises:
        CogError: a name that the benchmark does not have, or a dataset without its root.
    """
    kinds = [(kind, kind.classes(levels)) for kind in DATASETS.values()]
    names = [name for _, classes in kinds for name in classes]
    asked = {short_name(text) for text in options.only}
    own_names = [each.name for each in options.datasets]
    for name in asked.difference(map(short_name, names), (short_name(each) for each in own_names)):
        raise unknown_name("dataset", name, [*map(short_name, names), *names, *own_names])
    wanted = []
    for kind, classes in kinds:
        own = {name: classes[name] for name in classes if not asked or short_name(name) in asked}
        root: Path | None = getattr(options, kind.root)
        if own and root is not None:
            wanted.append((kind, root, own))
        elif own and asked:
            what = f"{', '.join(own)} was asked for without its images"
            raise CogError(what, f"give --{kind.root} ROOT")
    return wanted


def kind_of(dataset: str) -> DatasetKind | None:
    """The kind of a dataset, or of a part of it such as `in1k-train`; None of labelled images."""
    name = dataset.removesuffix("-train").removesuffix("-test")
    if not of_levels(name):
        return None
    return next(kind for prefix, kind in DATASETS.items() if name.startswith(prefix))


DATASETS = {  # each key begins the names of its datasets
    IN1K: DatasetKind(
        root=IN1K,
        release="ILSVRC2012 (image-net.org, with an account): its train and val tars",
        classes=lambda levels: {IN1K: levels.seen},
        split=lambda root, wnids, _, options: in1k_lists(
            root, wnids, allow_missing=options.allow_missing, image_key=options.image_key
        ),
        check=list_in1k,
    ),
    LEVEL: DatasetKind(
        root="images",
        release="ImageNet-21K (image-net.org, with an account): <wnid>.tar in the winter21 release",
        classes=lambda levels: {
            f"{LEVEL}{number}": levels.wnids(number) for number in levels.numbers
        },
        split=lambda root, wnids, recipe, options: split_images(
            root,
            wnids,
            recipe,
            tests=options.split,
            allow_missing=options.allow_missing,
            image_key=options.image_key,
        ),
        check=list_levels,
    ),
}
