"""`cog report` and `cog leaderboard`."""

from __future__ import annotations

from pathlib import Path

import click

from cog.cli import completion
from cog.cli.options import say, say_and_keep, where_option

_FOLDER = click.Path(path_type=Path)


@click.command(short_help="Make a page and figures of results.")
@click.argument("runs", default="runs", shell_complete=completion.path)
@click.option("--out", metavar="FILE", help="The page.  [default: RUNS/report.html]")
@click.option("--levels", "folder", metavar="DIR", shell_complete=completion.path,
              help="Levels of RUNS.  [default: RUNS/levels, or official]")  # fmt: skip
@where_option
@click.option("--baseline", metavar="MODEL", help="The model that differences are to.")
@click.option("--svg", type=_FOLDER, metavar="DIR", help="Write the figures here, as SVG.")
@click.option("--png", type=_FOLDER, metavar="DIR", help="Write the figures here, as PNG.")
@click.pass_context
def report(
    context: click.Context,
    runs: str,
    out: str | None,
    folder: str | None,
    where: tuple[str, ...],
    baseline: str | None,
    svg: Path | None,
    png: Path | None,
) -> None:
    """Make a page of all results below RUNS, or of a results.csv, to look at and to explore.

    The page is one file and works without a network. Cells that cannot be used are named on stderr
    and left out; then the exit status is 1.

    \b
    Example:
        cog report runs/ --out report.html --baseline sup_resnet50 --svg figures/
    """
    from cog.levels.files import read_levels
    from cog.report.build import default_levels, default_out, write_page
    from cog.report.figures import write_figures
    from cog.report.page_data import read_page_data
    from cog.storage import storage_path

    left_out: list[str] = []
    source = storage_path(runs)
    levels = read_levels(folder or default_levels(source))
    data = read_page_data(source, levels, say_and_keep(left_out), where)
    click.echo(write_page(data, levels, storage_path(out or default_out(source)), baseline))
    for kind, figures in {"svg": svg, "png": png}.items():
        if figures is not None:
            for path in write_figures(data, figures, kind, baseline):
                click.echo(path)
    context.exit(1 if left_out else 0)


@click.command(short_help="One page of many people's results.")
@click.argument("folder", type=_FOLDER)
@click.option("--out", metavar="FILE", help="The page.  [default: FOLDER/index.html]")
@click.option("--levels", metavar="LEVELS", shell_complete=completion.path,
              help="The levels of the results.  [default: official]")  # fmt: skip
@where_option
@click.option("--baseline", metavar="MODEL", help="The model that differences are to.")
@click.pass_context
def leaderboard(
    context: click.Context,
    /,
    folder: Path,
    out: str | None,
    levels: str | None,
    where: tuple[str, ...],
    baseline: str | None,
) -> None:
    """Make one page of the results in FOLDER: a table a person, or a folder a person.

    Tables are results.csv of `cog evaluate`, or what `cog results --out` or `--parquet` wrote; a
    folder may also be one of runs. What may not stand in one table is refused. Files that cannot be
    used are named on stderr and left out; then the exit status is 1.

    \b
    Example:
        cog leaderboard tables/ --out index.html --baseline sup_resnet50
    """
    from cog.levels.files import read_levels
    from cog.report.build import write_page
    from cog.report.leaderboard import leaderboard_data
    from cog.storage import storage_path

    left_out: list[str] = []
    known = read_levels(levels)
    data = leaderboard_data(folder, known, say, say_and_keep(left_out), where)
    page = storage_path(out or folder / "index.html")
    click.echo(write_page(data, known, page, baseline))
    context.exit(1 if left_out else 0)
