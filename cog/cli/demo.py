"""`cog demo`."""

from __future__ import annotations

from pathlib import Path

import click

MEANING = """
The images are synthetic, drawn so that concepts near in WordNet look alike. The figures show that
the program works, and that features learned on some concepts carry further to near ones than to far
ones where looks follow the tree. They do not show how any network does on photographs; and as the
levels of the demo are small, some are also harder in themselves: L5 is nine conifers."""


@click.command(short_help="All of it in a minute, on drawn images.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("cog-demo"), show_default=True,
              help="Where images, runs and results go.")  # fmt: skip
def demo(out: Path) -> None:
    """The whole benchmark in about a minute, on images that it draws itself.

    Its last lines are the table of results and a page to look at.

    \b
    Example:
        cog demo --out /tmp/cog-demo
    """
    from cog.cli.terminal import Terminal
    from cog.demo.run import run_demo, write_report

    with Terminal() as terminal:
        results = run_demo(out, terminal)
        terminal.summary(results, out / "results.csv")
        click.echo(write_report(out))
        terminal.notify(MEANING)
