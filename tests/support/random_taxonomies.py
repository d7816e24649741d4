"""Small random hierarchies, and the definitions of WordNet's terms written down naively."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from cog.wordnet.files import Lemmas, Nouns
from cog.wordnet.measures import MEASURES
from cog.wordnet.taxonomy import Taxonomy, make_taxonomy


def taxonomy_of(parents: list[list[int]], names: list[str] | None = None) -> Taxonomy:
    """The hierarchy in which synset i has `parents[i]`."""
    names = names or [f"c{i:02d}.n.01" for i in range(len(parents))]
    rows = [sorted(row) for row in parents]
    words = sorted((name.partition(".")[0], i) for i, name in enumerate(names))
    lemmas = Lemmas(
        tuple(word for word, _ in words),
        np.arange(len(words) + 1, dtype=np.int32),
        np.array([i for _, i in words], np.int32),
    )
    return make_taxonomy(
        Nouns(
            np.arange(1, len(parents) + 1, dtype=np.int32),
            tuple(names),
            np.cumsum([0, *map(len, rows)]).astype(np.int32),
            np.array([parent for row in rows for parent in row], np.int32),
            lambda: lemmas,
        )
    )


@st.composite
def parent_lists(draw: st.DrawFn, most: int = 12, one_root: bool = True) -> list[list[int]]:
    """The parents of each synset of a random hierarchy; many synsets have several."""
    size = draw(st.integers(2, most))
    order = draw(st.permutations(range(size)))  # so the wnids do not follow the depth
    parents: list[list[int]] = [[] for _ in range(size)]
    for at in range(1, size):
        fewest = 1 if one_root else 0
        chosen = draw(st.sets(st.integers(0, at - 1), min_size=min(fewest, at), max_size=3))
        parents[order[at]] = [order[above] for above in chosen]
    return parents


@dataclass(frozen=True)
class Naive:
    """The terms by their definitions, one synset or pair at a time."""

    parents: list[list[int]]
    names: tuple[str, ...]

    def ancestors(self, i: int) -> set[int]:
        return {i}.union(*[self.ancestors(parent) for parent in self.parents[i]])

    def depth(self, i: int) -> int:
        return 1 + max(map(self.depth, self.parents[i])) if self.parents[i] else 0

    def min_depth(self, i: int) -> int:
        return 1 + min(map(self.min_depth, self.parents[i])) if self.parents[i] else 0

    def up(self, i: int, above: int) -> float:
        if i == above:
            return 0
        return min((1 + self.up(parent, above) for parent in self.parents[i]), default=np.inf)

    def distance(self, a: int, b: int) -> float:
        common = self.ancestors(a) & self.ancestors(b)
        return min((self.up(a, s) + self.up(b, s) for s in common), default=np.inf)

    def corpus_counts(self, members: set[int]) -> tuple[dict[int, int], int]:
        corpus = set().union(*[self.ancestors(i) for i in members])
        counts = {i: sum(i in self.ancestors(j) for j in corpus) for i in corpus}
        return counts, len(corpus)

    def subsumer(self, ic: np.ndarray, a: int, b: int, rule: str) -> int | None:
        """NLTK's lowest_common_hypernyms()[0] ("deepest", "min-depth"), or the most informative."""
        common = sorted(self.ancestors(a) & self.ancestors(b), key=lambda i: self.names[i])
        if not common:
            return None
        if rule == "most-informative":
            return max(common, key=lambda i: ic[i])
        return max(common, key=self.depth if rule == "deepest" else self.min_depth)

    def terms(self, ic: np.ndarray, a: int, b: int, kind: str, rule: str) -> dict[str, float]:
        """What a formula of a kind takes, as NLTK defines it."""
        if kind == "path":
            height = max(map(self.depth, range(len(self.parents))))
            return {"distance": self.distance(a, b), "height": float(height)}
        s = self.subsumer(ic, a, b, "min-depth" if kind == "depth" else rule)
        if kind == "information":
            ic_s = ic[s] if s is not None else 0.0
            return {"same": a == b, "ic_a": ic[a], "ic_b": ic[b], "ic_s": ic_s}
        if s is None:
            return {"depth_s": 1.0, "distance_a": np.inf, "distance_b": np.inf}
        if a in self.ancestors(b) and self.min_depth(a) == self.min_depth(s):
            s = a
        distances = {"distance_a": self.distance(a, s), "distance_b": self.distance(b, s)}
        return {"depth_s": self.depth(s) + 1.0, **distances}

    def value(self, ic: np.ndarray, a: int, b: int, measure: str, rule: str) -> float:
        """The similarity of one pair: as NLTK defines it, or by the formula of another measure."""
        entry = MEASURES[measure]
        terms = self.terms(ic, a, b, entry.kind, rule)
        if measure in NLTK_FORMULAS:
            return NLTK_FORMULAS[measure](**terms)
        arrays = {name: np.array([term]) for name, term in terms.items()}
        return float(entry.formula(**arrays)[0])


def lin(same: bool, ic_a: float, ic_b: float, ic_s: float) -> float:
    return 2.0 * ic_s / (ic_a + ic_b) if ic_a + ic_b else 0.0


def jcn(same: bool, ic_a: float, ic_b: float, ic_s: float) -> float:
    if same:
        return 1e300
    if ic_a == 0 or ic_b == 0:
        return 0.0
    difference = ic_a + ic_b - 2 * ic_s
    return 1 / difference if difference else 1e300


def wup(depth_s: float, distance_a: float, distance_b: float) -> float:
    return 2.0 * depth_s / ((distance_a + depth_s) + (distance_b + depth_s))


NLTK_FORMULAS = {
    "lin": lin,
    "resnik": lambda same, ic_a, ic_b, ic_s: ic_s,
    "jcn": jcn,
    "path": lambda distance, height: 1 / (distance + 1),
    "lch": lambda distance, height: float(-np.log((distance + 1) / (2.0 * height))),
    "wup": wup,
}


def naive(taxonomy: Taxonomy, parents: list[list[int]]) -> Naive:
    """The definitions for a hierarchy; a cache remembers their results."""
    double = Naive(parents, taxonomy.names)
    for name in ("ancestors", "depth", "min_depth", "up", "distance"):
        object.__setattr__(double, name, functools.cache(getattr(double, name)))
    return double
