"""`cog check-data`: is the copy of the images complete and sound?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cog.cli import completion
from cog.cli.help import GroupedCommand
from cog.cli.options import TRUNCATED_HELP, dataset_options
from cog.evaluation.options import pick
from cog.progress import said_once
from cog.recipe import Recipe

if TYPE_CHECKING:
    from cog.datasets.check.check import DataCheck

EXAMPLES = 5  # lines of a kind that are shown; all findings are in the report


@click.command("check-data", cls=GroupedCommand, short_help="Are the images complete and sound?")
@click.argument("root", required=False, type=click.Path(path_type=Path))
@dataset_options
@click.option("--decode/--no-decode", default=False, help="Read and decode every image.")
@click.option("--truncated", default="read", metavar="NAME", show_default=True, help=TRUNCATED_HELP,
              shell_complete=completion.one_of("read", "refuse"))  # fmt: skip
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Write all findings there; the same command continues it.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: one per core]"
)
@click.pass_context
def check_data(
    context: click.Context,
    /,
    root: Path | None,
    levels: Path | None,
    decode: bool,
    truncated: str,
    report: Path | None,
    workers: int | None,
    test_per_class: int,
    min_train: int,
    **options: Any,
) -> None:
    """Check the images at ROOT: which classes are missing, short or damaged.

    ROOT is what `cog evaluate --images` takes; --dataset needs none. With --split, the listed
    images must be there. Exit status 1 if anything is missing, short, misplaced, damaged, broken or
    unreadable; duplicates, odd and truncated images are only reported.

    \b
    Example:
        cog check-data /data/imagenet21k --only L1,L5
        cog check-data /data/imagenet21k --decode --report check.csv
        cog check-data --dataset birds=/data/birds --decode
    """
    from cog.cli.terminal import Terminal
    from cog.datasets.check import check as library
    from cog.datasets.dataset import DatasetOptions
    from cog.datasets.suites.at_root import with_suites
    from cog.levels.files import read_levels

    wanted, notes = with_suites(pick(DatasetOptions, {"images": root, **options}))
    recipe = Recipe(test_per_class=test_per_class, min_train=min_train)
    terminal = Terminal()
    for note in notes:
        terminal.notify(note)
    found = library.check_data(
        wanted, read_levels(levels), recipe,
        decode=decode, truncated=truncated, report=report, workers=workers, progress=terminal,
    )  # fmt: skip
    for note in found.notes:
        terminal.notify(note)
    _show(found)
    if report is not None:
        click.echo(report)
    context.exit(0 if found.sound else 1)


def _show(found: DataCheck) -> None:
    """A line a dataset, the first findings of every kind by their cause, and what to download."""
    counts = found.counts
    width = max((10, *(len(part.dataset) for part in found.parts)))
    for part in found.parts:
        own = {kind: n for (dataset, kind), n in counts.items() if dataset == part.dataset}
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in own.items()) or "nothing to report"
        n_classes = len(set(part.images.labels.tolist()))
        click.echo(
            f"{part.dataset:{width}} {n_classes:,} of {part.n_wanted:,} classes, "
            f"{len(part.images):,} images{' decoded' if found.decoded else ''}: {kinds}"
        )
    for kind in dict.fromkeys(finding.finding for finding in found.findings):
        rows = [finding for finding in found.findings if finding.finding == kind]
        lines = list(said_once((row.path or row.wnid, row.detail) for row in rows))
        for line in lines[:EXAMPLES]:
            click.echo(f"  {kind:10} {line}")
        if len(lines) > EXAMPLES:
            click.echo(f"  {kind:10} and {len(lines) - EXAMPLES:,} more like these")
    if any(kind == "short" for _, kind in counts):
        click.echo("  --test-per-class and --min-train say how many images a class needs")
    for release, wnids in found.to_fetch().items():
        click.echo(f"to download, {len(wnids):,} from {release}\n  {' '.join(wnids)}")
    click.echo("sound" if found.sound else "not sound")
