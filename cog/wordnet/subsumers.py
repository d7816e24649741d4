"""The synset above two others, the edges between them, and so the terms of a measure's formula.

In: a taxonomy, an information content, synsets as indices. Out: terms (measures.py) as arrays, with
the subsumers.

The rule is here once: `rank_subsumers` orders the candidates, `prefer_first` is NLTK's exception.
It is applied in two ways, which tests compare bit by bit. `pair_terms` goes pair by pair, through
sets of ancestors: microseconds a pair. For whole sets, each concept has a row over columns (the
seen synsets and everything above them): nanoseconds a pair. Rows are made from the roots down:

- What a synset has in common with a column is the best that one of its parents has, or the synset
  itself where the column lies under it. So each row comes from the rows of the parents.
- A synset with one parent and no column under it has its parent's row, one edge further away. It
  shares that row, and `lift` counts the edges. Of ImageNet-21K's 21,841 synsets against
  ImageNet-1K this leaves some 2,300 rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.wordnet.information_content import require_information
from cog.wordnet.measures import Floats, Measure, Terms, subsumer_rule
from cog.wordnet.taxonomy import Ints, Taxonomy

NO_SUBSUMER = -1


def rank_subsumers(taxonomy: Taxonomy, ic: Floats, nodes: Ints, rule: str) -> Ints:
    """`nodes` from the worst subsumer to the best by a rule; among equals the first name is best.

    "deepest" (NLTK's `lowest_common_hypernyms()[0]`, the benchmark's rule) and "meeting" go by the
    longest path to the root, "min-depth" by the shortest, "most-informative" (NLTK's rule for
    measures by information content) by information content and then by the longest path.
    """
    names = taxonomy.names
    by_name = np.array(sorted(nodes.tolist(), key=names.__getitem__, reverse=True), np.int32)
    keys: list[NDArray[Any]] = [taxonomy.min_depth if rule == "min-depth" else taxonomy.depth]
    if rule == "most-informative":
        keys.append(ic)
    return by_name[np.lexsort([key[by_name] for key in keys])]  # the last key comes first


def prefer_first(taxonomy: Taxonomy, a: Ints | int, s: Ints, is_above: NDArray[np.bool_]) -> Ints:
    """The subsumers `s` by "min-depth", but `a` where it is above b itself and ranks equally.

    NLTK prefers the first synset of a pair among equals.
    """
    return np.where(is_above & (taxonomy.min_depth[a] == taxonomy.min_depth[s]), a, s)


def terms_of(
    taxonomy: Taxonomy,
    ic: Floats,
    kind: str,
    a: Ints,
    b: Ints,
    s: Ints,
    distances: Callable[[Ints, Ints], Floats],
) -> Terms:
    """The terms of a kind of measure for synsets a and b with subsumers s.

    a, b and s broadcast to one shape. `distances` gives the edges of the shortest paths between
    synsets, inf where the second is NO_SUBSUMER.
    """
    if kind == "information":  # nothing above both: no information in common
        return {"same": a == b, "ic_a": ic[a], "ic_b": ic[b], "ic_s": np.append(ic, 0.0)[s]}
    if kind == "path":
        return {"distance": distances(a, b), "height": np.array(float(taxonomy.depth.max()))}
    return {
        "depth_s": taxonomy.depth[s] + 1.0,
        "distance_a": distances(a, s),
        "distance_b": distances(b, s),
    }


def pair_terms(
    taxonomy: Taxonomy,
    ic: Floats,
    a: Sequence[int] | Ints,
    b: Sequence[int] | Ints,
    measure: Measure,
    subsumer: str,
) -> tuple[Terms, Ints]:
    """The terms of p pairs, each [p] or a scalar, and their subsumers int32[p]."""
    rule = subsumer_rule(measure, subsumer)
    a, b = np.asarray(a, np.int32), np.asarray(b, np.int32)
    if measure.informative:
        require_information(taxonomy, ic, [*a, *b])
    up = taxonomy.distances_up([*a, *b])
    order = rank_subsumers(taxonomy, ic, np.fromiter(up, np.int32), rule)
    rank = {i: number for number, i in enumerate(order.tolist())}

    def best_common(x: int, y: int) -> int:
        common = up[x].keys() & up[y].keys()
        if rule == "meeting":
            return max(common, key=lambda i: (-up[x][i] - up[y][i], rank[i]), default=NO_SUBSUMER)
        return max(common, key=rank.__getitem__, default=NO_SUBSUMER)

    def distance(x: int, y: int) -> float:
        common = up[x].keys() & up[y].keys() if y != NO_SUBSUMER else ()
        return min((up[x][i] + up[y][i] for i in common), default=np.inf)

    s = np.vectorize(best_common, otypes=[np.int32])(a, b)
    if rule == "min-depth":
        is_above = np.vectorize(lambda x, y: x in up[y], otypes=[bool])(a, b)
        s = prefer_first(taxonomy, a, s, is_above)
    distances = np.vectorize(distance, otypes=[np.float64])
    return terms_of(taxonomy, ic, measure.kind, a, b, s, distances), s


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
    for own, i in zip(ranks, rows.owners.tolist(), strict=True):
        for parent in rows.row[taxonomy.parents_of(i)].tolist():
            np.maximum(own, ranks[parent], out=own)
        if i in rows.under:
            columns = rows.under[i][0]
            own[columns] = np.maximum(own[columns], rank[i])
    return np.append(order, np.int32(NO_SUBSUMER))[ranks]


def distance_rows(taxonomy: Taxonomy, rows: CommonRows) -> Floats:
    """Edges of the shortest path between each row's synset and each column; float64[r, c], or inf.

    The path goes up to a synset above both, and down.
    """
    distances = np.full((len(rows.owners), len(rows.columns)), np.inf)
    for own, i in zip(distances, rows.owners.tolist(), strict=True):
        for parent in taxonomy.parents_of(i).tolist():
            np.minimum(own, distances[rows.row[parent]] + (rows.lift[parent] + 1), out=own)
        if i in rows.under:
            columns, edges = rows.under[i]
            own[columns] = np.minimum(own[columns], edges)
    return distances
