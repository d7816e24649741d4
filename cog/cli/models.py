"""`cog models`: list and show the models of the table, download weights, check any model."""

from __future__ import annotations

import json
from typing import Any

import click

from cog.cli import completion
from cog.cli.help import GroupedCommand
from cog.cli.options import model_options, say
from cog.models.sources.table import written_forms


@click.group()
def models() -> None:
    """List models, download their weights, and check any model.

    \b
    Example: cog models list --benchmark
    """


@models.command("list", epilog=f"Beside these names, --model takes {written_forms()}.")
@click.option("--benchmark/--no-benchmark", default=False, help="Only the 31 models of the paper.")
@click.option("--family", help="Only this family, such as self-supervised.")
@click.option("--seen", help="Only models that learnt from this dataset alone, such as IN-1K.")
@click.option("--max-size", type=float, metavar="M", help="At most M million parameters.")
@click.option("--commercial/--no-commercial", default=False,
              help="Only models whose licence allows commercial use.")  # fmt: skip
@click.option("--state", help="Only models in this state, such as cached, direct or browser.")
@click.option("--json/--no-json", "as_json", default=False, help="Print a list of objects.")
def list_models(as_json: bool, **filters: Any) -> None:
    """List the models that are known by name.

    State of the weights: cached (here), direct (cog downloads them), browser, gated or convert
    (`cog models download NAME` says what to do), unpublished (for a file of yours: `cog models show
    NAME` tells its layout).

    \b
    Example: cog models list --family masked-image --max-size 100
    """
    from cog.models.listing import find_models

    found = find_models(**filters)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    header = ("name", "family", "year", "size", "dimension", "licence", "seen_data", "state")
    lines: list[tuple[str, ...]] = [header]
    for model in found:
        size = f"{model['size'] / 1e6:.1f} M"
        lines.append(tuple(size if key == "size" else str(model[key]) for key in header))
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        click.echo(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


@models.command()
@click.argument("spec", metavar="NAME|FORM:NAME", shell_complete=completion.model)
@click.option("--trust-checkpoint/--no-trust-checkpoint", default=False,
              help="Run the code of a torch hub, to ask its network.")  # fmt: skip
def show(spec: str, trust_checkpoint: bool) -> None:
    """Show everything about a model, from its address to its feature, licence and quirks.

    It takes every name that --model takes. Nothing is downloaded; what would need it is said.

    \b
    Example: cog models show timm:resnet18
    """
    from cog.models.describe import describe_model

    for key, value in describe_model(spec, trust_checkpoint=trust_checkpoint, notify=say):
        click.echo(f"{key:<20}{value}")


@models.command()
@click.argument(
    "names", metavar="NAME...", shell_complete=completion.zoo_model, nargs=-1, required=True
)
def download(names: tuple[str, ...]) -> None:
    """Download the published weights of models; a stopped download continues.

    They go to COG_HOME/weights, or by default to the cache folder of your system.

    \b
    Example: cog models download dino swav
    """
    from cog.models.weights.download import published_file
    from cog.models.zoo import find_row

    for row in [find_row(name) for name in names]:
        click.echo(published_file(row, say))


@models.command(cls=GroupedCommand)
@click.argument("spec", metavar="NAME|file.py:function", shell_complete=completion.model)
@model_options
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 or mps.")
@click.pass_context
def check(context: click.Context, /, spec: str, device: str, **options: Any) -> None:
    """Load a model and check that its features are reliable.

    A few random images must give vectors of finite numbers, the same vectors twice, the same alone
    as in a batch (a network that uses batch statistics fails), and such as float16, the default on
    disk, can keep. Exit status 1 if not.

    \b
    Example: cog models check my.py:load
    """
    from cog.models.check import check_model
    from cog.models.describe import facts_of
    from cog.models.load import load_model

    model = load_model(spec, device=device, notify=say, **options)
    for key, value in facts_of(model):
        click.echo(f"{key:<40}{value}")
    checks = check_model(model)
    for done in checks:
        click.echo(f"{done.name:<40}{'ok' if done.passed else 'FAILED'}: {done.found}")
    if checks[0].passed:  # one without weights, or that fails, may have none
        click.echo(f"{'fingerprint':<40}{model.fingerprint}")
    if not all(done.passed for done in checks):
        context.exit(1)
