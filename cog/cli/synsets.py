"""`cog synsets`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cog.cli import completion
from cog.cli.options import say

if TYPE_CHECKING:
    from cog.wordnet.class_synsets import Proposal
    from cog.wordnet.taxonomy import Taxonomy

_SAID = 20  # rows named on stderr; the file has all of them


@click.command(short_help="Propose a WordNet synset for each class of a label set.")
@click.argument("source", metavar="SOURCE|LIST", shell_complete=completion.path)
@click.option("--out", required=True, metavar="FILE.csv",
              type=click.Path(dir_okay=False, path_type=Path),
              help="The table to write.")  # fmt: skip
@click.option("--wordnet", default="bundled", show_default=True,
              help="bundled (3.0), nltk, or a WordNet dict folder.")  # fmt: skip
@click.option("--overwrite/--no-overwrite", default=False, help="Replace a table that is there.")
def synsets(source: str, out: Path, wordnet: str, overwrite: bool) -> None:
    """Propose a noun synset of WordNet for each class of a label set, as a CSV that you edit.

    SOURCE is one of labelled images, as `cog evaluate --dataset` takes it: a folder with a
    sub-folder for each class, torchvision:NAME@ROOT, shards, … LIST is a text file with a name a
    line. A name may be a word (crane), have a hint (crane (bird),
    crane bird), be written in any way (CamelCase, under_scores, hyphens, in the plural), or be a
    wnid, with or without its n. Of several senses the one nearest to the other classes is proposed.

    Rows marked "look" in the column `check` may be wrong. Choose another synset from
    `alternatives` or with `cog similarity WORD entity`, write its wnid into `wnid`, and empty
    `check`.

    \b
    Columns:
        class         the name
        wnid          its synset, empty where none was found; a name such as dog.n.01 may stand here
        name, under   the name of the synset, and what lies above it
        way           given, lemma, spelling, plural, hint: the whole name was found;
                      derived, longer, head: the noun of an adjective, a longer word, a part of it
        confidence    0 to 1; below 0.5 a row is marked
        check         "look", or empty
        alternatives  up to five other synsets, the best first

    \b
    Example:
        cog synsets /data/pets --out pets-synsets.csv
        cog synsets classes.txt --out synsets.csv
        cog synsets torchvision:Flowers102@/data --out flowers-synsets.csv
    """
    from cog.datasets.labelled.class_list import class_names
    from cog.wordnet.class_synsets import propose_synsets
    from cog.wordnet.synset_table import write_synsets
    from cog.wordnet.taxonomy import load_taxonomy

    taxonomy = load_taxonomy(wordnet)
    found = propose_synsets(taxonomy, class_names(source))
    write_synsets(taxonomy, found, out, overwrite, say)
    doubtful = [each for each in found if each.doubtful]
    without = sum(each.synset is None for each in found)
    for line in _to_look_at(taxonomy, doubtful):
        say(line)
    click.echo(
        f"{len(found)} classes: {len(found) - len(doubtful)} sure, "
        f"{len(doubtful) - without} to look at, {without} without a synset"
    )
    click.echo(out)


def _to_look_at(taxonomy: Taxonomy, doubtful: Sequence[Proposal]) -> list[str]:
    """A line for each of the first rows that are marked, the most doubtful first."""
    from cog.plain_text import printable
    from cog.wordnet.synset_table import names_above

    lines = []
    for each in sorted(doubtful, key=lambda each: each.confidence)[:_SAID]:
        meant = "no noun found"
        if each.synset is not None:
            shared = ", the same as another class" if each.shared else ""
            meant = (
                f"{taxonomy.names[each.synset]} (under {names_above(taxonomy, each.synset)})? "
                f"{each.way}, {each.confidence:.2f}{shared}"
            )
        lines.append(f"look: {printable(each.name)}: {meant}")
    rest = len(doubtful) - len(lines)
    return [*lines, f"… and {rest} more, marked in the table"] if rest else lines
