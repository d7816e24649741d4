"""The level explorer: levels as a ranked list and as a tree of WordNet, on one page.

In: `Levels`, their taxonomy and thumbnails, if there are any. Out: columns for the scripts of the
page (templates/explorer*.js), and a page of its own. Every number comes from levels.csv or counts
its concepts; names are those of levels.csv, else of WordNet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.levels.table import Levels
from cog.progress import Progress
from cog.provenance import cog_version
from cog.report.page_data import plain_values
from cog.report.render import render
from cog.storage import write_text
from cog.wordnet.measures import find_measure
from cog.wordnet.taxonomy import Taxonomy, load_taxonomy

THUMBNAILS = "levels-thumbnails"  # the folder beside the page


def explorer_data(
    levels: Levels, taxonomy: Taxonomy, thumbnails: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """The data of explorer.html: columns, ready for JSON.

    `nodes`: every concept in a level, every seen one, and all above them, sorted by wnid; the other
    columns refer to nodes by their index there. `concepts`: the rows of levels.csv in order; `lcs`
    is −1 where nothing lies above both, `images` is None where unknown. `below`: for each level,
    then for the seen concepts, how many lie at or below each node.

    `taxonomy` is the one that the levels were made with; `thumbnails`: relative URLs by wnid.

    Raises:
        CogError: a wnid that the taxonomy does not know.
    """
    table = levels.table
    linked = {*table["nearest_wnid"], *table["lcs_wnid"]} - {""}
    wnids = sorted({*table["wnid"], *levels.seen, *linked})
    nodes = taxonomy.with_ancestors(taxonomy.indices(wnids, "these levels").tolist())
    index = {taxonomy.wnids[node]: i for i, node in enumerate(nodes.tolist())} | {"": -1}
    groups = [*map(levels.wnids, levels.numbers), levels.seen]
    return {
        "measure": find_measure(levels.recipe["measure"]).title,
        "eligible": levels.report["eligible"],
        "levels": list(levels.numbers),
        "nodes": _node_columns(levels, taxonomy, nodes),
        "concepts": {
            "node": table["wnid"].map(index).tolist(),
            **{name: table[name].tolist() for name in ("level", "rank", "similarity")},
            "nearest": table["nearest_wnid"].map(index).tolist(),
            "lcs": table["lcs_wnid"].map(index).tolist(),
            "images": plain_values(table["images"]),
        },
        "seen": [index[wnid] for wnid in levels.seen],
        "below": _counts_below(taxonomy, nodes, groups),
        "thumbnails": {str(index[wnid]): urls for wnid, urls in (thumbnails or {}).items()},
    }


def write_explorer(levels: Levels, out: Path, images: Path | None, progress: Progress) -> Path:
    """Write a page of the explorer alone to `out`, with thumbnails beside it; return `out`.

    `images`: where images are, as `find_images` takes it; None for a page without images.

    Raises:
        CogError: the levels' WordNet or the images cannot be read, or `out` cannot be written.
    """
    if out.is_dir():
        raise CogError(f"{out} is a folder", "name a file with --out, as in --out levels.html")
    taxonomy = load_taxonomy(levels.recipe["wordnet"])
    thumbnails: dict[str, tuple[str, ...]] = {}
    try:
        if images:
            from cog.report.thumbnails import make_thumbnails  # imports torch: takes seconds

            wnids = sorted({*levels.table["wnid"], *levels.seen})
            thumbnails = make_thumbnails(images, wnids, out.parent / THUMBNAILS, progress)
        data = explorer_data(levels, taxonomy, thumbnails)
        write_text(out, render("levels_page.html", explorer=data, cog_version=cog_version()))
    except OSError as error:
        raise CogError(
            f"cannot write {out}: {error.strerror or error}", "name another file with --out"
        ) from error
    return out


def _node_columns(
    levels: Levels, taxonomy: Taxonomy, nodes: NDArray[np.int32]
) -> dict[str, list[Any]]:
    """Wnid, name, other words and parents of each node."""
    table = levels.table
    named = {taxonomy.wnids[node]: taxonomy.names[node] for node in nodes.tolist()}
    wnids = list(named)
    for kind in ("lcs_", "nearest_", ""):
        named |= zip(table[f"{kind}wnid"], table[f"{kind}name"], strict=True)
    parents = (np.searchsorted(nodes, taxonomy.parents_of(node)) for node in nodes.tolist())
    return {
        "wnid": wnids,
        "name": [named[wnid] for wnid in wnids],
        "words": _other_words(taxonomy, nodes),
        "parents": [above.tolist() for above in parents],
    }


def _other_words(taxonomy: Taxonomy, nodes: NDArray[np.int32]) -> list[str]:
    """The words of each node except the one in its name, with commas between."""
    lemmas = taxonomy.lemmas
    words: dict[int, list[str]] = {node: [] for node in nodes.tolist()}
    owners = np.repeat(np.arange(len(lemmas.words)), np.diff(lemmas.starts))
    ours = np.isin(lemmas.nodes, nodes)
    for word, node in zip(owners[ours].tolist(), lemmas.nodes[ours].tolist(), strict=True):
        if lemmas.words[word] != taxonomy.names[node].rpartition(".n.")[0].lower():
            words[node].append(lemmas.words[word].replace("_", " "))
    return [", ".join(found) for found in words.values()]


def _counts_below(
    taxonomy: Taxonomy, nodes: NDArray[np.int32], groups: Sequence[Sequence[str]]
) -> list[list[int]]:
    """For each group of wnids: how many of them lie at or below each node, each counted once."""
    ways = taxonomy.distances_up(nodes.tolist())
    counts = [
        Counter(chain.from_iterable(ways[member] for member in taxonomy.indices(group).tolist()))
        for group in groups
    ]
    return [[count[node] for node in nodes.tolist()] for count in counts]
