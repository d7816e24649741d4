"""`cog compare`."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cog.cli import completion
from cog.cli.options import say, say_and_keep

if TYPE_CHECKING:
    from cog.results.compare_runs import RunComparison


def _renames(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> dict[str, str]:
    """OLD=NEW texts as a mapping."""
    names = {}
    for text in texts:
        old, _, names[old] = text.partition("=")
        if not (old and names[old]):
            raise click.BadParameter(f"expected OLD=NEW, found {text!r}")
    return names


@click.command(short_help="Which numbers moved between two runs.")
@click.argument("first", metavar="RUNS_A", shell_complete=completion.path)
@click.argument("second", metavar="RUNS_B", shell_complete=completion.path)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="POINTS",
    help="Exit with 1 if a top-1 moved by more than this.  [default: its noise]",
)
@click.option(
    "--allow-missing/--no-allow-missing",
    default=False,
    show_default=True,
    help="Ignore rows that only one of the two has.",
)
@click.option(
    "--rename",
    "names",
    multiple=True,
    callback=_renames,
    metavar="OLD=NEW",
    help="Compare OLD of RUNS_A with NEW of RUNS_B. May be given again.",
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), metavar="FILE|-",
              help="Write every number here; - is stdout, messages then go to stderr.")  # fmt: skip
@click.pass_context
def compare(
    context: click.Context,
    first: str,
    second: str,
    tolerance: float | None,
    allow_missing: bool,
    names: dict[str, str],
    csv_file: Path | None,
) -> None:
    """Which top-1 moved from RUNS_A to RUNS_B, by how much, and whether that is more than noise.

    Each is a folder of runs or a results.csv. The exit status is 0 if nothing moved by more than
    its noise (with --tolerance: by more than that), both have the same rows, and no cell was left
    out; else it is 1. Noise is what other seeds (paired) and other test images would change, at
    95 %: by McNemar's exact test where both have ranks of the same test images, else by their two
    intervals. Of one seed, p is that of the test; of several it is an upper bound, and the verdict
    is by the noise. Of many numbers, some lie outside by chance. Controls are not compared.

    \b
    Example:
        cog compare runs-before runs-after
        cog compare before.csv runs --tolerance 0.5 --csv moved.csv
        cog compare runs runs --rename checkpoint1=checkpoint2
    """
    from cog.csv_text import table_as_csv
    from cog.results.compare_runs import compare_runs, rename_models
    from cog.results.paired import Pairs, read_run
    from cog.storage import storage_path, write_text

    if tolerance is not None and tolerance != tolerance:
        raise click.BadParameter("expected a number of points, found nan", param_hint="--tolerance")
    left_out: list[str] = []
    notify = say_and_keep(left_out)
    before, after = (read_run(storage_path(runs), notify) for runs in (first, second))
    tables = rename_models(before.table, after.table, names)
    found = compare_runs(*tables, Pairs(before, after, names, say).discordant)
    to_stdout = str(csv_file) == "-"
    for line in _lines(found, tolerance):
        click.echo(line, err=to_stdout)
    if csv_file is not None:
        text = table_as_csv(found.table(), say)
        click.echo(text, nl=False, color=True) if to_stdout else write_text(csv_file, text)
    lacking = len(found.missing) > 0 and not allow_missing
    context.exit(1 if len(found.moved(tolerance)) or lacking or left_out else 0)


def _lines(found: RunComparison, tolerance: float | None) -> Iterator[str]:
    """A comparison for people: the numbers that moved, what is missing, the causes, and counts."""
    from cog.results.columns import SETTING
    from cog.results.compare_runs import EQUAL

    moved = found.numbers[found.numbers["verdict"] != EQUAL]
    if len(moved):
        yield f"{'moved':>7} {'noise':>6} {'first':>6} {'second':>6}"
    row: Any  # of a table
    for row in moved.itertuples():
        sign = "=" if row.seeds == 1 else "≤"
        yield (
            f"{row.difference:+7.2f} {row.noise:6.2f} {row.first:6.2f} {row.second:6.2f}  "
            f"{row.verdict:15}  {_name(row)}, {row.seeds} seed{'s' if row.seeds != 1 else ''}"
            f"{'' if isnan(row.p) else f', p {sign} {row.p:.2g}'}"
        )
    for _, rows in found.missing.groupby([*SETTING, "verdict"], sort=False):
        row, seeds = next(rows.itertuples()), " ".join(map(str, rows["seed"]))
        yield f"{row.verdict}: {_name(row)}, seed{'s' if len(rows) != 1 else ''} {seeds}"
    for cause in found.causes:
        first, second = cause.changes[0]
        more = f" and {len(cause.changes) - 1} other changes" if len(cause.changes) > 1 else ""
        counts = f"{cause.rows:,} of {found.rows:,} rows"
        yield f"differs: {cause.column}, {first} → {second}{more}, in {counts}"
    yield from _tests(found)
    yield ", ".join(_counts(found, tolerance))


def _tests(found: RunComparison) -> Iterator[str]:
    """How many numbers were tested on the same images, and why others were not."""
    from cog.results.compare_runs import INDEPENDENT, PAIRED

    counts = found.numbers["test"].value_counts()
    if counts.get(PAIRED, 0):
        yield f"{counts[PAIRED]:,} tested on the same images (McNemar)"
    reasons = found.numbers.loc[found.numbers["test"] == INDEPENDENT, "why"].value_counts()
    for why, count in reasons.items():
        yield f"{count:,} tested by two independent intervals: {why}"


def _name(row: Any) -> str:
    return f"{row.model} {row.dataset} {row.probe}-{row.solver}, shots {row.shots}"


def _counts(found: RunComparison, tolerance: float | None) -> Iterator[str]:
    from cog.results.compare_runs import EQUAL, WITHIN

    counts = found.numbers["verdict"].value_counts()
    more = found.moved()
    farthest = f" (up to {more['difference'].iloc[0]:+.2f})" if len(more) else ""
    yield f"{counts.get(EQUAL, 0):,} of {len(found.numbers):,} numbers equal"
    yield f"{counts.get(WITHIN, 0):,} moved within noise"
    yield f"{len(more):,} moved by more{farthest}"
    if tolerance is not None:
        yield f"{len(found.moved(tolerance)):,} past the tolerance of {tolerance:g}"
    if len(found.missing):
        yield f"{len(found.missing):,} rows only in one"
