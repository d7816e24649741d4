"""The part of WordNet that some classes span: what lies above two of them, and how high it is.

In: the wnids of c classes. Out: a `ClassTree`, with the lowest common subsumer of each pair of
classes, its height, and their Lin similarity by the official corpus.

- The tree is the classes and all that lies above them. A synset that has no more classes below it
  than one of its children says nothing of the classes and is passed over, as if it were that child:
  such as one with one child. So a tree that is cut at a height has groups of classes, and two
  synsets with the same classes have one height.
- The height of a synset is the number of edges of the longest path down to a class; of a class with
  none below it, 0. WordNet has synsets with several parents, which is why the path must be said.
- The lowest common subsumer is the deepest synset above both, as in the benchmark's similarity.

Source: Bertinetto et al., "Making Better Mistakes", CVPR 2020, where the distance of two classes is
the height of their lowest common ancestor in a tree without nodes of one child. There each class
keeps one path to the root, and three edges of WordNet are replaced; here all paths are kept. For
ImageNet-1K the heights are those of the authors' tree for 97.0 % of all pairs. The distances that
lie beside their code are something else: the height of the whole tree less the depth of the
ancestor, which is the same where all classes have one depth; in ImageNet-1K it is for 71.1 %.
Cost: c² numbers of 4 bytes, once for a set of classes; 0.2 s for 1,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from cog.recipe import WNID
from cog.wordnet.information_content import load_information
from cog.wordnet.measures import MEASURES, Floats
from cog.wordnet.subsumers import common_rows, rank_subsumers, subsumer_rows
from cog.wordnet.taxonomy import Ints, Taxonomy, load_taxonomy

MOST_CLASSES = 10_000  # whose table has 400 MB
_AT_ONCE = 1024  # columns of the table that are made together


@dataclass(frozen=True, eq=False)
class ClassTree:
    """What c classes have in common, pair by pair."""

    taxonomy: Taxonomy
    synsets: Ints
    """[c], the index of each class in the taxonomy"""
    subsumers: Ints
    """[c, c], the lowest common subsumer of each pair; −1 where nothing is above both"""
    heights: Ints
    """[n], of each synset of the taxonomy in the tree of the classes; −1 outside"""
    ic: Floats
    """[n], in nats, by the corpus `imagenet` and the classes"""

    def pair_heights(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        """The heights int64[p] of the lowest common subsumers of classes a and b, each [p].

        Where nothing is above both, one more than the whole tree has.
        """
        heights = np.append(self.heights, self.heights.max() + 1)
        return heights[self.subsumers[a, b]].astype(np.int64)

    def pair_similarity(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> Floats:
        """The Lin similarity float64[p] of classes a and b, each [p]; 0 where nothing is above."""
        above = np.append(self.ic, 0.0)[self.subsumers[a, b]]
        ic_a, ic_b = self.ic[self.synsets[a]], self.ic[self.synsets[b]]
        return MEASURES["lin"].formula(same=a == b, ic_a=ic_a, ic_b=ic_b, ic_s=above)


@lru_cache(maxsize=8)
def class_tree(wnids: tuple[str, ...], wordnet: str = "bundled") -> ClassTree | None:
    """The tree of classes with these synsets, in this order; kept for the next call.

    `wordnet`: as `load_taxonomy` takes it. None where a name is none of its noun synsets, or there
    are too many: `MOST_CLASSES`.
    """
    if not 0 < len(wnids) <= MOST_CLASSES or not all(map(WNID.fullmatch, wnids)):
        return None
    taxonomy = _wordnet(wordnet)
    if any(wnid not in taxonomy.index_of for wnid in wnids):
        return None
    return make_class_tree(taxonomy, taxonomy.indices(wnids))


@cache
def _wordnet(wordnet: str) -> Taxonomy:
    return load_taxonomy(wordnet)


def make_class_tree(taxonomy: Taxonomy, synsets: Ints) -> ClassTree:
    """The tree of the classes with these synsets [c], indices in the taxonomy."""
    ic, _ = load_information(taxonomy, "imagenet", synsets.tolist())
    table = np.empty((len(synsets), len(synsets)), np.int32)
    for start in range(0, len(synsets), _AT_ONCE):
        block, place = np.unique(synsets[start : start + _AT_ONCE], return_inverse=True)
        rows = common_rows(taxonomy, synsets, block)
        order = rank_subsumers(taxonomy, ic, rows.columns, "deepest")
        above = subsumer_rows(taxonomy, rows, order)[:, np.searchsorted(rows.columns, block)]
        table[:, start : start + _AT_ONCE] = above[rows.row[synsets]][:, place]
    return ClassTree(taxonomy, synsets, table, _heights(taxonomy, synsets), ic)


def _heights(taxonomy: Taxonomy, synsets: Sequence[int] | Ints) -> Ints:
    """The height of each synset in the tree of the classes, int32[n]; −1 outside of it."""
    nodes = taxonomy.with_ancestors(synsets)
    number = {int(synset): at for at, synset in enumerate(synsets)}
    classes: dict[int, int] = {}  # below each synset, a bit each
    children: dict[int, list[int]] = {i: [] for i in nodes.tolist()}
    heights = np.full(len(taxonomy), -1, np.int32)
    for i in nodes[np.argsort(-taxonomy.depth[nodes], kind="stable")].tolist():  # children first
        classes[i] = 1 << number[i] if i in number else 0
        for child in children[i]:
            classes[i] |= classes[child]
        same = [heights[child] for child in children[i] if classes[child] == classes[i]]
        higher = [heights[child] + 1 for child in children[i]]
        heights[i] = min(same) if same else max(higher, default=0)
        for parent in taxonomy.parents_of(i).tolist():
            children[parent].append(i)
    return heights
