"""`cog results`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cog.cli.options import say, say_and_keep, together, where_option

if TYPE_CHECKING:
    import pandas as pd

    from cog.results.views import Shown

_PATH = click.Path(path_type=Path)
_VIEW_OPTIONS = together(
    click.option("--wide/--no-wide", default=False,
                 help="A row a model, a column a dataset: the mean of its headline metric and the "
                      "standard error; means by axis: concepts, domains, tasks."),
    click.option("--ranking/--no-ranking", default=False,
                 help="The rank of each model on each dataset."),
    click.option("--baseline", metavar="MODEL",
                 help="Points and log-odds ratio to this model, and whether that is more than "
                      "noise."),
    click.option("--drop/--no-drop", default=False,
                 help="What each model loses from in1k to the farthest level."),
    click.option("--heights", metavar="N,…",
                 help="Top-1 where the tree of the classes is cut at these heights, so that all "
                      "classes below a synset of that height are one; and the height and the "
                      "similarity of mistakes."),
    click.option("--format", "style", type=click.Choice(["csv", "markdown", "latex"]),
                 help="[default: csv; in a terminal, a table for people]"),
    click.option("--out", "--csv", "file", type=_PATH, metavar="FILE", help="Write this file."),
    click.option("--parquet", type=_PATH, metavar="FILE", help="Write this Parquet file."),
)  # fmt: skip


@click.command(short_help="Show results as tables.")
@click.argument("runs", default="runs")
@where_option
@_VIEW_OPTIONS
@click.pass_context
def results(
    context: click.Context,
    runs: str,
    where: tuple[str, ...],
    wide: bool,
    ranking: bool,
    baseline: str | None,
    drop: bool,
    heights: str | None,
    style: str | None,
    file: Path | None,
    parquet: Path | None,
) -> None:
    """Tables of all finished cells below RUNS, or of a results.csv.

    CSV has a row a cell, Markdown and LaTeX a row a model and a column a dataset; --wide,
    --ranking, --baseline, --drop and --heights show something else. Cells that cannot be used are
    named on stderr and left out; then the exit status is 1.

    \b
    Example:
        cog results runs/ --wide
        cog results runs/ --baseline sup_resnet50 --format markdown
        cog results runs/ --where shots=all --format latex --out table.tex
        cog results runs/ --heights 1,2,4,8 --format markdown
    """
    from cog.results import views
    from cog.results.cuts import parse_heights, read_cuts
    from cog.results.files import as_parquet, is_table, read_results
    from cog.results.suites import read_suites
    from cog.storage import storage_path

    given = {"wide": wide, "ranking": ranking, "baseline": baseline is not None, "drop": drop,
             "heights": heights is not None}  # fmt: skip
    view = views.VIEWS[_only_one(given)]
    left_out: list[str] = []
    path, notify, cut_at = storage_path(runs), say_and_keep(left_out), parse_heights(heights)
    found = read_cuts(path, cut_at, where, notify) if cut_at else read_results(path, where, notify)
    known = read_suites(path.parent if is_table(path) else path, say)
    shown = views.Shown(view, found, baseline or "", say, cut_at, known)
    for_people = (style, file, parquet) == (None, None, None) and sys.stdout.isatty()
    if for_people:
        _draw(shown, wide)
    else:
        if file is not None or parquet is None:
            _write(views.FORMATS[style or "csv"](shown), file)
        if parquet is not None:
            _write(as_parquet(shown.numbers), parquet)
        _say_findings(found)
    context.exit(1 if left_out else 0)


def _only_one(given: dict[str, bool]) -> str:
    """The name of the view that is asked for."""
    chosen = [name for name in given if given[name]] or ["tidy"]
    if len(chosen) > 1:
        raise click.UsageError(f"--{' and --'.join(chosen)} are different tables: give one")
    return chosen[0]


def _draw(shown: Shown, axes: bool) -> None:
    """Draw the table in a terminal; with `axes`, the means by axis below it."""
    from rich.console import Console

    from cog.cli.result_table import show, show_sheets
    from cog.results.paper_tables import axis_sheets

    console = Console(highlight=False)
    if not shown.view.bars:
        show_sheets(shown.view.sheets(shown), console)
        _say_findings(shown.results)
        return
    show(shown.one_kind, console)
    if axes:
        show_sheets(axis_sheets(shown.numbers), console)


def _say_findings(results: pd.DataFrame) -> None:
    """Say what the controls tell of the models."""
    from cog.results.controls import findings_of_controls

    for finding in findings_of_controls(results):
        say(finding)


def _write(content: str | bytes, file: Path | None) -> None:
    """To a file, whose path is printed, or to stdout."""
    from cog.storage import write_bytes

    if file is None:
        click.echo(content, nl=False, color=True)  # or it would take escapes out of names
        return
    write_bytes(file, content.encode() if isinstance(content, str) else content)
    click.echo(file)
