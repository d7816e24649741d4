"""`cog results`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", default="runs")
@click.option(
    "--wide/--no-wide", default=False, help="A row a model, a column a dataset: mean top-1."
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write this file.")
def results(runs: str, wide: bool, csv_file: Path | None) -> None:
    """The table of all finished cells below RUNS, as CSV.

    \b
    Example:
        cog results runs/ --wide
    """
    from cog.places import place, write_text
    from cog.results import fold
    from cog.results import wide as widen

    found = fold(place(runs))
    table = widen(found) if wide else found
    text = table.to_csv(index=False, lineterminator="\n")
    if csv_file is None:
        click.echo(text, nl=False)
    else:
        write_text(csv_file, text)
        click.echo(csv_file)
