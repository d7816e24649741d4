"""`cog build-levels` and `cog levels show | explain | explore | compare | check | …`."""

from __future__ import annotations

from collections.abc import Iterable, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cog.cli import completion
from cog.cli.help import GroupedCommand, section
from cog.cli.options import of_output, say, together
from cog.cli.rank_correlation import rank_correlation
from cog.cli.similarity import MeasureOption

if TYPE_CHECKING:
    from cog.levels.table import Levels

_COUNT = click.IntRange(min=1)
_of_concepts, _of_filters, _of_levels = section("Concepts"), section("Filters"), section("Levels")
_build_options = together(
    _of_concepts("--seen", shell_complete=completion.path, common=True, metavar="FILE|DIR|in1k",
                 help="Seen concepts: a list, or a folder of images.  [default: in1k]"),
    _of_concepts("--universe",
                 shell_complete=completion.path, common=True, metavar="FILE|DIR|in21k",
                 help="Concepts that have images: likewise.  [default: in21k, Fall 2011]"),
    _of_concepts("--eligible",
                 shell_complete=completion.path, common=True, metavar="FILE|DIR|official",
                 help="Take these concepts and skip the filters. Only seen ones are removed."),
    _of_concepts("--wordnet", metavar="bundled|nltk|DIR",
                 help="Which WordNet.  [default: bundled]"),
    _of_filters("--counts", shell_complete=completion.path, metavar="FILE",
                help="CSV wnid,images: images per concept.  [default: those of in21k]"),
    _of_filters("--images", shell_complete=completion.path, common=True, metavar="ROOT",
                help="Count images on disk instead. ROOT is that of `cog evaluate --images`."),
    _of_filters("--min-images", common=True, type=_COUNT, metavar="N",
                help="Images that a concept needs.  [default: 782 = 732 + 50]"),
    _of_filters("--no-min-images", is_flag=True, default=None, help="Accept any number of images."),
    _of_filters("--drop-seen-ancestors/--no-drop-seen-ancestors", default=None,
                help="Leave out the ancestors of seen concepts.  [default: yes]"),
    _of_filters("--drop-persons/--no-drop-persons", default=None,
                help="Leave out persons: n00007846 and all below it.  [default: yes]"),
    _of_filters("--leaves-only/--no-leaves-only", default=None,
                help="Leave out the ancestors of concepts of the universe.  [default: yes]"),
    _of_filters("--exclude", shell_complete=completion.path, metavar="FILE",
                help="Leave out these too.  [default: the 70 that the benchmark left out]"),
    _of_filters("--no-exclusions", is_flag=True, default=None, help="Leave out no such list."),
    _of_levels("--n-levels", common=True, type=_COUNT, metavar="N", help="Levels.  [default: 5]"),
    _of_levels("--size", common=True, type=_COUNT, metavar="N",
               help="Concepts in a level.  [default: 1000]"),
    _of_levels("--spacing",
               shell_complete=completion.one_of("even", "adjacent"), metavar="even|adjacent",
               help="Spread the levels over the ranking, or put one after another.  "
                    "[default: even]"),
    click.option("--measure", cls=MeasureOption, section="Levels", common=True,
                 shell_complete=completion.measure,
                 help="[default: lin]"),
    _of_levels("--subsumer", metavar="deepest|most-informative",
               shell_complete=completion.one_of("deepest", "most-informative"),
               help="The common ancestor, for measures by information content.  "
                    "[default: deepest]"),
    of_output("--out", common=True, default=Path("built-levels"), type=click.Path(path_type=Path),
              help="Folder for levels.csv, seen.csv, levels.json."),
    of_output("--overwrite/--no-overwrite", common=True, default=False,
              help="Replace other levels there."),
)  # fmt: skip


@click.command("build-levels", cls=GroupedCommand, short_help="Build levels, official or others.")
@_build_options
def build_levels(out: Path, overwrite: bool, **given: Any) -> None:
    """Rank unseen concepts by their similarity to seen ones, and cut the ranking into levels.

    Without options it follows the recipe of ImageNet-CoG. With `--eligible official` it gives
    exactly the levels of ImageNet-CoG.

    \b
    Example:
        cog build-levels --eligible official
        cog build-levels --seen my_labels.txt --images /data/images --size 200 --out my_levels
    """
    from cog.levels.build import build_levels as build
    from cog.levels.files import write_levels

    choices = {name: value for name, value in given.items() if value is not None}
    _refuse_contradictions(choices.keys())
    for name, switch in _SWITCHES_OFF.items():
        if choices.pop(switch, False):
            choices[name] = None
    built = build(**choices)
    write_levels(built, out, overwrite)
    for note in built.notes:
        say(note)
    report, listed = built.report, "eligible" in choices
    click.echo(f"{report['candidates']:>6} {'on the list' if listed else 'in the universe'}")
    for name, removed in report["removed"].items():
        click.echo(f"{-removed:>6} {name}")
    if listed:
        click.echo("       (a list of eligible concepts skips all other filters)")
    click.echo(f"{report['eligible']:>6} eligible")
    for number in built.numbers:
        click.echo(f"    {_level_line(built, number, ' ')}")
    click.echo(out)


_SWITCHES_OFF = {"min_images": "no_min_images", "exclude": "no_exclusions"}
_FILTERS = {"drop_seen_ancestors", "drop_persons", "leaves_only", *_SWITCHES_OFF,
            *_SWITCHES_OFF.values()}  # fmt: skip


def _refuse_contradictions(used: Set[str]) -> None:
    """Raise for options that contradict each other; name on stderr those without effect."""
    from cog.errors import CogError

    for pair in (*_SWITCHES_OFF.items(), ("images", "counts")):
        if used >= set(pair):
            raise CogError(
                f"{_as_options(pair, ' and ')} contradict each other", "give one of the two"
            )
    if "eligible" in used and used & _FILTERS:
        ignored = _as_options(sorted(used & _FILTERS), ", ")
        say(f"--eligible skips the filters, so these have no effect: {ignored}")


def _as_options(names: Iterable[str], between: str) -> str:
    return between.join(f"--{name.replace('_', '-')}" for name in names)


def _level_line(chosen: Levels, number: int, between: str) -> str:
    values = chosen.rows(number)["similarity"]
    return f"L{number}{between}{len(values)} concepts, {values.max():.5f} to {values.min():.5f}"


@click.group(short_help="Show, explain, explore, compare, check levels.")
def levels() -> None:
    """Show, explain, explore, compare and check levels, and build them with other measures.

    A DIR is a folder that `cog build-levels` wrote, or `official`.

    \b
    Example: cog levels explain guitar_pick
    """


levels.add_command(rank_correlation)
_levels_option = click.option(
    "--levels",
    "folder",
    default="official",
    show_default=True,
    metavar="DIR",
    help="Which levels.",
    shell_complete=completion.path,
)


@levels.command(short_help="List the concepts of a level.")
@click.argument("level", shell_complete=completion.level, metavar="L1|L2|…")
@_levels_option
@click.option("--csv/--no-csv", default=False, help="Print the rows of levels.csv unchanged.")
def show(level: str, folder: str, csv: bool) -> None:
    """List the concepts of a level, most similar first.

    \b
    Example: cog levels show L3
    """
    from cog.csv_text import table_as_csv
    from cog.errors import unknown_name
    from cog.levels.files import read_levels
    from cog.levels.table import level_named

    chosen = read_levels(folder)
    number = level_named(f"L{level}" if level.isdecimal() else level)
    if number is None:
        raise unknown_name("level", level, [f"L{known}" for known in chosen.numbers])
    rows = chosen.rows(number)
    if csv:
        click.echo(table_as_csv(rows, say), nl=False, color=True)
        return
    click.echo(_level_line(chosen, number, ": "))
    for row in rows.itertuples():
        click.echo(
            f"{row.rank:>6}  {row.similarity:.5f}  {row.wnid}  {row.name} ~ {row.nearest_name}"
        )


@levels.command(short_help="Explain where a concept is.")
@click.argument("concept", metavar="WNID|dog.n.01|WORD")
@_levels_option
def explain(concept: str, folder: str) -> None:
    """Explain why a concept is in its level, or in none.

    Shows its paths to the root, the nearest seen concept, the subsumer of the two, and the formula
    with its numbers.

    \b
    Example: cog levels explain guitar_pick
    """
    from cog.levels.explain import explain_concept
    from cog.levels.files import read_levels

    found = explain_concept(concept, read_levels(folder))
    if found.other_senses:
        say(f"took the first sense; the others: {', '.join(found.other_senses)}")
    if found.outside:
        say(f"not in the corpus, added with its ancestors: {found.name}")
    click.echo(f"{found.wnid} {found.name}: {found.verdict}")
    for path in found.paths:
        click.echo(f"path      {' > '.join(path)}")
    click.echo(f"a         {found.wnid} {found.name}")
    click.echo(f"b         {found.nearest} (the nearest seen concept)")
    click.echo(f"s         {found.subsumer} (their subsumer)\n{found.formula}")


@levels.command(short_help="Write a page to browse levels.")
@click.argument("folder", shell_complete=completion.path, metavar="DIR")
@click.option("--out", default=Path("levels.html"), type=click.Path(path_type=Path),
              show_default=True, metavar="FILE", help="The page.")  # fmt: skip
@click.option("--images", type=click.Path(path_type=Path), metavar="ROOT",
              help="Images of the levels; the page shows a few of each concept.")  # fmt: skip
def explore(folder: str, out: Path, images: Path | None) -> None:
    """Write a page to browse levels: a ranked list and the tree of WordNet, with a search.

    The page is one file and needs no network. With --images, thumbnails go into the folder
    levels-thumbnails beside it. After an interruption, run the same command again to continue.

    \b
    Example: cog levels explore official --out levels.html --images /data/imagenet21k
    """
    from cog.cli.terminal import Terminal
    from cog.levels.files import read_levels
    from cog.report.explorer import write_explorer

    terminal = Terminal()
    click.echo(write_explorer(read_levels(folder), out, images, terminal))


@levels.command(short_help="Compare two folders of levels.")
@click.argument("first", shell_complete=completion.path, metavar="DIR")
@click.argument("second", shell_complete=completion.path, metavar="DIR")
@click.pass_context
def compare(context: click.Context, first: str, second: str) -> None:
    """Compare two folders of levels; exit status 0 if they are equal, 1 if not.

    \b
    Example: cog levels compare built-levels official
    """
    from cog.levels.check import compare_levels
    from cog.levels.files import read_levels

    found = compare_levels(read_levels(first), read_levels(second))
    for level, n_first, n_second, n_both in found.per_level:
        click.echo(f"L{level}: {n_both} in both, of {n_first} and {n_second}")
    click.echo(f"{found.shared} of {sum(row[1] for row in found.per_level)} concepts agree")
    for wnid, name, *levels_of in found.moved:
        before, after = (f"L{level}" if level is not None else "none" for level in levels_of)
        click.echo(f"{wnid} {name}: {before} → {after}")
    for folder, alone in zip((first, second), found.seen, strict=True):
        if alone:
            click.echo(f"{len(alone)} concepts are seen only in {folder}: {', '.join(alone[:5])} …")
    context.exit(0 if found.equal else 1)


@levels.command(short_help="Check a folder of levels.")
@click.argument("folder", shell_complete=completion.path, metavar="DIR")
@click.pass_context
def check(context: click.Context, folder: str) -> None:
    """Check a folder of levels; exit status 0 if it is sound, 1 with findings.

    In sound levels, each concept is in one level, each level has the size of the recipe, the
    similarity never rises down the table, no seen concept is in a level, WordNet knows every wnid,
    and the tables match levels.json.

    \b
    Example: cog levels check built-levels
    """
    from cog.levels.check import check_levels

    findings = check_levels(folder)
    for finding in findings:
        click.echo(finding)
    if not findings:
        click.echo(f"{folder}: sound")
    context.exit(1 if findings else 0)
