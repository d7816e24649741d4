"""How alike two concepts are, by their names: `cog.similarity`.

In: concepts as people write them. Out: a value with the synset above both and the formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from cog.errors import CogError
from cog.wordnet.concept_sets import compare_sides, read_side
from cog.wordnet.information_content import load_information
from cog.wordnet.measures import Floats
from cog.wordnet.taxonomy import Taxonomy, load_taxonomy


@dataclass(frozen=True)
class PairSimilarity:
    """How alike two synsets are, and where the number comes from."""

    a: str
    """its name, such as dog.n.01"""
    b: str
    subsumer: str
    """the synset above both; empty where there is none"""
    value: float
    formula: str
    """in symbols: 2·IC(s) / (IC(a) + IC(b))"""
    numbers: str
    """the formula with the numbers put in"""
    note: str
    """why the value is not what the formula gives, where that divides by zero; else empty"""


def similarity(
    a: str,
    b: str,
    *,
    measure: str = "lin",
    subsumer: str = "deepest",
    corpus: str = "imagenet",
    wordnet: str = "bundled",
) -> PairSimilarity:
    """How alike two concepts are; of a concept and a set of them, the nearest member.

    >>> found = similarity("dog", "cat")
    >>> found.subsumer, round(found.value, 4)
    ('carnivore.n.01', 0.7418)

    Args:
        a: a wnid (n02084071), a synset name (dog.n.01) or a word, of which the first sense is
            taken; or a set: in1k, in21k, official, or a file with a concept a line.
        b: the same; at most one of the two is a set.
        measure: lin, resnik, jcn, path, wup or lch.
        subsumer: which synset above both a measure by information content takes: "deepest", as the
            benchmark does, or "most-informative", as NLTK does.
        corpus: of the information content: "imagenet", "wordnet", an ic-*.dat file of
            WordNet-Similarity, or a file of wnids.
        wordnet: "bundled" (3.0), "nltk", or a WordNet dict folder.

    Raises:
        CogError: an unknown concept or name, or two sets.
    """
    taxonomy, known = _bundled() if wordnet == "bundled" else (load_taxonomy(wordnet), None)
    left, right = read_side(taxonomy, a), read_side(taxonomy, b)
    of_corpus = known if corpus == "imagenet" else None
    found = compare_sides(taxonomy, left, right, measure, subsumer, corpus, of_corpus).pair
    if found is None:
        raise CogError(
            f"both {a} and {b} are sets of concepts", f"type cog similarity {a} {b}, or give one"
        )
    return PairSimilarity(
        taxonomy.names[found.a],
        taxonomy.names[found.b],
        taxonomy.names[found.subsumer] if found.subsumer >= 0 else "",
        found.value,
        found.formula,
        found.numbers,
        found.note,
    )


@cache
def _bundled() -> tuple[Taxonomy, Floats | None]:
    """The bundled WordNet and the information content of the official corpus: 0.2 s, once."""
    taxonomy = load_taxonomy()
    return taxonomy, load_information(taxonomy)[0]
