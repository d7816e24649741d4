"""`cog cite`: what a paper with these results should cite."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from cog.cli import completion
from cog.cli.options import say_and_keep

if TYPE_CHECKING:
    from cog.evaluation.citing import Citations


@click.command(short_help="What to cite: as BibTeX, text or JSON.")
@click.argument("runs", required=False, shell_complete=completion.path)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.model,
    help="This model too, by a name that `cog evaluate --model` takes. May be given again.",
)
@click.option(
    "--suite",
    "suites",
    multiple=True,
    metavar="NAME|FILE.toml",
    shell_complete=completion.suite,
    help="The sets of this suite too. May be given again.",
)
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.protocol,
    help="This protocol too. May be given again.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["bibtex", "text", "json"]),
    default="bibtex",
    show_default=True,
)
@click.pass_context
def cite(
    context: click.Context,
    runs: str | None,
    models: tuple[str, ...],
    suites: tuple[str, ...],
    protocols: tuple[str, ...],
    style: str,
) -> None:
    """What to cite: the benchmark, WordNet, ImageNet, the measure, and this program.

    With RUNS, a folder of runs or a results.csv, also its models, datasets and protocol. Each entry
    says what it is cited for. What no table of this program knows, such as the paper of a network
    of your own, is listed as to be found by hand.

    \b
    Example:
        cog cite runs/ > cited.bib
        cog cite --model dino --model timm:resnet18 --format text
        cog cite --suite transfer --protocol trex-transfer
    """
    from cog.evaluation import citing
    from cog.storage import storage_path

    left_out: list[str] = []
    found = citing.cite(
        None if runs is None else storage_path(runs),
        models=models,
        suites=suites,
        protocols=protocols,
        notify=say_and_keep(left_out),
    )
    click.echo(_STYLES[style](found))
    context.exit(1 if left_out else 0)


def _version(key: str) -> str:
    """The version of a publication: this program has one."""
    from cog.evaluation.citing import SOFTWARE
    from cog.provenance import cog_version

    return cog_version() if key == SOFTWARE else ""


def _bibtex(found: Citations) -> str:
    """Entries with their reasons above them, as comments."""
    from cog.papers import as_bibtex

    entries = [
        "\n".join([*map(_comment, why), as_bibtex(paper, _version(paper.key))])
        for paper, why in found.papers()
    ]
    by_hand = [_comment(f"to be found by hand: {each}") for each in found.by_hand]
    return "\n\n".join([*entries, *(["\n".join(by_hand)] if by_hand else [])])


def _comment(text: str) -> str:
    """A line that BibTeX passes over: it takes whatever follows an @ for an entry."""
    return f"% {text.replace('@', ' at ')}"


def _text(found: Citations) -> str:
    """A line a publication, with what it is cited for."""
    from cog.papers import as_text

    lines = [
        f"{as_text(paper, _version(paper.key))} [{'; '.join(why)}]" for paper, why in found.papers()
    ]
    return "\n".join([*lines, *(f"To be found by hand: {each}" for each in found.by_hand)])


def _json(found: Citations) -> str:
    """All fields of all publications."""
    from cog.papers import as_bibtex

    def fields(paper: Any, why: tuple[str, ...]) -> dict[str, Any]:
        version = _version(paper.key)
        own = {"version": version} if version else {}
        bibtex = as_bibtex(paper, version)
        return {**vars(paper), **own, "cited_for": why, "bibtex": bibtex}

    papers = [fields(*each) for each in found.papers()]
    return json.dumps({"papers": papers, "by_hand": found.by_hand}, indent=1, ensure_ascii=False)


_STYLES = {"bibtex": _bibtex, "text": _text, "json": _json}
