"""`cog suites`: the sets of a suite, and what is missing of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cog.cli import completion

if TYPE_CHECKING:
    from cog.datasets.suites.suite import Suite, SuiteSet


@click.group(short_help="Datasets that papers report together.")
def suites() -> None:
    """Datasets that papers report together, for `cog evaluate --suite NAME --data ROOT`.

    \b
    Example:
        cog suites list
        cog suites show transfer --data /data
    """


@suites.command("list")
def list_suites() -> None:
    """The suites that are part of the program.

    \b
    Example:
        cog suites list
    """
    from cog.datasets.suites.suite import read_suite, suite_names

    for name in suite_names():
        suite = read_suite(name)
        further = f", {len(suite.test_sets)} test sets" if suite.test_sets else ""
        click.echo(f"{name}: {suite.about} ({len(suite.sets)} sets{further})")


@suites.command()
@click.argument("name", metavar="NAME|FILE.toml", shell_complete=completion.suite)
@click.option("--data", type=click.Path(path_type=Path), metavar="ROOT",
              help="Where the sets lie: say what is missing there.")  # fmt: skip
@click.pass_context
def show(context: click.Context, name: str, data: Path | None) -> None:
    """The sets of a suite, and what is missing of them.

    Of each set: protocol, source, licence, expected folders and counts.
    With --data the exit status is 1 if something is missing under ROOT.

    \b
    Example:
        cog suites show cog
        cog suites show transfer --data /data
        cog suites show my_sets.toml --data /data
    """
    from cog.datasets.suites.at_root import missing
    from cog.datasets.suites.suite import read_suite

    suite = read_suite(name)
    click.echo(f"{suite.name}: {suite.about}")
    if suite.paper:
        click.echo(f"  paper     {suite.paper}")
    lacking = missing(suite, data) if data else {}
    for key, each in suite.every.items():
        click.echo(f"\n{key}")
        for title, text in _facts(suite, key, each):
            click.echo(f"  {title:<9} {text}")
        if data:
            said = f"{', '.join(lacking[key])} in {data}" if key in lacking else "nothing"
            click.echo(f"  missing   {said}")
    context.exit(1 if lacking else 0)


def _facts(suite: Suite, key: str, each: SuiteSet) -> list[tuple[str, str]]:
    """What is known of a set, each with its title."""
    from cog.datasets.suites.at_root import needed

    sizes = [f"{each.classes:,} classes"] if each.classes else []
    sizes += [f"{each.train:,} training images"] if each.train else []
    sizes += [f"{each.test:,} test images"] if each.test else []
    facts = [
        *(_of_test_set(key) if key in suite.test_sets else _of_set(suite, each)),
        ("counts", ", ".join(sizes)),
        ("source", each.paper),
        ("licence", each.licence),
        ("reads", each.source),
        ("expects", ", ".join(Path("ROOT", path).as_posix() for path in needed(each))),
    ]
    return [(title, text) for title, text in facts if text]


def _of_set(suite: Suite, each: SuiteSet) -> list[tuple[str, str]]:
    """How a set is evaluated."""
    protocol = suite.protocols.get(each.protocol)
    return [
        ("protocol", protocol.about if protocol else "as the options of the run say"),
        ("split", each.split),
        ("metric", each.metric or "as the source has it (top1 unless the field uses another)"),
    ]


def _of_test_set(key: str) -> list[tuple[str, str]]:
    """How a further test set is evaluated."""
    from cog.recipe import parted

    return [("protocol", f"that of {parted(key)[0]}, whose probes are scored on it")]
