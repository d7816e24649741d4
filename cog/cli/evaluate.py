"""`cog evaluate` and `cog extract`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cog.cli import completion
from cog.cli.help import GroupedCommand
from cog.cli.options import (
    of_output,
    output_options,
    probe_options,
    protocol_option,
    run_options,
    without_defaults_of_protocols,
)
from cog.errors import CogError
from cog.probes.settings import Probing
from cog.results.trackers.table import trackers_help

if TYPE_CHECKING:
    from cog.features.executors.share import Share


@click.command(cls=GroupedCommand, short_help="Accuracy of models on levels and own datasets.")
@run_options
@protocol_option
@probe_options(probes=Probing.probes)
@output_options
@of_output(
    "--keep-heads/--no-keep-heads",
    default=None,
    help="Keep the fitted layers of probes, by which later test sets are scored.  [default: "
    "those of at most 16 MiB; all with --test-set]",
)
@of_output("--discard-features/--no-discard-features", default=False,
           help="Remove the features of a dataset once its cells are done.")  # fmt: skip
@of_output("--log", shell_complete=completion.trackers, metavar="LIST", help=trackers_help())
def evaluate(
    dry_run: bool, discard_features: bool, worker: str | None, log: str | None, **options: Any
) -> None:
    """Accuracy of frozen features on ImageNet-1K, levels and own datasets.

    \b
    Example:
        cog evaluate --model dino --images /data/imagenet21k --in1k /data/imagenet
        cog evaluate --model my.py:load --dataset birds=/data/birds
        cog evaluate --model dino --suite transfer --data /data
    \f
    Results are in OUT/results.csv. The same command again goes on where it stopped. Of several
    workers, each fits the cells of its share whose features are there; the command without --worker
    then does the rest.

    \b
    More examples:
        cog evaluate --model my.py:load --images photos --levels my_levels --only L1,L5 \\
            --test-per-class 10 --min-train 20 --solver lbfgs
        cog evaluate --model dino --in1k /data/imagenet --protocol dino-knn --out knn
    """
    from cog.cli.terminal import Terminal
    from cog.evaluation.options import read_list
    from cog.evaluation.plan import plan_from
    from cog.evaluation.run import run_plan

    share = _share(worker, options["executor"])
    if not share.is_all and discard_features:
        raise CogError(
            "a worker does not know when the others are done with the features",
            "give --discard-features to the command without --worker that ends the run",
        )
    trackers = read_list("log", log) if log else ()
    if not share.is_all and trackers:
        raise CogError(
            "one run of a tracker is not written to by several workers",
            "give --log to the command without --worker that ends the run: it logs every row",
        )
    terminal = Terminal()
    plan = plan_from(without_defaults_of_protocols(options), terminal.notify)
    if dry_run:
        terminal.plan(plan, share)
        return
    terminal.fit_columns(plan)
    results = run_plan(plan, terminal, share, discard_features, trackers)
    if share.is_all:
        terminal.summary(results, plan.out / "results.csv")


@click.command(cls=GroupedCommand, short_help="Make the features alone.")
@run_options
@output_options
def extract(dry_run: bool, worker: str | None, **options: Any) -> None:
    """Make and keep the features alone; `cog evaluate` then takes them over.

    \b
    Example:
        cog extract --model dino --model timm:resnet18 --images /data/imagenet21k
        cog extract --model dino --images /data/imagenet21k --worker 3/16
    """
    from cog.cli.terminal import Terminal
    from cog.evaluation.plan import plan_from
    from cog.evaluation.run import run_plan

    share = _share(worker, options["executor"])
    terminal = Terminal()
    plan = plan_from(options, terminal.notify).without_cells()
    if dry_run:
        terminal.plan(plan, share)
        return
    run_plan(plan, terminal, share)
    for store in plan.store_paths():
        click.echo(store)


def _share(worker: str | None, executor: str) -> Share:
    """The share that `--worker` asks for, or all."""
    from cog.features.executors.share import ALL, Share

    if worker and executor != "here":
        raise CogError(
            "--worker and --executor ray both divide the work",
            "give one of them: a cluster divides the work itself",
        )
    return Share.read(worker) if worker else ALL
