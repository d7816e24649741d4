"""`cog verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cog.cli import completion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cog.evaluation.verify.findings import Proof


@click.command(short_help="Prove a folder of results.")
@click.argument("runs", default="runs", shell_complete=completion.path)
@click.option("--levels", metavar="DIR", shell_complete=completion.path,
              help="Levels of RUNS.  [default: RUNS/levels, or official]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print all findings as JSON.")
@click.pass_context
def verify(context: click.Context, runs: str, levels: str | None, as_json: bool) -> None:
    """Prove a folder of results: compute again what its files claim, and change nothing.

    Checks the splits and their classes; the checksums, images and labels of the features that are
    kept; every cell's hashes, and its accuracies from the ranks kept beside it; run.json;
    results.csv, to the byte; lists of images. Exit status 1 if something does not hold: each is
    listed with what to do. Notes are no faults: they say what could not be proved.

    \b
    Example:
        cog verify runs/
        cog verify s3://bucket/runs --levels my_levels --json
    """
    from cog.cli.terminal import Terminal
    from cog.evaluation.verify.verify import verify as prove

    proof = prove(runs, levels, Terminal())
    if as_json:
        click.echo(proof.as_json(), nl=False)
    else:
        for line in _lines(proof):
            click.echo(line)
    context.exit(0 if proof.sound else 1)


def _lines(proof: Proof) -> Iterator[str]:
    """A proof for people: the faults with what to do, the notes, and counts."""
    from cog.plain_text import printable

    for fault in proof.faults:
        yield printable(fault.line)
        yield f"  {printable(fault.hint)}"
    for note in proof.notes:
        yield f"note: {printable(note)}"
    counts = ", ".join(f"{count:,} {name}" for name, count in proof.checked.items())
    faults = f"{len(proof.faults):,} fault{'s' if len(proof.faults) != 1 else ''}"
    yield f"{counts}: {'sound' if proof.sound else faults}"
