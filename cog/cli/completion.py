"""What a shell completes: names of models, probes, protocols, suites and levels, and paths.

The shell's part is click's: `eval "$(_COG_COMPLETE=bash_source cog)"`. What completes an option is
its `shell_complete`. Nothing here imports torch, as a shell asks at every Tab.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Names = Callable[[click.Context], Iterable[str]]


def name_of(names: Names, *, or_path: bool = False) -> Complete:
    """Completes one of some names, or else the path of a file."""

    def complete(
        context: click.Context, parameter: click.Parameter, typed: str
    ) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in _known(names, context) if name.startswith(typed)]
        return found or ([CompletionItem(typed, type="file")] if or_path else [])

    return complete


def list_of(names: Names) -> Complete:
    """Completes the last of some names with commas between them; each name is given once."""

    def complete(
        context: click.Context, parameter: click.Parameter, typed: str
    ) -> list[CompletionItem]:
        before, comma, last = typed.rpartition(",")
        given = before.split(",")
        return [
            CompletionItem(f"{before}{comma}{name}")
            for name in _known(names, context)
            if name.startswith(last) and name not in given
        ]

    return complete


def one_of(*names: str) -> Complete:
    """Completes one of names that are written where the option is."""
    return name_of(lambda _: names)


def path(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Completes a path, as the shell does."""
    return [CompletionItem(typed, type="file")]


def _known(names: Names, context: click.Context) -> list[str]:
    """The names; none where they cannot be read, as a Tab is no time for an error."""
    with suppress(Exception):
        return list(names(context))
    return []


def _models(_: click.Context) -> Iterator[str]:
    """The names of the table and their short forms, then the beginnings of other forms."""
    from cog.models.sources.table import written_forms

    yield from _zoo(_)
    forms = (form.partition(":") for form in written_forms().split(", "))
    yield from (f"{kind}:" for kind, _, _ in forms if "." not in kind)


def _zoo(_: click.Context) -> Iterator[str]:
    from cog.models.zoo import read_zoo

    for name, row in read_zoo().items():
        yield from (*row.aliases, name)


def _probes(_: click.Context) -> Iterable[str]:
    from cog.probes.table import PROBES

    return PROBES


def _solvers(_: click.Context) -> Iterable[str]:
    from cog.probes.table import PROBES

    return dict.fromkeys(solver for probe in PROBES.values() for solver in probe.solvers)


def _protocols(_: click.Context) -> Iterable[str]:
    from cog.evaluation.protocols.table import PROTOCOLS

    return PROTOCOLS


def _suites(_: click.Context) -> Iterable[str]:
    from cog.datasets.suites.suite import suite_names

    return suite_names()


def _trackers(_: click.Context) -> Iterable[str]:
    from cog.results.trackers.table import TRACKERS

    return TRACKERS


def _measures(_: click.Context) -> Iterable[str]:
    from cog.wordnet.measures import MEASURES

    return MEASURES


def _levels(context: click.Context) -> Iterator[str]:
    """The levels of the folder that is typed before, by default the official ones."""
    typed = context.params.get("levels") or context.params.get("folder") or "official"
    official = Path(__file__).parent.parent / "official_levels"
    folder = official if str(typed) == "official" else Path(typed)
    recipe = json.loads((folder / "levels.json").read_text("utf-8"))["recipe"]
    yield from (f"L{number}" for number in range(1, recipe["n_levels"] + 1))


def _datasets(context: click.Context) -> Iterator[str]:
    """in1k, the levels, and the datasets that are typed before."""
    yield "in1k"
    yield from _levels(context)
    yield from (text.partition("=")[0] for text in context.params.get("datasets") or ())


model, zoo_model = name_of(_models, or_path=True), name_of(_zoo)
probes, solver, trackers = list_of(_probes), name_of(_solvers), list_of(_trackers)
protocol, suite = name_of(_protocols), name_of(_suites, or_path=True)
level, datasets = name_of(_levels), list_of(_datasets)
measure, measures = name_of(_measures), list_of(_measures)
