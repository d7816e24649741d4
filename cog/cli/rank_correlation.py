"""`cog levels rank-correlation`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cog.cli import completion
from cog.cli.options import say, where_option

if TYPE_CHECKING:
    from cog.levels.other_measures import Regroupings
    from cog.results.class_accuracies import ConceptAccuracies
    from cog.results.rank_agreement import Agreement

COLUMNS = ("quantity", "measure", "level", "probe", "solver", "shots", "n", "value", "low", "high")
_MEASURES = "lin,jcn,path,wup,lch,resnik"


@click.command("rank-correlation", short_help="Levels and ranks of models under other measures.")
@click.option("--measures", default=_MEASURES, show_default=True, metavar="NAME,…",
              shell_complete=completion.measures,
              help="Measures of similarity.")  # fmt: skip
@click.option("--levels", "folder", default="official", show_default=True, metavar="DIR",
              shell_complete=completion.path, help="The levels to compare with.")  # fmt: skip
@click.option("--eligible", metavar="FILE|DIR|in21k|…",
              help="Rank these concepts instead, without filters; the reference then is the measure"
                   " of the levels on these concepts.")  # fmt: skip
@click.option(
    "--runs",
    shell_complete=completion.path,
    metavar="RUNS",
    help="Folder of `cog evaluate --out`: ranks of its models.",
)
@where_option
@click.option("--resamples", default=2000, show_default=True, metavar="N",
              type=click.IntRange(min=1), help="Bootstrap draws of concepts.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, metavar="N", type=click.IntRange(min=0),
              help="Seed of the bootstrap.")  # fmt: skip
@click.option("--json/--no-json", "as_json", default=False, help="Print JSON.")
@click.option("--out", metavar="FILE.csv", type=click.Path(dir_okay=False, path_type=Path),
              help="Write every number here.")  # fmt: skip
def rank_correlation(
    measures: str,
    folder: str,
    eligible: str | None,
    runs: str | None,
    where: tuple[str, ...],
    resamples: int,
    seed: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """How far levels, and the ranks of models in them, depend on the measure of similarity.

    For each measure it builds the levels of the same recipe. The first table has how far the
    ranking of all concepts agrees with that of the levels' own measure (Kendall's tau-b and
    Spearman's rho of the similarity to the nearest seen concept), and how many concepts of each
    level stay in it.

    With --runs, the second table has how far models rank alike in a level and in that level under
    the measure: Kendall's tau-b of their mean accuracies over the concepts of each, with a 95 %
    bootstrap interval over concepts. Nothing is fitted again: each concept's accuracy was measured
    among the classes of the level that the run had it in. Concepts that not all models were tested
    on are left out, and counted.

    \b
    Columns of --out:
        quantity  concept_tau, concept_rho: of the rankings of n concepts
                  overlap: how many of a level's n concepts stay in it
                  model_tau: of the ranks of n models, with its interval low to high

    \b
    Example:
        cog levels rank-correlation
        cog levels rank-correlation --measures path,jcn --runs runs --out agreement.csv
    """
    asked = tuple(dict.fromkeys(name.strip() for name in measures.split(",") if name.strip()))
    found, of_fits = _read(folder, asked, eligible, runs, where)
    agreements = _agreements(found, of_fits, resamples, seed)
    rows = [*_concept_rows(found), *_model_rows(agreements)]
    if out is not None:
        _write(out, rows)
    if as_json:
        own = found.reference.recipe["measure"]
        click.echo(json.dumps({"reference": own, "concepts": found.n_concepts, "rows": rows}))
        return
    for line in (*_concept_lines(found, folder), *_model_lines(agreements)):
        click.echo(line)
    if out is not None:
        click.echo(out)


def _read(
    folder: str,
    measures: Sequence[str],
    eligible: str | None,
    runs: str | None,
    where: Sequence[str],
) -> tuple[Regroupings, tuple[ConceptAccuracies, ...]]:
    """The levels under each measure, and the accuracies of the runs, a table a fit."""
    from cog.levels.files import read_levels
    from cog.levels.other_measures import regroup
    from cog.results.class_accuracies import read_concept_accuracies
    from cog.storage import storage_path

    levels = read_levels(folder)
    found = regroup(levels, measures, eligible)
    if runs is None:
        return found, ()
    return found, read_concept_accuracies(storage_path(runs), levels, say, where)


Agreements = list[tuple["ConceptAccuracies", str, tuple["Agreement", ...]]]


def _agreements(
    found: Regroupings, of_fits: tuple[ConceptAccuracies, ...], resamples: int, seed: int
) -> Agreements:
    """The agreement of models for each fit and measure."""
    from cog.results.rank_agreement import rank_agreement

    agreements = []
    for accuracies in of_fits:
        first = found.reference.levels_of(accuracies.wnids)
        for each in found.by_measure:
            second = each.levels.levels_of(accuracies.wnids)
            rows = rank_agreement(accuracies, first, second, resamples, seed)
            agreements.append((accuracies, each.measure, rows))
    return agreements


def _row(quantity: str, measure: str, n: int, value: float, **others: Any) -> dict[str, Any]:
    row = dict.fromkeys(COLUMNS) | {"quantity": quantity, "measure": measure, "n": n} | others
    row["value"] = value
    floats = {name: number for name, number in row.items() if isinstance(number, float)}
    return row | {
        name: number if math.isfinite(number) else None for name, number in floats.items()
    }


def _concept_rows(found: Regroupings) -> Iterator[dict[str, Any]]:
    for each in found.by_measure:
        yield _row("concept_tau", each.measure, found.n_concepts, each.tau)
        yield _row("concept_rho", each.measure, found.n_concepts, each.rho)
        for level, size, _, same in each.same:
            yield _row("overlap", each.measure, size, same, level=level)


def _model_rows(agreements: Agreements) -> Iterator[dict[str, Any]]:
    for accuracies, measure, rows in agreements:
        probe, solver, shots = accuracies.fit
        for each in rows:
            yield _row("model_tau", measure, len(accuracies.models), each.tau, level=each.level,
                       probe=probe, solver=solver, shots=shots,
                       low=each.low, high=each.high)  # fmt: skip


def _concept_lines(found: Regroupings, folder: str) -> Iterator[str]:
    own, sizes = found.reference.recipe["measure"], found.reference.table["level"].value_counts()
    counts = " and ".join(f"{size:,}" for size in sorted({*sizes.tolist()}))
    yield (
        f"{found.n_concepts:,} concepts ranked by their similarity to {len(found.reference.seen):,}"
        f" seen ones; compared with {own} ({folder})"
    )
    heads = "".join(f"{f'L{level}':>7}" for level in found.reference.numbers)
    yield f"{'measure':8} {'tau':>6} {'rho':>6}{heads}"
    for each in found.by_measure:
        same = "".join(f"{row[3]:7,}" for row in each.same)
        yield f"{each.measure:8} {each.tau:6.3f} {each.rho:6.3f}{same}"
    yield f"tau, rho: of all concepts; L1, …: how many of its {counts} concepts a level keeps"


def _model_lines(agreements: Agreements) -> Iterator[str]:
    before = None
    for accuracies, measure, rows in agreements:
        if accuracies is not before:
            before = accuracies
            yield from ("", _about(accuracies))
            yield "measure  " + "".join(f"{f'L{each.level}':>21}" for each in rows)
        cells = (f"{each.tau:7.3f} {f'[{each.low:.2f}, {each.high:.2f}]':>13}" for each in rows)
        yield f"{measure:9}" + "".join(cells)


def _about(accuracies: ConceptAccuracies) -> str:
    (probe, solver, shots), left_out = accuracies.fit, ""
    if accuracies.incomplete:
        left_out = f"; {accuracies.incomplete:,} that not all have are left out"
    return (
        f"Ranks of {len(accuracies.models)} models by {probe}-{solver}, shots {shots}: Kendall's"
        f" tau between a level and that level under the measure, over {len(accuracies.wnids):,}"
        f" concepts that all models were tested on{left_out}"
    )


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    from cog.csv_text import rows_as_csv
    from cog.storage import write_text

    write_text(path, rows_as_csv([COLUMNS, *(row.values() for row in rows)], say))
