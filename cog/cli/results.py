"""`cog results`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cog.cli.options import where_option

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@click.argument("runs", default="runs")
@where_option
@click.option(
    "--wide/--no-wide",
    default=False,
    help="A row a model, a column a dataset: mean top-1 and its standard error.",
)
@click.option(
    "--ranking/--no-ranking", default=False, help="The place of each model on each dataset."
)
@click.option(
    "--baseline",
    metavar="MODEL",
    help="Points and log-odds ratio to this model, and whether that is more than noise.",
)
@click.option(
    "--drop/--no-drop", default=False, help="What each model loses from in1k to the farthest level."
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["csv", "markdown", "latex"]),
    help="[default: csv; in a terminal, what people read]",
)
@click.option(
    "--out",
    "--csv",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write this file.",
)
@click.option(
    "--parquet", type=click.Path(path_type=Path), metavar="FILE", help="Write this Parquet file."
)
@click.pass_context
def results(
    context: click.Context,
    /,
    runs: str,
    where: tuple[str, ...],
    wide: bool,
    ranking: bool,
    baseline: str | None,
    drop: bool,
    style: str | None,
    file: Path | None,
    parquet: Path | None,
) -> None:
    """Tables of all finished cells below RUNS, or of a results.csv.

    CSV has a row a cell, Markdown and LaTeX a row a model and a column a dataset, unless one of
    --wide, --ranking, --baseline and --drop says what to show. Cells that cannot be used are named
    on stderr and left out; then the exit status is 1.

    \b
    Example:
        cog results runs/ --wide
        cog results runs/ --baseline sup_resnet50 --format markdown
        cog results runs/ --where shots=all --format latex --out table.tex
    """
    given = {"wide": wide, "ranking": ranking, "baseline": baseline is not None, "drop": drop}
    views = [name for name in given if given[name]]
    if len(views) > 1:
        raise click.UsageError(f"--{' and --'.join(views)} are different tables: give one")
    view = views[0] if views else "tidy"
    found, n_problems = _read(runs, where)
    for_people = style is None and file is None and parquet is None and sys.stdout.isatty()
    if for_people and view in ("tidy", "wide"):
        from rich.console import Console

        from cog.cli.result_table import show

        _refuse_mixed(found)
        show(found, Console(highlight=False))
    elif file is not None or parquet is None:
        style = style or ("markdown" if for_people else "csv")
        _write(_text(found, view, baseline or "", style), file)
    if parquet is not None:
        from cog.results.files import as_parquet

        _write(as_parquet(_table(found, view, baseline or "")), parquet)
    context.exit(1 if n_problems else 0)


def _read(runs: str, where: tuple[str, ...]) -> tuple[pd.DataFrame, int]:
    """The rows asked for, and how many cells were left out; each is told on stderr."""
    from cog.results.files import read_results
    from cog.results.mixing import where as only
    from cog.storage import storage_path

    problems = []

    def tell(problem: str) -> None:
        problems.append(problem)
        click.echo(problem, err=True)

    asked = {text.removeprefix("protocol=") for text in where if text.startswith("protocol=")}
    found = read_results(storage_path(runs), asked.pop() if len(asked) == 1 else None, tell)
    return only(found, where), len(problems)


def _refuse_mixed(found: pd.DataFrame) -> None:
    """Refuse rows that may not stand in one table; what else differs is told on stderr."""
    from cog.results.mixing import notes_of_protocol, refuse_mixed

    refuse_mixed(found)
    for note in notes_of_protocol(found):
        click.echo(f"note: {note}", err=True)


def _summary(found: pd.DataFrame) -> pd.DataFrame:
    """The summary of rows that may stand in one table."""
    from cog.results.summary import summary

    _refuse_mixed(found)
    return summary(found)


def _table(found: pd.DataFrame, view: str, baseline: str) -> pd.DataFrame:
    """The numbers of a view. A row of the tidy table says itself what it is of."""
    from cog.results import summary as tables

    if view == "tidy":
        return found
    summary = _summary(found)
    if view == "wide":
        return tables.wide(found)
    if view == "ranking":
        return tables.ranking(summary)
    return _contrasts(summary, view, baseline)


def _contrasts(summary: pd.DataFrame, view: str, baseline: str) -> pd.DataFrame:
    """Differences to a baseline, or drops; what could not be compared is told on stderr."""
    from cog.results import differences as contrasts

    found = contrasts.drop(summary) if view == "drop" else contrasts.against(summary, baseline)
    lacking = contrasts.left_out(summary, found)
    why = "in1k or the farthest level is missing" if view == "drop" else f"{baseline} has no such"
    if lacking:
        more = f" and {len(lacking) - 5:,} more" if len(lacking) > 5 else ""
        click.echo(f"note: left out, as {why}: {', '.join(lacking[:5])}{more}", err=True)
    return found


def _text(found: pd.DataFrame, view: str, baseline: str, style: str) -> str:
    """A view as CSV, Markdown or LaTeX."""
    from cog.results import paper_tables as sheets
    from cog.results.markup import FORMATS
    from cog.storage import table_as_csv

    if style == "csv":
        return table_as_csv(_table(found, view, baseline))
    summary = _summary(found)
    if view in ("baseline", "drop"):
        _contrasts(summary, view, baseline)  # tells what is left out
    if view == "baseline":
        return FORMATS[style](sheets.difference_sheets(summary, baseline))
    views = {"ranking": sheets.ranking_sheets, "drop": sheets.drop_sheets}
    return FORMATS[style](views.get(view, sheets.accuracy_sheets)(summary))


def _write(content: str | bytes, file: Path | None) -> None:
    """To a file, whose path is printed, or to stdout."""
    from cog.storage import write_bytes

    if file is None:
        click.echo(content, nl=False)
        return
    write_bytes(file, content.encode() if isinstance(content, str) else content)
    click.echo(file)
