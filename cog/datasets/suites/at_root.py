"""Suites under the folder where their datasets lie: what is missing, and the options of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cog.datasets.dataset import DatasetOptions, Named
from cog.datasets.labelled.names import check_names, short_name
from cog.datasets.suites.suite import LEVELS, OWN, Suite, SuiteSet, read_suite
from cog.errors import CogError
from cog.recipe import parted


def needed(each: SuiteSet) -> tuple[str, ...]:
    """What a set needs, relative to the folder of all sets."""
    return each.needs or (each.path,)


def missing(suite: Suite, root: Path) -> dict[str, tuple[str, ...]]:
    """What is not under `root` of each set and test set, by name; none of those that are whole."""
    lacking = {
        name: tuple(path for path in needed(each) if not _is_there(root / path))
        for name, each in suite.every.items()
    }
    return {name: paths for name, paths in lacking.items() if paths}


def _is_there(path: Path) -> bool:
    """Whether there is a file or folder, or any of a pattern such as `train-*.tar`."""
    return path.exists() or any(path.parent.glob(path.name))


def with_suites(options: DatasetOptions) -> tuple[DatasetOptions, tuple[str, ...]]:
    """The options with the sets of their suites, and what the user should know of these.

    A set whose place is given too, by `--dataset NAME=SOURCE`, `--test-set SET/NAME=SOURCE`,
    `--in1k` or `--images`, lies there. Sets that `only` does not ask for are passed over.

    Raises:
        CogError: no such suite; a suite without `data`; sets that are missing, unless
            `allow_missing`; or two suites that have different sets of one name.
    """
    if not options.suites:
        if options.data is not None:
            raise CogError("--data is where the sets of suites lie", "give --suite NAME too")
        return options, ()
    if options.data is None:
        asked = " ".join(f"--suite {name}" for name in options.suites)
        raise CogError(f"{asked} needs the folder where its sets lie", "give --data ROOT")
    notes: list[str] = []
    given = _given(options)
    for text, suite in zip(options.suites, map(read_suite, options.suites), strict=True):
        own = _asked_for(suite, options)
        lacking = {key: paths for key, paths in missing(own, options.data).items()
                   if key not in given}  # fmt: skip
        if lacking and not options.allow_missing:
            raise _missing_error(text, lacking, options.data)
        left_out = [key for key in own.every if key in lacking or parted(key)[0] in lacking]
        if left_out:
            left = f"{len(left_out)} of {len(own.every)} sets are missing ({', '.join(left_out)})"
            notes.append(f"{suite.name}: {left}: means over its sets are partial")
        options = _with_sets(options, _without(own, left_out), given)
        pairs = tuple((suite.name, key) for key in left_out if key != LEVELS)
        options = replace(options, left_out=options.left_out + pairs)
    check_names(each.name for each in options.datasets)
    return options, tuple(notes)


def _given(options: DatasetOptions) -> set[str]:
    """The sets whose place the user gives beside the suites."""
    own = {key for key, option in OWN.items() if getattr(options, option) is not None}
    return own | {each.name for each in (*options.datasets, *options.test_sets)}


def _asked_for(suite: Suite, options: DatasetOptions) -> Suite:
    """The suite with those sets alone that `only` asks for."""
    asked = {short_name(name) for name in options.only}
    if not asked:
        return suite
    of_levels = any(name[:1] == "l" and name[1:].isdecimal() for name in asked)
    names = asked | ({LEVELS} if of_levels else set())
    return _without(suite, [key for key in suite.sets if short_name(key) not in names])


def _without(suite: Suite, names: Sequence[str]) -> Suite:
    """The suite without some sets, and without the test sets of these."""
    return replace(
        suite,
        sets={key: each for key, each in suite.sets.items() if key not in names},
        test_sets={
            key: each
            for key, each in suite.test_sets.items()
            if key not in names and parted(key)[0] not in names
        },
    )


def _with_sets(options: DatasetOptions, suite: Suite, given: set[str]) -> DatasetOptions:
    """The options with the sets of one suite, of which those in `given` have their place."""
    root = options.data or Path()
    datasets, metrics, protocols = options.datasets, options.metrics, options.protocols
    for key, each in suite.sets.items():
        if key in OWN and key not in given:
            options = replace(options, **{OWN[key]: root / each.path})  # type: ignore[arg-type]
        elif key not in given:
            named = Named(key, source_under(each, root))
            datasets += () if named in datasets else (named,)
        if each.metric and key not in dict(metrics):
            metrics += ((key, each.metric),)
        if each.protocol:
            protocol = suite.protocols[each.protocol]
            if dict(protocols).get(key, protocol) != protocol:
                raise CogError(
                    f"two suites have other protocols for {key}",
                    "evaluate them one after the other, with another --out each",
                )
            protocols += ((key, protocol),)
    further = tuple(
        Named(key, source_under(each, root))
        for key, each in suite.test_sets.items()
        if key not in given
    )
    test_sets = tuple(dict.fromkeys((*options.test_sets, *further)))
    return replace(
        options, datasets=datasets, test_sets=test_sets, metrics=metrics, protocols=protocols
    )


def source_under(each: SuiteSet, root: Path) -> str:
    """The source of a set, as `--dataset NAME=SOURCE` takes it.

    >>> source_under(SuiteSet("torchvision:DTD@textures"), Path("data"))
    'torchvision:DTD@data/textures'
    """
    head, tail = each.source.rsplit(each.path, 1)
    return f"{head}{(root / each.path).as_posix()}{tail}"


def _missing_error(name: str, lacking: Mapping[str, tuple[str, ...]], root: Path) -> CogError:
    """The list of what a suite lacks."""
    listed = "; ".join(f"{key}: {', '.join(paths)}" for key, paths in lacking.items())
    return CogError(
        f"of the suite {name} these sets are missing in {root}: {listed}",
        f"`cog suites show {name}` says where they come from; --allow-missing goes on without them",
    )
