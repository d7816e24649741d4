"""The noun hierarchy of WordNet as arrays.

In: the bundled table, an NLTK corpus or a WordNet dict folder (cog/wordnet/files.py).
Out: a `Taxonomy`: n synsets sorted by wnid. Everywhere else in this package a synset is its
index in that order. Edges are hypernyms and instance hypernyms, as in NLTK's `max_depth` and
`lowest_common_hypernyms` and in the information content of the benchmark.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError, unknown_name
from cog.wordnet.files import Lemmas, Nouns, read_dict_folder, read_nltk, read_table

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Taxonomy:
    """A hierarchy of n synsets; parents in compressed rows; acyclic."""

    wnids: tuple[str, ...]  # [n], sorted
    names: tuple[str, ...]  # [n], as NLTK names them: dog.n.01
    parent_starts: Ints = field(repr=False)  # [n + 1]
    parents: Ints = field(repr=False)  # [e]; i has [parent_starts[i] : parent_starts[i + 1]]
    depth: NDArray[np.int16] = field(repr=False)  # [n], the longest path to a root
    min_depth: NDArray[np.int16] = field(repr=False)  # [n], the shortest
    nouns: Nouns = field(repr=False)  # the source, which has the words

    def __len__(self) -> int:
        """The number of synsets."""
        return len(self.wnids)

    @cached_property
    def lemmas(self) -> Lemmas:
        """The words; read at the first use."""
        return self.nouns.read_lemmas()

    @cached_property
    def index_of(self) -> dict[str, int]:
        """wnid → its index."""
        return {wnid: i for i, wnid in enumerate(self.wnids)}

    def index(self, wnid: str) -> int:
        """The index of a wnid; raises `CogError` with the nearest ones if there is none."""
        if wnid not in self.index_of:
            at = bisect_left(self.wnids, wnid)
            error = unknown_name("wnid", wnid, self.wnids[max(0, at - 20) : at + 20])
            raise CogError(f"{error.what}: not a noun synset of WordNet", error.hint)
        return self.index_of[wnid]

    def indices(self, wnids: Iterable[str], where: str = "the list given") -> Ints:
        """The indices of many wnids, in their order.

        Raises `CogError` that counts the unknown ones and says `where` they come from.
        """
        wnids = tuple(wnids)
        unknown = [wnid for wnid in wnids if wnid not in self.index_of]
        if unknown:
            listed = ", ".join(unknown[:3]) + (", …" if unknown[3:] else "")
            raise CogError(
                f"{len(unknown)} of the {len(wnids)} wnids in {where} are not noun synsets of"
                f" WordNet: {listed}",
                "remove them, or name the WordNet that has them with --wordnet",
            )
        return np.array([self.index_of[wnid] for wnid in wnids], np.int32)

    def parents_of(self, i: int) -> Ints:
        """The hypernyms and instance hypernyms of synset i."""
        return self.parents[self.parent_starts[i] : self.parent_starts[i + 1]]

    def descendants(self, i: int) -> Ints:
        """Synset i and everything below it, sorted."""
        return _reach(np.array([i], np.int32), *_reverse(self.parent_starts, self.parents))

    def with_ancestors(self, members: Iterable[int]) -> Ints:
        """The members and everything above them, each once, sorted."""
        return _reach(np.fromiter(members, np.int32), self.parent_starts, self.parents)

    def distances_up(self, members: Iterable[int]) -> dict[int, dict[int, int]]:
        """Each synset at or above the members → each ancestor and the edges of the shortest path.

        Parents come before their children; each synset is its own ancestor, 0 edges away.
        """
        nodes = self.with_ancestors(members)
        distances: dict[int, dict[int, int]] = {}
        for i in nodes[np.argsort(self.depth[nodes], kind="stable")].tolist():
            own = {i: 0}
            for parent in self.parents_of(i).tolist():
                for ancestor, edges in distances[parent].items():
                    own[ancestor] = min(own.get(ancestor, edges + 1), edges + 1)
            distances[i] = own
        return distances


def load_taxonomy(source: str = "bundled") -> Taxonomy:
    """The noun hierarchy of `source`: "bundled" (WordNet 3.0), "nltk", or a dict folder.

    Raises `CogError` for a folder without WordNet's files, for a missing NLTK corpus, and for a
    hierarchy that has a cycle.
    """
    readers = {"bundled": read_table, "nltk": read_nltk}
    return make_taxonomy(readers.get(source, lambda: read_dict_folder(Path(source)))())


def make_taxonomy(nouns: Nouns) -> Taxonomy:
    """The `Taxonomy` of the nouns of a source; raises `CogError` that names a cycle."""
    wnids = tuple(f"n{offset:08d}" for offset in nouns.offsets.tolist())
    starts, children = _reverse(nouns.parent_starts, nouns.parents)
    waiting = np.diff(nouns.parent_starts)  # how many parents have no depth yet
    depth = np.full(len(wnids), -1, np.int16)
    min_depth = np.where(waiting == 0, 0, np.iinfo(np.int16).max).astype(np.int16)
    level, steps = np.flatnonzero(waiting == 0), 0
    while len(level):  # the synsets whose last parent got its depth in the step before
        depth[level] = steps
        below = _row_items(level, starts, children)
        above = np.repeat(min_depth[level], starts[level + 1] - starts[level])
        np.minimum.at(min_depth, below, above + np.int16(1))
        np.subtract.at(waiting, below, 1)
        done = np.zeros(len(wnids), bool)  # np.unique sorts: twice the time of all the rest
        done[below] = waiting[below] == 0
        level, steps = np.flatnonzero(done), steps + 1
    edges = nouns.parent_starts, nouns.parents
    taxonomy = Taxonomy(wnids, nouns.names, *edges, depth, min_depth, nouns)
    if (depth < 0).any():
        circle = " → ".join(wnids[i] for i in _cycle(taxonomy))
        raise CogError(
            f"expected an acyclic hierarchy, found a cycle: {circle}",
            "download these WordNet files again, or use --wordnet bundled",
        )
    return taxonomy


def _cycle(taxonomy: Taxonomy) -> list[int]:
    """A cycle above a synset that got no depth, from one synset up to itself."""
    path = [int(np.flatnonzero(taxonomy.depth < 0)[0])]
    while path[-1] not in path[:-1]:
        parents = taxonomy.parents_of(path[-1])
        path.append(int(parents[taxonomy.depth[parents] < 0][0]))
    return path[path.index(path[-1]) :]


def _reverse(starts: Ints, items: Ints) -> tuple[Ints, Ints]:
    """Compressed rows of the edges in the opposite direction."""
    owners = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))
    counts = np.bincount(items, minlength=len(starts) - 1)
    reversed_items = owners[np.argsort(items, kind="stable")]
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), reversed_items


def _row_items(rows: NDArray[np.integer], starts: Ints, items: Ints) -> Ints:
    """The items of several compressed rows, one after another."""
    lengths = starts[rows + 1] - starts[rows]
    shift = np.repeat(starts[rows] - np.cumsum(lengths) + lengths, lengths)
    return items[shift + np.arange(len(shift), dtype=np.int32)]


def _reach(members: Ints, starts: Ints, items: Ints) -> Ints:
    """The members and all that can be reached from them, sorted."""
    reached = np.zeros(len(starts) - 1, bool)
    level = np.unique(members)
    while len(level):
        reached[level] = True
        beyond = np.unique(_row_items(level, starts, items))
        level = beyond[~reached[beyond]]
    return np.flatnonzero(reached).astype(np.int32)
