"""Write tests/data/similarity_oracle.npz: NLTK's values of every measure on seeded pairs of nouns.

    python tools/make_similarity_oracle.py /usr/share/wordnet

Two groups of pairs: 5,000 within the official corpus (ImageNet-21K, ImageNet-1K and their
ancestors, each counted once) and 2,500 within all nouns (each counted once). Half of the synsets
have several parents, where the rules for the subsumer differ; half of the pairs are close
relatives. Everything here is computed with NLTK's own functions from NLTK's own reading of the
files; only the bundled lists of wnids come from cog.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nltk
import numpy as np
from nltk.corpus.reader.wordnet import WordNetCorpusReader, information_content

from cog.wordnet.concept_lists import read_wnids

ORACLE = Path(__file__).parents[1] / "tests" / "data" / "similarity_oracle.npz"
SEED = 22
COLUMNS = (
    "lin deepest", "lin most-informative", "resnik deepest", "resnik most-informative",
    "jcn deepest", "jcn most-informative", "path", "wup", "lch",
)  # fmt: skip


def open_nltk(source: Path, folder: Path) -> Any:
    """NLTK's reader of the dict folder `source`, by way of a copy in `folder`/corpora/wordnet.

    `folder` joins NLTK's search path, outside of which NLTK reads nothing. NLTK wants a file
    lexnames, which Debian leaves out and on which nothing here depends.
    """
    corpus = folder / "corpora" / "wordnet"
    corpus.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file():
            shutil.copyfile(file, corpus / file.name)
    lexnames = "".join(f"{number:02d}\tfile{number}\t1\n" for number in range(45))
    (corpus / "lexnames").write_text(lexnames)
    nltk.data.path.append(str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its multilingual functions
        return WordNetCorpusReader(str(corpus), omw_reader=None)


def close_nltk(reader: Any) -> None:
    """Close the files that NLTK's reader keeps open."""
    for stream in reader._data_file_map.values():
        stream.close()


def ancestors(synset: Any) -> set[Any]:
    """A synset and everything above it."""
    return {above for level in synset._iter_hypernym_lists() for above in level}


def count_corpus(members: Iterable[Any]) -> tuple[list[Any], dict[str, dict[int, float]]]:
    """(the members with their ancestors, the counts as NLTK's functions take them)."""
    corpus = sorted({above for member in members for above in ancestors(member)})
    counts = Counter(above.offset() for synset in corpus for above in ancestors(synset))
    counts[0] = len(corpus)
    return corpus, {"n": {offset: float(count) for offset, count in counts.items()}}


def official_members(reader: Any, step: int = 1) -> list[Any]:
    """The synsets of ImageNet-21K and ImageNet-1K, or every `step`-th of them by wnid."""
    wnids = sorted({*read_wnids("in21k"), *read_wnids("in1k")})[::step]
    return [reader.synset_from_pos_and_offset("n", int(wnid[1:])) for wnid in wnids]


def draw_pairs(corpus: Sequence[Any], number: int, seed: int) -> list[tuple[Any, Any]]:
    """Pairs of a corpus: half of their members with several parents, half of them relatives."""
    random = np.random.default_rng([seed, number])
    inside = set(corpus)
    several = [s for s in corpus if len(s.hypernyms() + s.instance_hypernyms()) > 1]

    def any_of(synsets: Sequence[Any]) -> Any:
        return synsets[int(random.integers(len(synsets)))]

    def draw() -> Any:
        return any_of(several if random.random() < 0.5 else corpus)

    def relative(synset: Any) -> Any:
        for _ in range(int(random.integers(6))):  # up by some edges, down by as many at most
            synset = any_of(synset.hypernyms() + synset.instance_hypernyms() or [synset])
        for _ in range(int(random.integers(6))):
            below = [s for s in synset.hyponyms() + synset.instance_hyponyms() if s in inside]
            synset = any_of(sorted(below) or [synset])
        return synset

    firsts = [draw() for _ in range(number)]
    return [(a, draw() if at % 2 else relative(a)) for at, a in enumerate(firsts)]


def deepest_values(a: Any, b: Any, counts: dict[str, dict[int, float]]) -> tuple[float, ...]:
    """lin, resnik and jcn with the first of NLTK's lowest common hypernyms."""
    ic_a, ic_b = information_content(a, counts), information_content(b, counts)
    ic_s = information_content(a.lowest_common_hypernyms(b)[0], counts)
    difference = ic_a + ic_b - 2 * ic_s
    jcn = 1e300 if a == b or difference == 0 else 1 / difference
    if a != b and (ic_a == 0 or ic_b == 0):
        jcn = 0.0
    return 2.0 * ic_s / (ic_a + ic_b), ic_s, jcn


def values(a: Any, b: Any, counts: dict[str, dict[int, float]]) -> tuple[float, ...]:
    """NLTK's value for each of COLUMNS."""
    lin, resnik, jcn = deepest_values(a, b, counts)
    return (
        lin, a.lin_similarity(b, counts), resnik, a.res_similarity(b, counts),
        jcn, a.jcn_similarity(b, counts),
        a.path_similarity(b), a.wup_similarity(b), a.lch_similarity(b),
    )  # fmt: skip


def main() -> None:
    """Write the oracle from the dict folder named on the command line."""
    members: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        reader = open_nltk(Path(sys.argv[1]), Path(folder))
        groups = {
            "imagenet": (official_members(reader), 5000),
            "wordnet": (list(reader.all_synsets("n")), 2500),
        }
        for group, (synsets, number) in groups.items():
            corpus, counts = count_corpus(synsets)
            pairs = draw_pairs(corpus, number, SEED)
            offsets = [(a.offset(), b.offset()) for a, b in pairs]
            members[f"{group} pairs"] = np.array(offsets, np.int32)
            members[f"{group} values"] = np.array([values(a, b, counts) for a, b in pairs])
        close_nltk(reader)
    np.savez_compressed(ORACLE, **members)
    print(f"{ORACLE.name}: {ORACLE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
