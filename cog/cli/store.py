"""`cog store`: show, verify and remove feature stores."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cog.cli import completion
from cog.cli.options import say
from cog.errors import CogError

if TYPE_CHECKING:
    from cog.features.store.verify import Verdict
    from cog.storage import StoragePath

_PATHS = click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, shell_complete=completion.path
)


@click.group()
def store() -> None:
    """Show, verify and remove the features of models.

    PATH is a store (runs/NAME/features/NAME.zarr), the folder of one model (runs/NAME), or the
    folder of all (runs); a URL such as s3://bucket/runs will do.

    \b
    Example: cog store verify runs/
    """


@store.command()
@_PATHS
def show(paths: tuple[str, ...]) -> None:
    """Show what stores hold: rows, chunks done, unreadable and truncated images, fingerprint.

    Of one store everything is shown, of several a line each.

    \b
    Example: cog store show runs/dino_resnet50
    """
    from cog.features.store.verify import summarise

    summaries = [summarise(path) for path in _stores(paths)]
    if len(summaries) == 1:
        click.echo(summaries[0].store.path)
        for name, value in summaries[0].lines():
            click.echo(f"{name:<40}{value}")
        return
    header = ("store", "rows", "dim", "dtype", "chunks", "unreadable", "truncated", "MB",
              "model", "images")  # fmt: skip
    lines: list[tuple[str, ...]] = [header]
    for found in summaries:
        kept = found.store
        chunks, size = f"{found.done}/{kept.n_chunks}", f"{found.size / 1e6:.1f}"
        hashes = (str(kept.fingerprint.get(key, "–"))[:12] for key in ("model", "images"))
        lines.append((str(kept.path), str(kept.rows), str(kept.dim), kept.dtype, chunks,
                      str(found.unreadable), str(found.truncated), size, *hashes))  # fmt: skip
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@store.command()
@_PATHS
@click.option(
    "--repair/--no-repair", default=False, help="Remove bad chunks: `cog extract` makes them again."
)
@click.pass_context
def verify(context: click.Context, paths: tuple[str, ...], repair: bool) -> None:
    """Read whole stores: checksums, marks, labels, and the fingerprint against run.json.

    Needs no images. Exit status 1 if something is wrong that --repair did not mend. A missing chunk
    is not wrong: `cog extract` and `cog evaluate` make it.

    \b
    Example: cog store verify --repair runs/
    """
    from cog.cli.terminal import Terminal
    from cog.features.store.verify import repair as remove_bad_chunks
    from cog.features.store.verify import verify as read_again

    wrong = 0
    terminal = Terminal()
    for path in _stores(paths):
        with terminal.bar(path.name, _chunk_count(path), "chunks") as advance:
            verdict = read_again(path, advance)
        mended = repair and bool(verdict.bad)
        if mended:
            remove_bad_chunks(verdict)
        for line in _lines(verdict, mended):
            click.echo(line)
        left = verdict.faults or verdict.beside or (verdict.bad and not mended)
        wrong += bool(left)
    context.exit(1 if wrong else 0)


def _chunk_count(path: StoragePath) -> int:
    """How many chunks a store has; 0 if it cannot be opened, which `verify` reports."""
    from cog.features.store.store import FeatureStore

    try:
        return len(FeatureStore.open(path).done_chunks())
    except CogError:
        return 0


def _lines(verdict: Verdict, mended: bool) -> list[str]:
    """The lines of a verdict: what is wrong, and what to type."""
    done = verdict.n_chunks - verdict.missing
    count = f"{done} of {verdict.n_chunks} chunks"
    if verdict.right:
        return [f"{verdict.path}: ok, {count}{', incomplete' if verdict.missing else ''}"]
    lines = [f"{verdict.path}: WRONG, {count}"]
    lines += [f"  chunk {chunk}: {fault}" for chunk, fault in verdict.bad.items()]
    lines += [f"  {fault}" for fault in (*verdict.beside, *verdict.faults)]
    if mended:
        lines.append(
            "  bad chunks removed: `cog extract` with the options of the run makes them again"
        )
    elif verdict.bad:
        lines.append(f"  to remove the bad chunks: cog store verify --repair {verdict.path}")
    if verdict.faults:
        lines.append(
            "  new chunks do not mend that: if the store was moved, put it back beside its own "
            f"run.json; or remove it: cog store rm {verdict.path}"
        )
    return lines


@store.command()
@_PATHS
@click.option("--yes/--no-yes", default=False, help="Remove without a question.")
def rm(paths: tuple[str, ...], yes: bool) -> None:
    """Remove stores, or all features of a model. Results and run.json stay.

    \b
    Example: cog store rm --yes runs/dino_resnet50
    """
    from cog.features.store.files import remove_store
    from cog.features.store.verify import clear_removed
    from cog.storage import storage_path

    left = sum(clear_removed(storage_path(text)) for text in paths)
    if left:
        say(f"what {left} removals left that were killed is removed")
    try:
        found = _stores(paths)
    except CogError:
        if left:
            return
        raise
    for path in found:
        click.echo(path)
    if not yes and not sys.stdin.isatty():
        raise CogError(f"{len(found)} stores would be removed", "give --yes to remove them")
    if not yes:
        click.confirm(f"Remove {len(found)} stores?", abort=True, err=True)
    for path in found:
        remove_store(path)


def _stores(paths: tuple[str, ...]) -> list[StoragePath]:
    """The stores that the arguments name, each once."""
    from cog.features.store.verify import find_stores
    from cog.storage import storage_path

    return list(dict.fromkeys(path for text in paths for path in find_stores(storage_path(text))))
