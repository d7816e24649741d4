"""The measures: formulas over two synsets a and b and a synset s above both.

To add a measure, write its formula and its entry in `MEASURES`; nothing else names a measure.
`similarity` and `nearest` also take a `Measure` that is not in the table (examples/own_measure.py).
The kind of a measure says which terms its formula takes:

- "information": `same` (bool, a is b), `ic_a`, `ic_b`, `ic_s` in nats; the user chooses the rule
  for s;
- "path": `distance`, the edges of the shortest path from a to b through a synset above both (inf
  if there is none), and `height`, the depth of the deepest synset of the taxonomy;
- "depth": `depth_s`, the synsets from the root down to s on the longest path, `distance_a` and
  `distance_b`, the edges of the shortest paths from a and from b to s.

All terms are arrays that broadcast against each other. Each formula computes in NLTK's order.
Sources: Lin (ICML 1998), Resnik (IJCAI 1995), Jiang and Conrath (ROCLING 1997), Wu and Palmer
(ACL 1994), Leacock and Chodorow (in Fellbaum, 1998), as NLTK's nltk.corpus.reader.wordnet has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import unknown_name

Floats = NDArray[np.float64]
Terms = dict[str, NDArray[Any]]  # name → array, as a formula takes them

INFINITE = 1e300  # NLTK's infinity
SUBSUMERS = ("deepest", "most-informative")
RULES = {  # every way to choose s, in words
    "deepest": "the deepest synset above both",
    "most-informative": "the most informative synset above both",
    "meeting": "where the shortest way from a to b turns",
    "min-depth": "the synset above both whose shortest way to the root is longest",
}
SYMBOLS = {  # every term, as a written formula shows it
    "ic_a": "IC(a)",
    "ic_b": "IC(b)",
    "ic_s": "IC(s)",
    "distance": "edges(a, b)",
    "height": "height",
    "depth_s": "depth(s)",
    "distance_a": "edges(a, s)",
    "distance_b": "edges(b, s)",
}


@dataclass(frozen=True)
class Measure:
    """A formula, the terms that it takes, and how people read it."""

    formula: Callable[..., Floats]  # called with the terms of its kind as keywords
    kind: str  # information, path or depth
    title: str  # its name in a text: Lin, Wu–Palmer
    written: str  # the formula with the names of its terms in braces
    note: Callable[..., str] = lambda **terms: ""  # why one value is not the formula's
    paper: str = ""  # what to cite for it, a key of cog/papers.csv

    @property
    def informative(self) -> bool:
        """Whether its terms are information contents."""
        return self.kind == "information"


def lin(same: NDArray[np.bool_], ic_a: Floats, ic_b: Floats, ic_s: Floats) -> Floats:
    """2·IC(s) / (IC(a) + IC(b)), from 0 to 1; 0 for the root with itself.

    >>> lin(np.array([False]), np.array([2.0]), np.array([4.0]), np.array([1.5]))
    array([0.5])
    """
    total = ic_a + ic_b
    return np.divide(2.0 * ic_s, total, out=np.zeros(total.shape), where=total > 0)


def _lin_note(same: float, ic_a: float, ic_b: float, ic_s: float) -> str:
    return "0, for both are roots, which say nothing" if ic_a + ic_b == 0 else ""


def resnik(same: NDArray[np.bool_], ic_a: Floats, ic_b: Floats, ic_s: Floats) -> Floats:
    """IC(s), in nats."""
    return ic_s


def jcn(same: NDArray[np.bool_], ic_a: Floats, ic_b: Floats, ic_s: Floats) -> Floats:
    """1 / (IC(a) + IC(b) − 2·IC(s)); 1e300 where that divides by zero; 0 with a root.

    >>> ic = np.array([2.0])
    >>> jcn(np.array([False]), ic, np.array([4.0]), np.array([1.0]))
    array([0.25])
    >>> jcn(np.array([False]), ic, ic, ic)
    array([1.e+300])
    """
    difference = ic_a + ic_b - 2 * ic_s
    inverse = np.divide(
        1.0, difference, out=np.full(difference.shape, INFINITE), where=difference != 0
    )
    of_a_root = (ic_a == 0) | (ic_b == 0)
    return np.where(same, INFINITE, np.where(of_a_root, 0.0, inverse))


def _jcn_note(same: float, ic_a: float, ic_b: float, ic_s: float) -> str:
    if not same and 0 in (ic_a, ic_b):
        return "0 by NLTK's rule: one is a root, which says nothing"
    equal = same or ic_a + ic_b - 2 * ic_s == 0
    return "infinite: nothing tells them apart" if equal else ""


def path(distance: Floats, height: Floats) -> Floats:
    """1 / (distance + 1): 1 for a synset with itself, 0 where no path joins a and b.

    >>> path(np.array([0.0, 3.0, np.inf]), np.array(19.0))
    array([1.  , 0.25, 0.  ])
    """
    return 1.0 / (distance + 1)


def lch(distance: Floats, height: Floats) -> Floats:
    """−ln((distance + 1) / (2·height)); −inf where no path joins a and b."""
    return -np.log((distance + 1) / (2.0 * height))


def wup(depth_s: Floats, distance_a: Floats, distance_b: Floats) -> Floats:
    """2·depth(s) / (length from a to the root + length from b to the root), both through s."""
    return (2.0 * depth_s) / ((distance_a + depth_s) + (distance_b + depth_s))


MEASURES = {
    "lin": Measure(
        lin,
        "information",
        "Lin",
        "2·{ic_s} / ({ic_a} + {ic_b})",
        _lin_note,
        paper="lin1998information",
    ),
    "resnik": Measure(resnik, "information", "Resnik", "{ic_s}", paper="resnik1995using"),
    "jcn": Measure(
        jcn,
        "information",
        "Jiang–Conrath",
        "1 / ({ic_a} + {ic_b} − 2·{ic_s})",
        _jcn_note,
        paper="jiang1997semantic",
    ),
    "path": Measure(path, "path", "path", "1 / ({distance} + 1)", paper="pedersen2004wordnet"),
    "wup": Measure(
        wup,
        "depth",
        "Wu–Palmer",
        "2·{depth_s} / ({distance_a} + {depth_s} + {distance_b} + {depth_s})",
        paper="wu1994verb",
    ),
    "lch": Measure(
        lch,
        "path",
        "Leacock–Chodorow",
        "−ln(({distance} + 1) / (2·{height}))",
        paper="leacock1998combining",
    ),
}


def find_measure(measure: str | Measure) -> Measure:
    """The measure of a name; a `Measure` stays itself.

    Raises `CogError` with the nearest names for one that is not in `MEASURES`.
    """
    if isinstance(measure, Measure):
        return measure
    if measure not in MEASURES:
        raise unknown_name("measure", measure, MEASURES)
    return MEASURES[measure]


def subsumer_rule(measure: Measure, subsumer: str) -> str:
    """How to choose s, a key of RULES: `subsumer` for "information", else as NLTK defines it.

    Raises `CogError` for a `subsumer` that is not one of SUBSUMERS.
    """
    if subsumer not in SUBSUMERS:
        raise unknown_name("subsumer rule", subsumer, SUBSUMERS)
    return {"information": subsumer, "path": "meeting", "depth": "min-depth"}[measure.kind]
