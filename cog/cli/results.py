"""`cog results`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cog.cli import completion
from cog.cli.options import say, say_and_keep, together, where_option

if TYPE_CHECKING:
    import pandas as pd

    from cog.progress import Notify
    from cog.results.suites import Suites
    from cog.results.views import Shown

_PATH = click.Path(path_type=Path)
_VIEW_OPTIONS = together(
    click.option(
        "--wide/--no-wide",
        default=False,
        help="A row a model, a column a dataset: the mean of its headline metric and the "
        "standard error; means by axis: concepts, domains, tasks.",
    ),
    click.option(
        "--ranking/--no-ranking", default=False, help="The rank of each model on each dataset."
    ),
    click.option(
        "--baseline",
        metavar="MODEL",
        help="Points and log-odds ratio to this model, and whether that is more than noise.",
    ),
    click.option(
        "--drop/--no-drop",
        default=False,
        help="What each model loses from in1k to the farthest level.",
    ),
    click.option(
        "--heights",
        metavar="N,…",
        help="Top-1 where the tree of the classes is cut at these heights, so that all "
        "classes below a synset of that height are one; and the height and the "
        "similarity of mistakes.",
    ),
    click.option(
        "--format",
        "style",
        type=click.Choice(["csv", "markdown", "latex"]),
        help="[default: csv; in a terminal, a table for people]",
    ),
    click.option("--out", "--csv", "file", type=_PATH, metavar="FILE", help="Write this file."),
    click.option("--parquet", type=_PATH, metavar="FILE", help="Write this Parquet file."),
)
_WRITTEN = ("style", "file", "parquet")
_SHARING_OPTIONS = together(
    click.option("--push", metavar="hf:OWNER/DATASET",
                 help="Add the rows to a dataset of the Hugging Face hub, and show nothing."),
    click.option("--pull", metavar="hf:OWNER/DATASET",
                 help="The rows of a dataset of the hub in place of those of RUNS; of both, where "
                      "RUNS is given. hf:OWNER/DATASET@REVISION for those of a commit or a tag."),
)  # fmt: skip


@click.command(short_help="Show results as tables.")
@click.argument("runs", required=False, shell_complete=completion.path)
@where_option
@_VIEW_OPTIONS
@_SHARING_OPTIONS
@click.pass_context
def results(
    context: click.Context,
    /,
    runs: str | None,
    where: tuple[str, ...],
    push: str | None,
    pull: str | None,
    **options: Any,
) -> None:
    """Tables of all finished cells below RUNS (by default: runs), or of a results.csv.

    CSV has a row a cell, Markdown and LaTeX a row a model and a column a dataset; --wide,
    --ranking, --baseline, --drop and --heights show something else. Cells that cannot be used are
    named on stderr and left out; then the exit status is 1.

    \b
    Example:
        cog results runs/ --wide
        cog results runs/ --baseline sup_resnet50 --format markdown
        cog results runs/ --where shots=all --format latex --out table.tex
        cog results runs/ --heights 1,2,4,8 --format markdown
        cog results runs/ --push hf:lab/cog-results
        cog results --pull hf:lab/cog-results --wide
    """
    shows = any(_given_views(options).values()) or any(options[name] for name in _WRITTEN)
    if push and (pull or shows):
        raise click.UsageError("--push shares rows and shows none: give it with --where alone")
    left_out: list[str] = []
    if push:
        _push(runs or "runs", where, push, say_and_keep(left_out))
    else:
        _show(runs, where, pull, options, say_and_keep(left_out))
    context.exit(1 if left_out else 0)


def _push(runs: str, where: tuple[str, ...], to: str, notify: Notify) -> None:
    """Share the rows, and print where."""
    from cog.results.files import read_results
    from cog.results.shared import push, read_name
    from cog.storage import storage_path

    click.echo(push(read_results(storage_path(runs), where, notify), read_name(to), say))


def _show(
    runs: str | None,
    where: tuple[str, ...],
    pull: str | None,
    options: dict[str, Any],
    notify: Notify,
) -> None:
    """Show one view, or write it to files."""
    from cog.results import views
    from cog.results.cuts import parse_heights
    from cog.results.files import as_parquet

    view = views.VIEWS[_only_one(_given_views(options))]
    cut_at, style = parse_heights(options["heights"]), options["style"]
    file, parquet = options["file"], options["parquet"]
    found, known = _read(runs, where, pull, cut_at, notify)
    shown = views.Shown(view, found, options["baseline"] or "", say, cut_at, known)
    for_people = (style, file, parquet) == (None, None, None) and sys.stdout.isatty()
    if for_people:
        _draw(shown, options["wide"])
        return
    if file is not None or parquet is None:
        _write(views.FORMATS[style or "csv"](shown), file)
    if parquet is not None:
        _write(as_parquet(shown.numbers), parquet)
    _say_findings(found)


def _read(
    runs: str | None,
    where: tuple[str, ...],
    pull: str | None,
    cut_at: tuple[int, ...],
    notify: Notify,
) -> tuple[pd.DataFrame, Suites]:
    """The rows of runs, of a dataset of the hub, or of both; and what runs say of their suites."""
    from cog.results.cuts import read_cuts
    from cog.results.files import is_table, read_results
    from cog.results.mixing import where as rows_where
    from cog.results.shared import pull as pulled
    from cog.results.shared import read_name
    from cog.results.suites import NOTHING_KNOWN, read_suites
    from cog.storage import storage_path

    if pull and cut_at:
        raise click.UsageError("--heights needs the predictions that lie below RUNS: no --pull")
    if pull and runs is None:
        return pulled(read_name(pull), where), NOTHING_KNOWN
    path = storage_path(runs or "runs")
    known = read_suites(path.parent if is_table(path) else path, say)
    if pull:
        protocol = [condition for condition in where if condition.startswith("protocol=")]
        own, shared = read_results(path, protocol, notify), pulled(read_name(pull), protocol)
        return rows_where(_joined(own, shared, f"{path}", pull), where), known
    found = read_cuts(path, cut_at, where, notify) if cut_at else read_results(path, where, notify)
    return found, known


def _joined(own: pd.DataFrame, shared: pd.DataFrame, runs: str, pull: str) -> pd.DataFrame:
    """The rows of runs and of a dataset of the hub; they have one protocol, and never disagree."""
    from cog.errors import CogError
    from cog.results.cells import refuse_several_protocols
    from cog.results.joining import join_tables

    refuse_several_protocols([*own["protocol"], *shared["protocol"]], f"{runs} and {pull}")
    try:
        return join_tables([own, shared])
    except CogError as error:
        raise CogError(
            f"{runs} and {pull}: {error.what}",
            f"replace those of the hub: cog results {runs} --push {pull}; or show one of the two",
        ) from error


def _given_views(options: dict[str, Any]) -> dict[str, bool]:
    """Which views are asked for, by name."""
    flags = {name: bool(options[name]) for name in ("wide", "ranking", "drop")}
    return flags | {name: options[name] is not None for name in ("baseline", "heights")}


def _only_one(given: dict[str, bool]) -> str:
    """The name of the view that is asked for."""
    chosen = [name for name in given if given[name]] or ["tidy"]
    if len(chosen) > 1:
        raise click.UsageError(f"--{' and --'.join(chosen)} are different tables: give one")
    return chosen[0]


def _draw(shown: Shown, axes: bool) -> None:
    """Draw the table in a terminal; with `axes`, the means by axis below it."""
    from rich.console import Console

    from cog.cli.result_table import show, show_sheets
    from cog.results.paper_tables import axis_sheets

    console = Console(highlight=False)
    if not shown.view.bars:
        show_sheets(shown.view.sheets(shown), console)
        _say_findings(shown.results)
        return
    show(shown.one_kind, console)
    if axes:
        show_sheets(axis_sheets(shown.numbers), console)


def _say_findings(results: pd.DataFrame) -> None:
    """Say what the controls tell of the models."""
    from cog.results.controls import findings_of_controls

    for finding in findings_of_controls(results):
        say(finding)


def _write(content: str | bytes, file: Path | None) -> None:
    """To a file, whose path is printed, or to stdout."""
    from cog.storage import write_bytes

    if file is None:
        click.echo(content, nl=False, color=True)  # or it would take escapes out of names
        return
    write_bytes(file, content.encode() if isinstance(content, str) else content)
    click.echo(file)
