"""`cog protocols`: how models may be evaluated, with sources and published numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cog.cli import completion

if TYPE_CHECKING:
    from cog.evaluation.protocols.protocol import Protocol


@click.group(short_help="Ways to evaluate models, by name.")
def protocols() -> None:
    """Ways to evaluate models that papers and tools have, for `cog evaluate --protocol NAME`.

    \b
    Example:
        cog protocols list
        cog protocols show dino-knn
    """


@protocols.command("list")
def list_protocols() -> None:
    """Every protocol, the default first.

    \b
    Example:
        cog protocols list
    """
    from cog.evaluation.protocols.table import PROTOCOLS

    for name, protocol in PROTOCOLS.items():
        click.echo(f"{name}: {protocol.about}")


@protocols.command("show")
@click.argument("name", shell_complete=completion.protocol)
def show_protocol(name: str) -> None:
    """What a protocol fixes, its source, what is not as there, and numbers that were published.

    \b
    Example:
        cog protocols show dino-knn
    """
    from cog.errors import unknown_name
    from cog.evaluation.protocols.table import PROTOCOLS

    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    for line in _lines(PROTOCOLS[name]):
        click.echo(line)


def _lines(protocol: Protocol) -> list[str]:
    """A protocol for people."""
    from cog.evaluation.protocols.fixing import in_words

    fixed = {**protocol.options, **protocol.recipe}
    published = [
        f"  {each.model} on {each.dataset}: {each.metric} {each.value}"
        f"{f' by {each.probe}' if each.probe else ''} ({each.source})"
        for each in protocol.published
    ]
    return [
        f"{protocol.name}: {protocol.about}",
        f"\nsource\n  {protocol.source}",
        "\nfixes",
        *([f"  {name} {in_words(value)}" for name, value in fixed.items()] or ["  nothing"]),
        "\ndiffers from its source",
        *([f"  {each}" for each in protocol.differs] or ["  in nothing that is known"]),
        "\npublished numbers",
        *(published or ["  none could be sourced"]),
    ]
