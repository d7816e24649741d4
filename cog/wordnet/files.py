"""Reading noun hierarchies: the bundled table, an NLTK corpus, or a WordNet dict folder.

Out: a `Nouns`, plain lists and arrays, from which taxonomy.py makes a `Taxonomy`. WordNet's manual
page wndb(5WN) describes the files of a dict folder.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError

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


def wnids_of(offsets: NDArray[np.int32]) -> tuple[str, ...]:
    """The wnids of offsets: n and eight digits.

    It fills all wnids digit by digit, which is five times as fast as formatting each.

    >>> wnids_of(np.array([1740, 2084071], np.int32))
    ('n00001740', 'n02084071')
    """
    letters = np.full((len(offsets), 10), ord("\n"), np.uint8)
    letters[:, 0] = ord("n")
    rest = offsets
    for column in range(8, 0, -1):
        rest, digit = np.divmod(rest, 10)
        letters[:, column] = digit + ord("0")
    return tuple(letters.tobytes().decode().split())


def read_table(path: Path = TABLE) -> Nouns:
    """The bundled table, which tools/make_wordnet_table.py writes; it reads the words on demand."""
    with np.load(path, allow_pickle=False) as table:
        names = _split(table["names"])
        return Nouns(
            table["offsets"],
            names,
            table["parent_starts"],
            table["parents"],
            lambda: _read_table_lemmas(path),
        )


def _read_table_lemmas(path: Path) -> Lemmas:
    with np.load(path, allow_pickle=False) as table:
        return Lemmas(_split(table["words"]), table["word_starts"], table["word_nodes"])


def _split(text: NDArray[np.uint8]) -> tuple[str, ...]:
    return tuple(text.tobytes().decode().split("\n"))


def write_table(nouns: Nouns, path: Path = TABLE) -> None:
    """Write the bundled table; equal nouns give equal bytes."""
    lemmas = nouns.read_lemmas()
    members: dict[str, Any] = {
        "offsets": nouns.offsets,
        "names": np.frombuffer("\n".join(nouns.names).encode(), np.uint8),
        "parent_starts": nouns.parent_starts,
        "parents": nouns.parents,
        "words": np.frombuffer("\n".join(lemmas.words).encode(), np.uint8),
        "word_starts": lemmas.starts,
        "word_nodes": lemmas.nodes,
    }
    np.savez_compressed(path, **members)


def read_dict_folder(folder: Path) -> Nouns:
    """The nouns of a WordNet dict folder: its data.noun and index.noun, of any version."""
    missing = [name for name in ("data.noun", "index.noun") if not (folder / name).is_file()]
    if missing:
        raise CogError(
            f"expected a WordNet dict folder, but {folder} has no {' and no '.join(missing)}",
            "give the folder that holds data.noun and index.noun, or use --wordnet bundled",
        )
    with (
        (folder / "data.noun").open(encoding="utf-8") as data,
        (folder / "index.noun").open(encoding="utf-8") as index,
    ):
        return _read_nouns(data, index, str(folder))


def read_nltk() -> Nouns:
    """The nouns of the user's NLTK corpus `wordnet`, unpacked or in its zip file."""
    import nltk

    for resource in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            root = nltk.data.find(resource)
            data, index = (root.join(name) for name in ("data.noun", "index.noun"))
        except (LookupError, OSError):
            continue
        with data.open(encoding="utf-8") as data, index.open(encoding="utf-8") as index:
            return _read_nouns(data, index, f"NLTK's {resource}")
    raise CogError(
        "expected NLTK's corpus 'wordnet', but this machine does not have it",
        "python -c \"import nltk; nltk.download('wordnet')\", or use --wordnet bundled",
    )


def _read_nouns(data: Iterable[str], index: Iterable[str], source: str) -> Nouns:
    try:
        synsets = sorted(_parse_data(data))
        senses = sorted(_parse_index(index))
        offsets = np.array([offset for offset, _, _ in synsets], np.int32)
        index_of = {offset: i for i, (offset, _, _) in enumerate(synsets)}
        rows = [sorted({index_of[parent] for parent in parents}) for _, _, parents in synsets]
        lemmas = Lemmas(
            tuple(word for word, _ in senses),
            _starts(found for _, found in senses),
            np.array([index_of[offset] for _, found in senses for offset in found], np.int32),
        )
        numbers = dict(senses)
        names = tuple(
            f"{first}.n.{numbers[first].index(offset) + 1:02d}" for offset, first, _ in synsets
        )
    except (ValueError, IndexError, KeyError) as error:
        raise CogError(
            f"the WordNet files of {source} contradict their format or each other ({error})",
            "download them again, or use --wordnet bundled",
        ) from error
    parents = np.array([parent for row in rows for parent in row], np.int32)
    return Nouns(offsets, names, _starts(rows), parents, lambda: lemmas)


def _starts(rows: Iterable[Iterable[Any]]) -> NDArray[np.int32]:
    lengths = [len(list(row)) for row in rows]
    return np.cumsum([0, *lengths]).astype(np.int32)


def _parse_data(lines: Iterable[str]) -> Iterator[tuple[int, str, list[int]]]:
    """(offset, first word in lower case, offsets of the hypernyms) of each synset."""
    for line in lines:
        if line.startswith(" "):  # the licence
            continue
        fields = line.partition("|")[0].split()
        first_pointer = 4 + 2 * int(fields[3], 16)
        pointers = fields[first_pointer + 1 :]
        if len(pointers) < 4 * int(fields[first_pointer]):
            raise ValueError(f"synset {fields[0]} is cut short")
        parents = [
            int(pointers[at + 1])
            for at in range(0, 4 * int(fields[first_pointer]), 4)
            if pointers[at] in ("@", "@i")
        ]
        yield int(fields[0]), fields[4].lower(), parents


def _parse_index(lines: Iterable[str]) -> Iterator[tuple[str, list[int]]]:
    """(word, offsets of its synsets in the order of its senses) of each word."""
    for line in lines:
        if line.startswith(" "):
            continue
        fields = line.split()
        yield fields[0], [int(offset) for offset in fields[-int(fields[2]) :]]
