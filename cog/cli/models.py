"""`cog models`: what can be evaluated, how it loads, and whether a network is fit for it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import click

from cog.cli.options import model_options
from cog.models.sources.table import written_forms


@click.group()
def models() -> None:
    """The models known by name, their weights, and checks of any other model.

    \b
    Example: cog models list --benchmark
    """


@models.command("list", epilog=f"Beside these names, --model takes {written_forms()}.")
@click.option("--benchmark", is_flag=True, help="Only the 31 of the benchmark.")
@click.option("--family", help="Only this family, such as self-supervised.")
@click.option("--seen", help="Only those that learnt from this alone, such as IN-1K.")
@click.option("--max-size", type=float, metavar="M", help="At most so many million parameters.")
@click.option("--commercial", is_flag=True, help="Only licences that allow commercial use.")
@click.option("--state", help="Only this state, such as cached, direct or browser.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
def list_models(as_json: bool, **filters: Any) -> None:
    """List the models that are known by name.

    State: cached (weights are here), direct (cog fetches them), browser, gated or convert (see
    `cog models download NAME`), none (cannot be loaded; `cog models show NAME` says why).

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
        size = f"{model['size'] / 1e6:.1f} M" if model["size"] else "–"
        lines.append(tuple(size if key == "size" else str(model[key]) for key in header))
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        click.echo(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


@models.command()
@click.argument("name")
def show(name: str) -> None:
    """Show all that is known of a model: from its address to its feature, licence and quirks.

    \b
    Example: cog models show dino
    """
    from cog.models.listing import describe
    from cog.models.zoo import find_row

    row = find_row(name)
    if row.name != name:
        click.echo(f"{name} means {row.name}", err=True)
    for key, value in describe(row):
        click.echo(f"{key:<20}{value}")


@models.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def download(names: tuple[str, ...]) -> None:
    """Fetch the published weights of models into the cache; goes on where it stopped.

    The cache is COG_HOME/weights, or the platform's cache folder for cog.

    \b
    Example: cog models download dino swav
    """
    from cog.models.weights.download import published_file
    from cog.models.zoo import find_row

    for row in [find_row(name) for name in names]:
        click.echo(published_file(row, partial(click.echo, err=True)))


@models.command()
@click.argument("spec", metavar="NAME|file.py:function")
@model_options
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 or mps.")
@click.pass_context
def check(context: click.Context, /, spec: str, device: str, **options: Any) -> None:
    """Load a model and see whether its features can be relied on.

    Runs a few images: shape, finite numbers, the same twice, the same alone as among others
    (batch statistics are caught). Exit status 1 if one of these fails.

    \b
    Example: cog models check my.py:load
    """
    from cog.models.check import check_model
    from cog.models.load import load_model

    model = load_model(spec, device=device, notify=partial(click.echo, err=True), **options)
    facts: dict[str, object] = {
        "name": model.name,
        "parameters": f"{sum(part.numel() for part in model.network.parameters()):,}",
        **model.preprocess.describe(),
        "seen_data": model.seen_data or "unknown",
    }
    for key, value in facts.items():
        click.echo(f"{key:<40}{value}")
    checks = check_model(model)
    for done in checks:
        click.echo(f"{done.name:<40}{'ok' if done.passed else 'FAILED'}: {done.found}")
    click.echo(f"{'fingerprint':<40}{model.fingerprint}")
    if not all(done.passed for done in checks):
        context.exit(1)
