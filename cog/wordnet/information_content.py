"""Information content: how much we learn about an image when we hear that it shows a concept.

In: a taxonomy and a corpus. Out: float64[n], one number a synset, in nats.

- The corpus is a set of synsets with all their ancestors, each counted once. The official one,
  ImageNet-21K and ImageNet-1K, has 23,547 synsets. A WordNet-Similarity file gives counts instead.
- p(c) = corpus synsets at or under c / corpus synsets; IC(c) = −ln p(c). A synset with several
  parents counts once for each of its ancestors, never twice for the same one.
- Outside the corpus the information content is unknown and set to +inf.

Sources: Resnik (IJCAI 1995); the corpus: ImageNet-CoG (ICCV 2021), inferred from its lists.
Cost: one pass over the ancestors of the corpus, about 0.1 s for the official one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError, unknown_name
from cog.recipe import IN1K
from cog.small_files import finite_number, read_lines, whole_number
from cog.wordnet.concept_lists import BUNDLED, read_wnids
from cog.wordnet.measures import MEASURES
from cog.wordnet.taxonomy import Taxonomy

SOURCES = ("imagenet", "wordnet", *BUNDLED)


def information_content(taxonomy: Taxonomy, members: Iterable[int]) -> NDArray[np.float64]:
    """IC of every synset, from a corpus of `members` and all their ancestors; float64[n], nats.

    It is zero at a single root, never falls from a synset to its child, and is +inf outside the
    corpus.
    """
    up = taxonomy.distances_up(members)
    visits = np.fromiter(chain.from_iterable(up.values()), np.int32)
    return _minus_log(np.bincount(visits, minlength=len(taxonomy)), len(up))


def load_information(
    taxonomy: Taxonomy, source: str = "imagenet", concepts: Iterable[int] = ()
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """The IC by the corpus `source`, and those of `concepts` that it did not have.

    `source`: "imagenet" (the official corpus), "wordnet" (every noun once), a WordNet-Similarity
    file *.dat (as NLTK reads it), or a list of wnids as `read_wnids` takes it. A corpus of synsets
    gets the concepts that it did not have, with their ancestors. Raises `CogError` for an unknown
    source, and for a concept that a .dat file never counted.
    """
    asked = tuple(dict.fromkeys(concepts))
    if source.endswith(".dat"):
        ic = _read_counts(taxonomy, Path(source))
        require_information(taxonomy, ic, asked)
        return ic, ()
    members = _corpus(taxonomy, source)
    added = tuple(np.setdiff1d(asked, taxonomy.with_ancestors(members)).astype(int).tolist())
    return information_content(taxonomy, [*members, *added]), added


def require_information(
    taxonomy: Taxonomy, ic: NDArray[np.float64], concepts: Iterable[int]
) -> None:
    """Raise `CogError` naming the first of `concepts` whose information content is infinite."""
    wanted = np.fromiter(concepts, np.int32)
    unknown = wanted[np.isinf(ic[wanted])]
    if len(unknown):
        wnid, name = taxonomy.wnids[unknown[0]], taxonomy.names[unknown[0]]
        others = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        by_edges = ", ".join(key for key, measure in MEASURES.items() if not measure.informative)
        raise CogError(
            f"no information content for {name} ({wnid}){others}: the corpus never counts it",
            "take a corpus that has it (imagenet and wordnet add it themselves), or a measure that"
            f" needs none: {by_edges}",
        )


def _corpus(taxonomy: Taxonomy, source: str) -> list[int]:
    if source == "wordnet":
        return list(range(len(taxonomy)))
    if source not in SOURCES and not Path(source).exists():
        hint = unknown_name("corpus", source, SOURCES).hint
        raise CogError(
            f"no corpus {source!r} to take the information content from",
            f"give imagenet, wordnet, a WordNet-Similarity file *.dat or a file of wnids ({hint})",
        )
    lists = (IN1K, "in21k") if source == "imagenet" else (source,)
    return [i for name in lists for i in taxonomy.indices(read_wnids(name), name).tolist()]


def _read_counts(taxonomy: Taxonomy, path: Path) -> NDArray[np.float64]:
    """IC from a WordNet-Similarity file: lines `1740n 1915712 ROOT`, after one header line.

    As NLTK reads it: the total is the sum over the lines marked ROOT; a count of 0 means unknown.
    """
    counts, total = np.zeros(len(taxonomy)), 0.0
    try:
        for fields in (line.split() for line in read_lines(path)[1:] if line.strip()):
            if not fields[0].endswith("n"):  # verbs
                continue
            count = finite_number(fields[1])
            counts[taxonomy.index_of[f"n{whole_number(fields[0][:-1]):08d}"]] = count
            total += count if fields[2:] == ["ROOT"] else 0.0
        if total <= 0 or not math.isfinite(total):
            raise ValueError(f"the counts of the lines marked ROOT are {total} together")
        if counts.min() < 0:
            raise ValueError(f"a count is {counts.min()}")
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise CogError(
            f"cannot read {str(path)!r} as a WordNet-Similarity file of this WordNet: {error!r}",
            "give an ic-*.dat file for this version of WordNet, such as NLTK's wordnet_ic has",
        ) from error
    return _minus_log(counts, total)


def _minus_log(counts: NDArray[Any], total: float) -> NDArray[np.float64]:
    """−ln(counts / total) with the C library's logarithm, once for each distinct count.

    NumPy's logarithm differs in the last bit between processors, and levels.csv holds every bit.
    """
    distinct, inverse = np.unique(counts, return_inverse=True)
    logs = [-math.log(count / total) + 0.0 if count else math.inf for count in distinct.tolist()]
    return np.array(logs, np.float64)[inverse]
