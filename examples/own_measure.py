"""A measure of your own: the FaITH measure of Pirró and Euzenat (ISWC 2010), in four lines.

    python examples/own_measure.py

A measure is a formula over the terms of its kind; cog/wordnet/measures.py lists them. Functions
take a `Measure` where they take a name. For the command line, add it to `MEASURES` in that file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.wordnet.concept_lists import read_wnids
from cog.wordnet.information_content import load_information
from cog.wordnet.measures import Measure
from cog.wordnet.names import find_concept
from cog.wordnet.similarity import explain_pair, nearest
from cog.wordnet.taxonomy import load_taxonomy

Floats = NDArray[np.float64]


def faith(same: NDArray[Any], ic_a: Floats, ic_b: Floats, ic_s: Floats) -> Floats:
    """IC(s) / (IC(a) + IC(b) − IC(s)): the information in common as a share of all there is."""
    whole = ic_a + ic_b - ic_s
    return np.divide(ic_s, whole, out=np.zeros(whole.shape), where=whole > 0)


FAITH = Measure(faith, "information", "FaITH", "{ic_s} / ({ic_a} + {ic_b} − {ic_s})")


def main() -> None:
    """Compare two concepts, then find what ImageNet-1K has nearest to a third."""
    taxonomy = load_taxonomy()
    dog, cat, okapi = (find_concept(taxonomy, word)[0] for word in ("dog", "cat", "okapi"))
    ic, _ = load_information(taxonomy, "imagenet", [dog, cat, okapi])

    found = explain_pair(taxonomy, ic, dog, cat, FAITH)
    print(f"faith(dog, cat) = {found.numbers} = {found.value:.4f}")

    seen = taxonomy.indices(read_wnids("in1k"))
    best = nearest(taxonomy, ic, [okapi], seen, FAITH)
    print(f"nearest to okapi: {taxonomy.names[best.seen[0]]} ({best.value[0]:.4f})")


if __name__ == "__main__":
    main()
