"""`cog models`: what can be evaluated, and whether a network is fit for it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click


@click.group()
def models() -> None:
    """The benchmark's models, and checks of any other.

    \b
    Example: cog models list
    """


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
def list_models(as_json: bool) -> None:
    """List the models of the benchmark.

    Beside these, --model takes timm:NAME, torchvision:NAME and file.py:function.

    \b
    Example: cog models list
    """
    from cog.models.zoo import read_zoo

    rows = list(read_zoo().values())
    if as_json:
        click.echo(json.dumps([row.summary() for row in rows], indent=2))
        return
    lines = [("name", "family", "year", "dim", "input", "seen data", "licence")]
    for row in rows:
        numbers = (str(row.year), str(row.dim), str(row.crop))
        lines.append((row.name, row.family, *numbers, row.seen_data, row.licence))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        click.echo(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


@models.command()
@click.argument("name")
def show(name: str) -> None:
    """Show all that is known of a model: architecture, weights, preprocessing, feature, licence.

    \b
    Example: cog models show dino
    """
    from cog.models.download import weights_folder
    from cog.models.zoo import find_row

    row = find_row(name)
    if row.name != name:
        click.echo(f"{name} means {row.name}", err=True)
    for key, value in row.summary().items():
        if isinstance(value, tuple):
            value = " ".join(map(str, value))
        click.echo(f"{key:<14}{'-' if value == '' else value}")
    place = weights_folder() / row.file
    click.echo(f"{'weights':<14}{place}{'' if place.is_file() else ' (not there yet)'}")


@models.command()
@click.argument("spec", metavar="NAME|file.py:function")
@click.option("--weights", type=click.Path(path_type=Path), help="A local file of weights.")
@click.option("--pretrained/--no-pretrained", default=True, help="Untrained, from a fixed seed.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 or mps.")
@click.pass_context
def check(
    context: click.Context, spec: str, weights: Path | None, pretrained: bool, device: str
) -> None:
    """Load a model and see whether its features can be relied on.

    Runs a batch of random pictures: shape, finite numbers, the same twice, the same alone as
    among others. Exit status 1 if one of these fails.

    \b
    Example: cog models check my.py:load
    """
    from cog.models import load_model
    from cog.models.check import check_model

    model = load_model(
        spec,
        weights=weights,
        pretrained=pretrained,
        device=device,
        notice=partial(click.echo, err=True),
    )
    click.echo(f"{'name':<40}{model.name}")
    for key, value in model.preprocess.describe().items():
        click.echo(f"{key:<40}{value}")
    checks = check_model(model)
    for done in checks:
        click.echo(f"{done.name:<40}{'ok' if done.passed else 'FAILED'}: {done.found}")
    click.echo(f"{'fingerprint':<40}{model.fingerprint}")
    if not all(done.passed for done in checks):
        context.exit(1)
