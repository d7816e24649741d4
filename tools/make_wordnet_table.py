"""Write the bundled noun table, and WordNet's licence beside it, from a WordNet 3.0 dict folder.

    python tools/make_wordnet_table.py /usr/share/wordnet

The folder is that of Debian's package `wordnet-base`, of NLTK's corpus `wordnet`, or of Princeton's
own archive. The same folder gives the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from cog.wordnet.files import TABLE, Nouns, read_dict_folder
from cog.wordnet.taxonomy import make_taxonomy


def main() -> None:
    """Read the folder named on the command line, check it, write the two files."""
    folder = Path(sys.argv[1])
    nouns = read_dict_folder(folder)
    taxonomy = make_taxonomy(nouns)  # refuses a cycle
    write_table(nouns)
    (TABLE.parent / "WORDNET-LICENCE.txt").write_text(licence(folder), encoding="utf-8")
    print(f"{TABLE.name}: {len(taxonomy)} synsets, {len(taxonomy.parents)} edges")


def write_table(nouns: Nouns, path: Path = TABLE) -> None:
    """Write the bundled table; equal nouns give equal bytes."""
    lemmas = nouns.read_lemmas()
    np.savez_compressed(
        path,
        offsets=nouns.offsets,
        names=np.frombuffer("\n".join(nouns.names).encode(), np.uint8),
        parent_starts=nouns.parent_starts,
        parents=nouns.parents,
        words=np.frombuffer("\n".join(lemmas.words).encode(), np.uint8),
        word_starts=lemmas.starts,
        word_nodes=lemmas.nodes,
    )


def licence(folder: Path) -> str:
    """The licence at the head of data.noun: its lines are numbered, and begin with a blank."""
    lines = []
    with (folder / "data.noun").open(encoding="utf-8") as data:
        for line in data:
            if not line.startswith(" "):
                break
            lines.append(line.strip().partition(" ")[2].rstrip())
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
