"""Further test sets of a dataset: other images of its classes, `--test-set DATASET/NAME=SOURCE`.

In: a source of labelled images, and the dataset whose classes they show. Out: a `Dataset` called
DATASET/NAME with the training images of DATASET, so that a probe of the one is scored on the other.

Classes are matched by name, which for ImageNet is the wnid. Names that are numbers count classes
from 0: those of `classes.txt` in the source, a name a line, else those of a dataset with wnids, in
their order. ImageNet-V2 has such folders; sorted as text, "10" would come before "2". The test set
keeps the classes that it has images of, and answers are sought among these alone. Other labels of
the dataset's own test images: reassessed.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cog.datasets.dataset import Dataset, DatasetOptions, Named, Source
from cog.datasets.labelled.class_list import read_class_names
from cog.datasets.labelled.find import find_labelled
from cog.datasets.labelled.names import SAFE
from cog.datasets.reassessed import find_reassessed, is_reassessed
from cog.datasets.splits import Split
from cog.errors import CogError, unknown_name
from cog.images.class_names import NAME_LIST
from cog.images.image_list import ImageList, every_image
from cog.images.listing import Listing
from cog.plain_text import first_names, printable
from cog.recipe import IN1K, WNID, of_levels, parted

_NUMBER = re.compile(r"[0-9]{1,9}")


def with_test_sets(found: Sequence[Dataset], options: DatasetOptions) -> tuple[Dataset, ...]:
    """Each dataset with its test sets behind it, as `wanted_test_sets` gives them.

    Raises:
        CogError: what `wanted_test_sets` or `find_test_set` refuses.
    """
    wanted = wanted_test_sets(found, options)
    every: list[Dataset] = []
    for dataset in found:
        own = [named for named in wanted if parted(named.name)[0] == dataset.name]
        every += [dataset, *(find_test_set(named, dataset, options) for named in own)]
    return tuple(every)


def wanted_test_sets(found: Sequence[Dataset], options: DatasetOptions) -> tuple[Named, ...]:
    """The test sets of the datasets of a run, by their full names: cog_l1/x for L1/x.

    Those of a dataset that `only` leaves out are left out with it.

    Raises:
        CogError: a test set of no dataset that is there, or what `check_test_sets` refuses.
    """
    check_test_sets(options.test_sets)
    names = [dataset.name for dataset in found if not dataset.is_test_set]
    given = {each.name for each in options.datasets}
    wanted = []
    for named in options.test_sets:
        base, own = parted(named.name)
        level = f"cog_{base.lower()}"
        key = level if of_levels(level) else base
        if key in names:
            wanted.append(Named(f"{key}/{own}", named.source))
        elif not (options.only and (key in given or of_levels(key))):
            raise _no_dataset(named.name, key, names)
    check_test_sets(wanted)
    return tuple(wanted)


def _no_dataset(test_set: str, base: str, names: Sequence[str]) -> CogError:
    """The error for a test set of a dataset that a run does not have."""
    if not of_levels(base):
        return unknown_name("dataset of --test-set", base, names)
    return CogError(
        f"{test_set} has further images of {base}, which is not evaluated",
        f"give --{IN1K if base == IN1K else 'images'} ROOT",
    )


def check_test_sets(named: Sequence[Named]) -> None:
    """Refuse names of test sets that cannot be used.

    Raises:
        CogError: not DATASET/NAME with letters, digits, `.`, `_` and `-`, or two that differ in
            case alone.
    """
    known: set[str] = set()
    for name, _ in named:
        base, own = parted(name)
        if not (SAFE.fullmatch(base) and SAFE.fullmatch(own)) or "--" in name:
            raise CogError(
                f"a test set cannot be called {printable(name)[:80]!r}",
                "write DATASET/NAME=SOURCE, such as in1k/v2=/data/imagenetv2; NAME has letters, "
                "digits, ., _ and -, without --",
            )
        if name.lower() in known:
            raise CogError(f"the test set {name} is there twice", "give each a name of its own")
        known.add(name.lower())


def find_test_set(named: Named, base: Dataset, options: DatasetOptions) -> Dataset:
    """The test set of a source, for probes of `base`.

    Raises:
        CogError: no such source, nothing labelled in it, classes that `base` does not have (with
            `allow_missing` these are left out), or one class alone, where every answer is right.
    """
    try:
        if is_reassessed(named.source):
            return find_reassessed(named, base)
        return _found(named, base, options)
    except CogError as error:
        raise CogError(f"{named.name}: {error.what}", error.hint) from error


def _found(named: Named, base: Dataset, options: DatasetOptions) -> Dataset:
    labelled = find_labelled(named, options)
    listing = labelled.train if labelled.test is None else labelled.test
    notes = [*labelled.notes, *listing.notes]
    if labelled.test is not None:
        notes.append(f"of its parts {labelled.split}, the second one tests")
    wanted = sorted([*base.split.train.classes, *base.split.left_out])
    filled = [name for name, paths in listing.paths.items() if paths]
    class_of, by = match_classes(filled, wanted, class_list(named.source))
    known = set(base.split.train.classes)
    lacking = [name for name in filled if class_of.get(name) not in known]
    none = len(lacking) == len(filled)
    if none or (lacking and not options.allow_missing):
        raise CogError(
            f"{len(lacking):,} of {len(filled):,} classes are none of {base.name}: "
            f"{first_names(lacking)}; it has {first_names(base.split.train.classes)}",
            f"name the folders as {base.name} does; or number them from 0, with the names in "
            f"{NAME_LIST} beside them"
            + ("" if none else "; or give --allow-missing to leave these classes out"),
        )
    test = chosen(listing, {name: class_of[name] for name in filled if name not in lacking})
    if len(test.classes) < 2:
        raise CogError(
            f"expected images of two classes of {base.name} or more, found "
            f"{first_names(test.classes)} alone",
            "add images of other classes: among one class every answer is right",
        )
    n_classes = len(base.split.train.classes)
    notes.append(f"{len(test):,} images, classes matched by {by}")
    if lacking:
        notes.append(f"{len(lacking):,} classes are none of {base.name}: left out")
    if len(test.classes) < n_classes:
        notes.append(
            f"it has {len(test.classes):,} of the {n_classes:,} classes: a probe answers among "
            "these alone"
        )
    split = Split(base.split.train, test, base.split.left_out, f"classes by {by}", tuple(notes))
    return Dataset(named.name, split, len(filled), base.metric, protocol=base.protocol)


def match_classes(
    names: Sequence[str], wanted: Sequence[str], listed: Sequence[str] = ()
) -> tuple[dict[str, str], str]:
    """The class of `wanted` that each name means, and by what: wnid, name or number.

    Numbers are all matched by one list or none is: one beyond its end tells of another list, such
    as that of ImageNet-1K where the dataset has a hundred of its classes.

    Args:
        names: of the classes of a test set.
        wanted: the classes of the dataset, sorted.
        listed: the names that numbers stand for; none where there is no list.

    >>> match_classes(["10", "2"], [f"n{number:08}" for number in range(11)])
    ({'10': 'n00000010', '2': 'n00000002'}, 'number')
    >>> match_classes(["cat"], ["cat", "dog"])
    ({'cat': 'cat'}, 'name')
    """
    wnids = all(map(WNID.fullmatch, wanted))
    numbered = listed or (wanted if wnids else ())
    known = set(wanted)
    if not known.isdisjoint(names) or not numbered or not all(map(_NUMBER.fullmatch, names)):
        return {name: name for name in names if name in known}, "wnid" if wnids else "name"
    of_number = {name: int(name) for name in names}
    if max(of_number.values(), default=-1) >= len(numbered):
        return {}, "number"
    found = {name: numbered[number] for name, number in of_number.items()}
    return {name: own for name, own in found.items() if own in known}, "number"


def class_list(source: Source) -> Sequence[str]:
    """The names that the numbers of classes stand for, where they lie in the source."""
    file = Path(source, NAME_LIST) if isinstance(source, str | Path) else None
    return read_class_names(file) if file is not None and file.is_file() else ()


def chosen(listing: Listing, class_of: Mapping[str, str], split: str = "test") -> ImageList:
    """The images of these classes, under the names that the dataset has for them."""
    if len(set(class_of.values())) < len(class_of):
        raise CogError("two of its classes are one class", "merge them, or rename one")
    paths = {own: listing.paths[name] for name, own in class_of.items()}
    spans = listing.spans
    if spans is not None:
        spans = {own: spans[name] for name, own in class_of.items()}
    return every_image(replace(listing, paths=paths, spans=spans), split)
