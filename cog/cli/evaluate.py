"""`cog evaluate` and `cog extract`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cog.cli.options import probe_option, probe_options, run_options
from cog.errors import CogError
from cog.probes.settings import Probing

if TYPE_CHECKING:
    from cog.features.executors.share import Share


@click.command(short_help="A model to its accuracy per level.")
@run_options
@probe_option(default=Probing.probes)
@probe_options
@click.option("--discard-features/--no-discard-features", default=False, show_default=True,
              help="Drop the features of a dataset once its cells are done.")  # fmt: skip
def evaluate(dry_run: bool, discard_features: bool, worker: str | None, **options: Any) -> None:
    """Accuracy of frozen features on ImageNet-1K and on every level, as OUT/results.csv.

    Started again, it goes on where it stopped. Of several workers, each fits the cells of its share
    whose features are there; the command without --worker then finishes.

    \b
    Example:
        cog evaluate --model dino --images /data/imagenet21k --in1k /data/imagenet
        cog evaluate --model my.py:load --images photos --levels my_levels --only L1,L5 \\
            --test-per-class 10 --min-train 20 --solver lbfgs
    """
    from cog.cli.terminal import Terminal
    from cog.evaluation.evaluate import run_plan
    from cog.evaluation.plan import make_plan
    from cog.evaluation.worker import run_share

    share = _share(worker, options)
    if share and discard_features:
        raise CogError(
            "a worker does not know when the others are done with the features",
            "give --discard-features to the command without --worker that ends the run",
        )
    with Terminal() as terminal:
        plan = make_plan(**options, notify=terminal.notify)
        if dry_run:
            terminal.plan(plan, share)
            return
        if share:
            run_share(plan, terminal, share)
            return
        results = run_plan(plan, terminal, discard_features)
        terminal.summary(results, plan.out / "results.csv")


@click.command(short_help="The features alone.")
@run_options
def extract(dry_run: bool, worker: str | None, **options: Any) -> None:
    """Make and keep the features alone; `cog evaluate` goes on from them.

    \b
    Example:
        cog extract --model dino --model timm:resnet18 --images /data/imagenet21k
        cog extract --model dino --images /data/imagenet21k --worker 3/16
    """
    from cog.cli.terminal import Terminal
    from cog.evaluation.evaluate import make_all_features
    from cog.evaluation.plan import make_plan
    from cog.features.executors.share import Share

    share = _share(worker, options) or Share()
    with Terminal() as terminal:
        plan = make_plan(**options, notify=terminal.notify)
        if dry_run:
            terminal.plan(plan, share, probes=False)
            return
        for store in make_all_features(plan, terminal, share):
            click.echo(store)


def _share(worker: str | None, options: dict[str, Any]) -> Share | None:
    """The share that `--worker` asks for, if it does."""
    from cog.features.executors.share import Share

    if worker and options["executor"] != "here":
        raise CogError(
            "--worker and --executor ray both say who does what",
            "give one: a cluster divides the work itself",
        )
    return Share.read(worker) if worker else None
