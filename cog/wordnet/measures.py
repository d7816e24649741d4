"""The measures: formulas over two synsets a and b and a synset s above both.

A measure is a function and an entry in `MEASURES`; `similarity` and `nearest` (similarity.py) also
take a `Measure` of your own (examples/own_measure.py). What a formula is given depends on its kind:

- "information": `same` (bool, a is b), `ic_a`, `ic_b`, `ic_s` in nats; s by the rule asked for;
- "path": `distance`, the edges of the shortest way from a to b through a synset above both (inf
  if there is none), and `height`, the depth of the deepest synset of the taxonomy;
- "depth": `depth_s`, synsets from the root down to s by the longest way, `distance_a` and
  `distance_b`, edges between a, b and s by the shortest way.

All are arrays that broadcast against each other. Each formula computes in NLTK's order.
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
KINDS = ("information", "path", "depth")


@dataclass(frozen=True)
class Measure:
    """A formula, what it is given, and how it is written."""

    formula: Callable[..., Floats]
    """called with the terms of its kind as keywords"""
    kind: str
    """one of KINDS"""
    written: str
    """the formula with the names of its terms in braces"""


def lin(same: NDArray[np.bool_], ic_a: Floats, ic_b: Floats, ic_s: Floats) -> Floats:
    """2·IC(s) / (IC(a) + IC(b)), from 0 to 1; 0 for the root with itself, which says nothing.

    >>> lin(np.array([False]), np.array([2.0]), np.array([4.0]), np.array([1.5]))
    array([0.5])
    """
    total = ic_a + ic_b
    return np.divide(2.0 * ic_s, total, out=np.zeros(total.shape), where=total > 0)


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


def path(distance: Floats, height: Floats) -> Floats:
    """1 / (distance + 1): 1 for a synset with itself, 0 where no way leads from a to b.

    >>> path(np.array([0.0, 3.0, np.inf]), np.array(19.0))
    array([1.  , 0.25, 0.  ])
    """
    return 1.0 / (distance + 1)


def lch(distance: Floats, height: Floats) -> Floats:
    """−ln((distance + 1) / (2·height)); −inf where no way leads from a to b."""
    return -np.log((distance + 1) / (2.0 * height))


def wup(depth_s: Floats, distance_a: Floats, distance_b: Floats) -> Floats:
    """2·depth(s) / (way from a to the root + way from b to the root), both through s."""
    return (2.0 * depth_s) / ((distance_a + depth_s) + (distance_b + depth_s))


MEASURES = {
    "lin": Measure(lin, "information", "2·{ic_s} / ({ic_a} + {ic_b})"),
    "resnik": Measure(resnik, "information", "{ic_s}"),
    "jcn": Measure(jcn, "information", "1 / ({ic_a} + {ic_b} − 2·{ic_s})"),
    "path": Measure(path, "path", "1 / ({distance} + 1)"),
    "wup": Measure(
        wup, "depth", "2·{depth_s} / ({distance_a} + {depth_s} + {distance_b} + {depth_s})"
    ),
    "lch": Measure(lch, "path", "−ln(({distance} + 1) / (2·{height}))"),
}


def find_measure(measure: str | Measure) -> Measure:
    """The measure of a name; raises `CogError` with the nearest names; a `Measure` stays itself."""
    if isinstance(measure, Measure):
        return measure
    if measure not in MEASURES:
        raise unknown_name("measure", measure, MEASURES)
    return MEASURES[measure]


def subsumer_rule(measure: Measure, subsumer: str) -> str:
    """How `measure` chooses s: as asked where it goes by information, else as NLTK defines it.

    Raises `CogError` for a rule that does not exist.
    """
    if subsumer not in SUBSUMERS:
        raise unknown_name("subsumer rule", subsumer, SUBSUMERS)
    return {"information": subsumer, "path": "meeting", "depth": "min-depth"}[measure.kind]
