"""`cog check-data`: is the copy of the images complete and sound?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cog.evaluation.options import read_names
from cog.recipe import Recipe

if TYPE_CHECKING:
    from cog.datasets.check.check import DataCheck

_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=1)
EXAMPLES = 5  # findings of a kind that are shown; all are in the report


@click.command("check-data", short_help="Are the images complete and sound?")
@click.argument("root", type=_PATH)
@click.option(
    "--levels",
    type=_PATH,
    metavar="DIR",
    help="Levels made by `cog build-levels`; by default the official ones.",
)
@click.option(
    "--only",
    type=read_names,
    default=None,
    metavar="LIST",
    help="Datasets: in1k,L1,…  [default: all]",
)
@click.option("--in1k", type=_PATH, metavar="ROOT", help="Check ImageNet-1K too.")
@click.option(
    "--split",
    type=_PATH,
    metavar="DIR|FILE.pkl",
    help="Official lists; the images that they name must be there.",
)
@click.option(
    "--decode/--no-decode",
    default=False,
    show_default=True,
    help="Read and decode every image, on all cores.",
)
@click.option(
    "--report",
    type=_PATH,
    metavar="FILE.csv",
    help="Write all findings there; the same command continues it.",
)
@click.option("--workers", type=_COUNT, help="Threads.  [default: one a core]")
@click.option(
    "--test-per-class",
    type=_COUNT,
    default=Recipe.test_per_class,
    show_default=True,
    help="Test images that a class needs.",
)
@click.option(
    "--min-train",
    type=_COUNT,
    default=Recipe.min_train,
    show_default=True,
    help="Training images that a class needs.",
)
@click.pass_context
def check_data(
    context: click.Context,
    root: Path,
    levels: Path | None,
    only: tuple[str, ...] | None,
    in1k: Path | None,
    split: Path | None,
    decode: bool,
    report: Path | None,
    workers: int | None,
    test_per_class: int,
    min_train: int,
) -> None:  # fmt: skip
    """Check the images at ROOT: which classes are missing, short or damaged.

    ROOT is what `cog evaluate --images` takes. Exit status 1 if anything is missing, short, damaged
    or unreadable; duplicates and odd images are only reported.

    \b
    Example:
        cog check-data /data/imagenet21k --only L1,L5
        cog check-data /data/imagenet21k --decode --report check.csv
    """
    from cog.cli.terminal import Terminal
    from cog.datasets.check import check as library
    from cog.datasets.dataset import DatasetOptions
    from cog.levels.files import read_levels

    options = DatasetOptions(root, in1k, split, only or ())
    recipe = Recipe(test_per_class=test_per_class, min_train=min_train)
    terminal = Terminal()
    found = library.check_data(
        options,
        read_levels(levels),
        recipe,
        decode=decode,
        report=report,
        workers=workers,
        progress=terminal,
    )
    for note in found.notes:
        terminal.notify(note)
    _show(found)
    if report is not None:
        click.echo(report)
    context.exit(0 if found.sound else 1)


def _show(found: DataCheck) -> None:
    """A line a dataset, the first findings of every kind, and what to download."""
    counts = found.counts
    for part in found.parts:
        own = {kind: n for (dataset, kind), n in counts.items() if dataset == part.dataset}
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in own.items()) or "nothing to report"
        n_classes = len(set(part.images.labels.tolist()))
        click.echo(
            f"{part.dataset:10} {n_classes:,} of {part.n_wanted:,} classes, "
            f"{len(part.images):,} images{' decoded' if found.decoded else ''}: {kinds}"
        )
    for kind in dict.fromkeys(finding.finding for finding in found.findings):
        rows = [finding for finding in found.findings if finding.finding == kind]
        for row in rows[:EXAMPLES]:
            click.echo(f"  {kind:10} {row.path or row.wnid}: {row.detail}")
        if len(rows) > EXAMPLES:
            click.echo(f"  {kind:10} and {len(rows) - EXAMPLES:,} more")
    for release, wnids in found.to_fetch().items():
        click.echo(f"to download, {len(wnids):,} from {release}\n  {' '.join(wnids)}")
    click.echo("sound" if found.sound else "not sound")
