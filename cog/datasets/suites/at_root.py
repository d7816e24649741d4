"""Suites under the folder where their datasets lie: what is missing, and the options of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cog.datasets.dataset import DatasetOptions, Named
from cog.datasets.labelled.names import check_names
from cog.datasets.suites.suite import OWN, Suite, SuiteSet, read_suite
from cog.errors import CogError


def needed(each: SuiteSet) -> tuple[str, ...]:
    """What a set needs, relative to the folder of all sets."""
    return each.needs or (each.place,)


def missing(suite: Suite, root: Path) -> dict[str, tuple[str, ...]]:
    """What is not under `root` of each set, by its name; sets that lack nothing are not there."""
    lacking = {
        name: tuple(path for path in needed(each) if not (root / path).exists())
        for name, each in suite.sets.items()
    }
    return {name: paths for name, paths in lacking.items() if paths}


def with_suites(options: DatasetOptions) -> tuple[DatasetOptions, tuple[str, ...]]:
    """The options with the sets of their suites, and what the user should know of these.

    A set whose place is given too, by `--dataset NAME=SOURCE`, `--in1k` or `--images`, lies there.
    Sets that `only` does not ask for are passed over.

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
        if lacking:
            left = f"{len(lacking)} of {len(own.sets)} sets are missing ({', '.join(lacking)})"
            notes.append(f"{suite.name}: {left}: means over its sets are partial")
        there = {key: each for key, each in own.sets.items() if key not in lacking}
        options = _with_sets(options, replace(own, sets=there), given)
    check_names(each.name for each in options.datasets)
    return options, tuple(notes)


def _given(options: DatasetOptions) -> set[str]:
    """The sets whose place the user gives beside the suites."""
    own = {key for key, option in OWN.items() if getattr(options, option) is not None}
    return own | {each.name for each in options.datasets}


def _asked_for(suite: Suite, options: DatasetOptions) -> Suite:
    """The suite with those sets alone that `only` asks for."""
    asked = {name.strip().lower().replace("cog_", "") for name in options.only}
    if not asked:
        return suite
    of_levels = any(name[:1] == "l" and name[1:].isdecimal() for name in asked)
    names = asked | ({"levels"} if of_levels else set())
    return replace(suite, sets={k: each for k, each in suite.sets.items() if k.lower() in names})


def _with_sets(options: DatasetOptions, suite: Suite, given: set[str]) -> DatasetOptions:
    """The options with the sets of one suite, of which those in `given` have their place."""
    root = options.data or Path()
    datasets, metrics, protocols = options.datasets, options.metrics, options.protocols
    for key, each in suite.sets.items():
        if key in OWN and key not in given:
            options = replace(options, **{OWN[key]: root / each.place})  # type: ignore[arg-type]
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
    return replace(options, datasets=datasets, metrics=metrics, protocols=protocols)


def source_under(each: SuiteSet, root: Path) -> str:
    """The source of a set, as `--dataset NAME=SOURCE` takes it.

    >>> source_under(SuiteSet("torchvision:DTD@textures"), Path("data"))
    'torchvision:DTD@data/textures'
    """
    head, tail = each.source.rsplit(each.place, 1)
    return f"{head}{(root / each.place).as_posix()}{tail}"


def _missing_error(name: str, lacking: Mapping[str, tuple[str, ...]], root: Path) -> CogError:
    """The list of what a suite lacks."""
    listed = "; ".join(f"{key}: {', '.join(paths)}" for key, paths in lacking.items())
    return CogError(
        f"of the suite {name} these sets are missing in {root}: {listed}",
        f"`cog suites show {name}` says where they come from; --allow-missing goes on without them",
    )
