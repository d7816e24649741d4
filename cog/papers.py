"""Publications by their keys, papers.csv: as BibTeX, as text, as fields.

Columns of papers.csv, facts of bibliographies:
- `key`, unique; `kind`, one of KINDS;
- `authors`, `Last, First` with `; ` between them; a name in braces is an organisation's;
- `title`, `year`; `venue`: the conference, journal, book or publisher, empty for a preprint;
- where it is found: `arxiv`, its number there, `doi`, `url`; one of them or several.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from cog.errors import unknown_name

KINDS = {
    "proceedings": ("inproceedings", "booktitle"),
    "journal": ("article", "journal"),
    "chapter": ("incollection", "booktitle"),
    "book": ("book", "publisher"),
    "preprint": ("misc", ""),
    "software": ("misc", ""),
}
"""the entry type of BibTeX that a kind has, and the field that takes its venue"""

_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING RING ABOVE}": "r ",
    "\N{COMBINING CEDILLA}": "c ",
    "\N{COMBINING CARON}": "v ",
}
"""the command of LaTeX for each accent"""


@dataclass(frozen=True)
class Paper:
    """One publication; the head of this file explains the fields."""

    key: str
    kind: str
    authors: tuple[str, ...]
    title: str
    venue: str
    year: int
    arxiv: str
    doi: str
    url: str

    @property
    def link(self) -> str:
        """Where to read it: its DOI's address, else arXiv's, else its own."""
        doi, arxiv = f"https://doi.org/{self.doi}", f"https://arxiv.org/abs/{self.arxiv}"
        return doi if self.doi else arxiv if self.arxiv else self.url

    @property
    def where(self) -> str:
        """Its venue for people; of a preprint, its number at arXiv."""
        return self.venue or (f"arXiv:{self.arxiv}" if self.arxiv else "software")


def read_papers() -> dict[str, Paper]:
    """All publications of papers.csv by key, in the file's order."""
    text = (files("cog") / "papers.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["key"]: _paper(row) for row in rows}


def find_paper(key: str, papers: Mapping[str, Paper]) -> Paper:
    """The publication with this key; raises `CogError` with the nearest keys where there is none.

    >>> find_paper("lin1998information", read_papers()).where
    'International Conference on Machine Learning (ICML)'
    """
    if key not in papers:
        raise unknown_name("paper", key, papers)
    return papers[key]


def as_bibtex(paper: Paper, version: str = "") -> str:
    """An entry of BibTeX, in ASCII: accents are LaTeX's, and the title keeps its capitals.

    >>> print(as_bibtex(find_paper("touvron2022deit3", read_papers())))
    @inproceedings{touvron2022deit3,
      author = {Touvron, Hugo and Cord, Matthieu and J{\\'e}gou, Herv{\\'e}},
      title = {{DeiT III: Revenge of the ViT}},
      booktitle = {European Conference on Computer Vision (ECCV)},
      year = {2022},
      eprint = {2204.07118},
      archiveprefix = {arXiv},
      url = {https://arxiv.org/abs/2204.07118},
    }
    """
    entry, venue_field = KINDS[paper.kind]
    preprint = paper.kind == "preprint"
    fields = {
        "author": " and ".join(map(_latex, paper.authors)),
        "title": f"{{{_latex(paper.title)}}}",
        venue_field: _latex(paper.venue),
        "howpublished": f"arXiv:{paper.arxiv}" if preprint else "",
        "version": version,
        "year": str(paper.year),
        "eprint": paper.arxiv,
        "archiveprefix": "arXiv" if paper.arxiv else "",
        "doi": paper.doi,
        "url": paper.url or paper.link,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if name and value]
    return "\n".join([f"@{entry}{{{paper.key},", *lines, "}"])


def as_text(paper: Paper, version: str = "") -> str:
    """A line for people: the authors (three at most, and how many more), title, venue and link.

    >>> print(as_text(find_paper("touvron2022deit3", read_papers())))
    Hugo Touvron, Matthieu Cord, Hervé Jégou: DeiT III: Revenge of the ViT. European Conference on \
Computer Vision (ECCV), 2022. https://arxiv.org/abs/2204.07118
    """
    names = [_spoken(name) for name in paper.authors]
    more = f" and {len(names) - 3} others" if len(names) > 4 else ""
    shown = ", ".join(names[:3] if more else names) + more
    stop = "" if paper.title.endswith("?") else "."
    where = f"version {version}" if version else paper.where
    return f"{shown}: {paper.title}{stop} {where}, {paper.year}. {paper.link}"


def _paper(row: Mapping[str, str]) -> Paper:
    authors = tuple(row["authors"].split("; "))
    return Paper(**{**row, "authors": authors, "year": int(row["year"])})  # type: ignore[arg-type]


def _spoken(name: str) -> str:
    """A name as people say it: first names first."""
    last, _, first = name.strip("{}").partition(", ")
    return f"{first} {last}".strip()


def _latex(text: str) -> str:
    """A text as LaTeX has it, in ASCII."""
    text = re.sub(r"([&%$#_])", r"\\\1", text).replace("–", "--")
    return "".join(map(_accented, text))


def _accented(letter: str) -> str:
    parts = unicodedata.normalize("NFD", letter)
    return letter if len(parts) == 1 else f"{{\\{_ACCENTS[parts[1]]}{parts[0]}}}"
