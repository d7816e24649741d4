"""`cog demo`."""

from __future__ import annotations

from pathlib import Path

import click

MEANING = """
The images are synthetic: they are drawn so that concepts near in WordNet look alike. The figures
show that the program works, and that on such images features serve concepts near the training
concepts better than far ones. They say nothing about photographs. The levels are small, so some are
harder in themselves: L5 is nine conifers."""


@click.command(short_help="Run the whole benchmark on drawn images, in a minute.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("cog-demo"), show_default=True,
              help="Folder of the images, features and results.")  # fmt: skip
def demo(out: Path) -> None:
    """Run the whole benchmark in about a minute, on images that it draws itself.

    At the end it prints the table of results and the path of a page that shows them.

    \b
    Example:
        cog demo --out /tmp/cog-demo
    """
    from cog.demo.arithmetic import choose_plain_code

    choose_plain_code()  # before torch is imported
    from cog.cli.terminal import Terminal
    from cog.demo.run import run_demo
    from cog.report.write import write_report

    terminal = Terminal()
    results = run_demo(out, terminal)
    terminal.summary(results, out / "results.csv")
    click.echo(write_report(out, baseline="demo-untrained"))
    terminal.notify(MEANING)
