"""Reading noun hierarchies: the bundled table, an NLTK corpus, or a WordNet dict folder.

Out: a `Nouns`, plain lists and arrays, from which taxonomy.py makes a `Taxonomy`. WordNet's manual
page wndb(5WN) describes the files of a dict folder.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError

FILES = ("data.noun", "index.noun")
TABLE = Path(__file__).parent / "data" / "wordnet_nouns.npz"


@dataclass(frozen=True)
class Lemmas:
    """The words of a hierarchy, sorted, each with its senses in WordNet's order."""

    words: tuple[str, ...]  # [w], sorted, in lower case, with _ for a space
    starts: NDArray[np.int32]  # [w + 1]: word i has nodes[starts[i] : starts[i + 1]]
    nodes: NDArray[np.int32]  # the synset of each sense

    def senses(self, word: str) -> tuple[int, ...]:
        """The synsets of a word; none if the word is unknown."""
        at = bisect_left(self.words, word)
        if self.words[at : at + 1] != (word,):
            return ()
        return tuple(self.nodes[self.starts[at] : self.starts[at + 1]].tolist())

    def alike(self, word: str) -> list[str]:
        """The 50 words that share most letter pairs with `word`; difflib would be too slow."""
        pairs = {word[at : at + 2] for at in range(len(word) - 1)}

        def difference(other: str) -> int:
            return len(pairs ^ {other[at : at + 2] for at in range(len(other) - 1)})

        return sorted(self.words, key=difference)[:50]


@dataclass(frozen=True)
class Nouns:
    """What a source holds: n synsets sorted by offset, their names, e edges, and their words."""

    offsets: NDArray[np.int32]  # [n], ascending: the number in the wnid
    names: tuple[str, ...]  # [n], as NLTK names them: dog.n.01
    parent_starts: NDArray[np.int32]  # [n + 1]
    parents: NDArray[np.int32]  # [e]: i has parents[parent_starts[i] : parent_starts[i + 1]]
    read_lemmas: Callable[[], Lemmas]  # reads the words, at the first look-up of one


def read_table(path: Path = TABLE) -> Nouns:
    """The bundled table, which tools/make_wordnet_table.py writes; it reads the words on demand."""
    with np.load(path) as table:
        edges = table["parent_starts"], table["parents"]
        lemmas = partial(_read_table_lemmas, path)
        return Nouns(table["offsets"], _split(table["names"]), *edges, lemmas)


def _read_table_lemmas(path: Path) -> Lemmas:
    with np.load(path) as table:
        return Lemmas(_split(table["words"]), table["word_starts"], table["word_nodes"])


def _split(text: NDArray[np.uint8]) -> tuple[str, ...]:
    return tuple(text.tobytes().decode().split("\n"))


def read_dict_folder(folder: Path) -> Nouns:
    """The nouns of a WordNet dict folder: its data.noun and index.noun, of any version."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise CogError(
            f"expected a WordNet dict folder, but {folder} has no {' and no '.join(missing)}",
            "give the folder that holds data.noun and index.noun, or use --wordnet bundled",
        )
    return _read_nouns([folder / name for name in FILES], str(folder))


def read_nltk() -> Nouns:
    """The nouns of the user's NLTK corpus `wordnet`, unpacked or in its zip file."""
    import nltk

    try:
        files = [nltk.data.find(f"corpora/wordnet/{name}") for name in FILES]
    except LookupError as error:
        raise CogError(
            "expected NLTK's corpus 'wordnet', but this machine does not have it",
            "python -c \"import nltk; nltk.download('wordnet')\", or use --wordnet bundled",
        ) from error
    return _read_nouns(files, "NLTK's corpus")


def _read_nouns(files: Sequence[Any], source: str) -> Nouns:
    """The nouns in data.noun and index.noun, as paths or as NLTK's pointers to files."""
    try:
        with files[0].open(encoding="utf-8") as data, files[1].open(encoding="utf-8") as index:
            synsets, senses = sorted(_parse_data(data)), sorted(_parse_index(index))
        offsets = np.array([offset for offset, _, _ in synsets], np.int32)
        index_of = {offset: i for i, (offset, _, _) in enumerate(synsets)}
        rows = [sorted({index_of[parent] for parent in parents}) for _, _, parents in synsets]
        nodes = [[index_of[offset] for offset in found] for _, found in senses]
        lemmas = Lemmas(tuple(word for word, _ in senses), *_compressed(nodes))
        numbers = dict(senses)
        names = tuple(
            f"{first}.n.{numbers[first].index(offset) + 1:02d}" for offset, first, _ in synsets
        )
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise CogError(
            f"the WordNet files of {source} contradict their format or each other "
            f"({' '.join(str(error).split())[:200]})",
            "download them again, or use --wordnet bundled",
        ) from error
    return Nouns(offsets, names, *_compressed(rows), lambda: lemmas)


def _compressed(rows: list[list[int]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where each row starts among the items of all, and these items."""
    starts = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    return starts, np.array([item for row in rows for item in row], np.int32)


def _parse_data(lines: Iterable[str]) -> Iterator[tuple[int, str, list[int]]]:
    """(offset, first word in lower case, offsets of the hypernyms) of each synset."""
    for line in lines:
        if line.startswith(" "):  # the licence
            continue
        fields = line.partition("|")[0].split()
        n_words = int(fields[3], 16)
        n_pointers, *pointers = fields[4 + 2 * n_words :]
        kinds, targets = pointers[::4], pointers[1::4]
        if len(pointers) != 4 * int(n_pointers):
            raise ValueError(f"synset {fields[0]} does not have {n_pointers} whole pointers")
        parents = [int(to) for kind, to in zip(kinds, targets, strict=True) if kind in ("@", "@i")]
        yield int(fields[0]), fields[4].lower(), parents


def _parse_index(lines: Iterable[str]) -> Iterator[tuple[str, list[int]]]:
    """(word, offsets of its synsets in the order of its senses) of each word."""
    for line in lines:
        if line.startswith(" "):
            continue
        fields = line.split()
        yield fields[0], [int(offset) for offset in fields[-int(fields[2]) :]]
