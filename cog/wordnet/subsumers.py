"""The synset above two others: which one is best, and the best one for whole sets at once.

In: a taxonomy, concepts, a block of seen synsets. Out: for each concept a row over the columns
(the seen synsets and everything above them): its subsumer with each, or its distance to each.

The rule is here once: `rank_subsumers` orders the candidates, `prefer_first` is NLTK's exception.
pairs.py applies it to sets of ancestors, pair by pair. The rows here apply it from the roots down:

- What a synset has in common with a column is the best that one of its parents has, or the synset
  itself where the column lies under it. So each row comes from the rows of the parents.
- A synset with one parent and no column under it has its parent's row, one edge further away. It
  shares that row, and `lift` counts the edges. Of ImageNet-21K's 21,841 synsets against
  ImageNet-1K this leaves some 2,300 rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.wordnet.measures import Floats
from cog.wordnet.taxonomy import Ints, Taxonomy

NO_SUBSUMER = -1
_FAR = -(1 << 20)  # minus the edges between two synsets that have nothing above both


def rank_subsumers(taxonomy: Taxonomy, ic: Floats, nodes: Ints, rule: str) -> Ints:
    """`nodes` from the worst subsumer to the best by a rule; among equals the first name is best.

    "deepest" and "meeting" go by the longest path to the root, "min-depth" by the shortest,
    "most-informative" by information content and then by the longest path.
    """
    names = taxonomy.names
    by_name = np.array(sorted(nodes.tolist(), key=names.__getitem__, reverse=True), np.int32)
    if rule == "min-depth":
        return by_name[np.argsort(taxonomy.min_depth[by_name], kind="stable")]
    deepest_last = by_name[np.argsort(taxonomy.depth[by_name], kind="stable")]
    if rule == "most-informative":
        return deepest_last[np.argsort(ic[deepest_last], kind="stable")]
    return deepest_last


def prefer_first(taxonomy: Taxonomy, a: Ints | int, s: Ints, is_above: NDArray[np.bool_]) -> Ints:
    """The subsumers `s` by "min-depth", but `a` where it is above b itself and ranks equally.

    NLTK prefers the first synset of a pair among equals.
    """
    return np.where(is_above & (taxonomy.min_depth[a] == taxonomy.min_depth[s]), a, s)


@dataclass(frozen=True)
class CommonRows:
    """What concepts have in common with the columns: which row each has; c columns, r rows."""

    columns: Ints  # [c], the seen synsets and everything above them, sorted
    row: Ints  # [n], the row of each synset; −1 for those that no concept needs
    lift: Ints  # [n], edges from a synset up to the owner of its row
    owners: Ints  # [r], the synset whose own row it is; parents first
    under: dict[int, tuple[list[int], list[int]]]  # synset → columns under it, edges up


def common_rows(taxonomy: Taxonomy, concepts: Ints, seen: Ints) -> CommonRows:
    """The rows that `concepts` and `seen` need."""
    distances = taxonomy.distances_up(seen)
    columns = np.array(sorted(distances), np.int32)
    under: dict[int, tuple[list[int], list[int]]] = {i: ([], []) for i in distances}
    for column, below in enumerate(columns.tolist()):
        for above, edges in distances[below].items():
            under[above][0].append(column)
            under[above][1].append(edges)
    nodes = taxonomy.with_ancestors([*concepts, *seen])
    row, lift = np.full(len(taxonomy), -1, np.int32), np.zeros(len(taxonomy), np.int32)
    owners: list[int] = []
    for i in nodes[np.argsort(taxonomy.depth[nodes], kind="stable")].tolist():
        parents = taxonomy.parents_of(i)
        if len(parents) == 1 and i not in under:
            row[i], lift[i] = row[parents[0]], lift[parents[0]] + 1
        else:
            row[i] = len(owners)
            owners.append(i)
    return CommonRows(columns, row, lift, np.array(owners, np.int32), under)


def subsumer_rows(taxonomy: Taxonomy, rows: CommonRows, order: Ints) -> Ints:
    """The best subsumer of each row's synset and each column; int32[r, c], −1 if there is none.

    `order`: the columns from the worst subsumer to the best.
    """
    rank = np.full(len(taxonomy), -1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    ranks = np.full((len(rows.owners), len(rows.columns)), -1, np.int32)
    for at, i in enumerate(rows.owners.tolist()):
        for parent in rows.row[taxonomy.parents_of(i)].tolist():
            np.maximum(ranks[at], ranks[parent], out=ranks[at])
        if i in rows.under:
            columns = rows.under[i][0]
            ranks[at, columns] = np.maximum(ranks[at, columns], rank[i])
    return np.append(order, np.int32(NO_SUBSUMER))[ranks]


def distance_rows(taxonomy: Taxonomy, rows: CommonRows) -> Floats:
    """Edges of the shortest path between each row's synset and each column; float64[r, c], or inf.

    The path goes up to a synset above both, and down.
    """
    nearness = np.full((len(rows.owners), len(rows.columns)), _FAR, np.int32)
    for at, i in enumerate(rows.owners.tolist()):
        for parent in taxonomy.parents_of(i).tolist():
            shared = nearness[rows.row[parent]] - (rows.lift[parent] + 1)
            np.maximum(nearness[at], shared, out=nearness[at])
        if i in rows.under:
            columns, edges = rows.under[i]
            nearness[at, columns] = np.maximum(nearness[at, columns], -np.array(edges, np.int32))
    return np.where(nearness > _FAR // 2, -nearness.astype(np.float64), np.inf)
