"""Publications: every key that the program names is there once, and BibTeX is what others read."""

from __future__ import annotations

from importlib.resources import files

import bibtexparser
import pytest
from bibtexparser.middlewares import LatexDecodingMiddleware

from cog.datasets.suites.suite import read_suite, suite_names
from cog.errors import CogError
from cog.evaluation.citing import ALWAYS
from cog.evaluation.protocols.table import PROTOCOLS
from cog.models.sources.table import FORMS
from cog.models.zoo import read_zoo
from cog.papers import KINDS, as_bibtex, as_text, find_paper, read_papers
from cog.wordnet.measures import MEASURES

PAPERS = read_papers()
SUITES = [read_suite(name) for name in suite_names()]


def named():
    """Every key that something names, with what names it."""
    yield from ((key, "always") for key in ALWAYS)
    yield from ((measure.paper, name) for name, measure in MEASURES.items())
    for name, entry in {**read_zoo(), **PROTOCOLS}.items():
        yield from ((key, name) for key in entry.papers)
    for form in FORMS:
        yield from ((key, form.written) for key in form.papers)
    for suite in SUITES:
        for name, each in {suite.name: suite, **suite.every}.items():
            yield from ((key, name) for key in each.cite)


def test_everything_that_is_cited_is_there_and_nothing_else_is():
    keys = [key for key, _ in named()]
    assert set(keys) == set(PAPERS)


def test_each_key_and_each_title_is_there_once():
    text = (files("cog") / "papers.csv").read_text(encoding="utf-8")
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == list(PAPERS)
    titles = [paper.title.lower() for paper in PAPERS.values()]
    assert len(set(titles)) == len(titles)
    numbers = [paper.arxiv for paper in PAPERS.values() if paper.arxiv]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("name", read_zoo())
def test_every_model_of_the_table_has_its_paper(name):
    row = read_zoo()[name]
    assert row.papers
    # The version of a conference may come two years after the preprint that the table dates.
    assert min(PAPERS[key].year for key in row.papers) <= row.year + 2


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_papers_of_a_protocol_are_those_of_its_source(name):
    protocol = PROTOCOLS[name]
    assert protocol.papers
    for key in protocol.papers:
        last = PAPERS[key].authors[0].partition(",")[0]
        assert last in protocol.source, key


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_the_papers_of_a_suite_are_those_that_its_file_names(suite):
    for name, each in {suite.name: suite, **suite.every}.items():
        for key in each.cite:
            last = PAPERS[key].authors[0].partition(",")[0]
            assert last in each.paper or name in ("inat2019", "levels"), name


@pytest.mark.parametrize("paper", PAPERS.values(), ids=list(PAPERS))
def test_a_publication_says_where_it_is_found(paper):
    assert paper.kind in KINDS
    assert paper.link.startswith("https://")
    assert (paper.kind in ("preprint", "software")) == (not paper.venue)
    assert paper.arxiv or paper.kind != "preprint"
    assert 1990 <= paper.year <= 2026
    number = paper.arxiv.partition(".")[0]
    if len(number) == 4:  # 2104.14294: of April 2021, and published then or later
        assert 2000 + int(number[:2]) <= paper.year
    assert all(", " in author or author.startswith("{") for author in paper.authors)
    assert paper.title in as_text(paper)


def test_a_library_reads_every_entry_as_it_is_in_the_table():
    text = "\n\n".join(map(as_bibtex, PAPERS.values()))
    assert text.isascii()
    library = bibtexparser.parse_string(text, append_middleware=[LatexDecodingMiddleware()])
    assert not library.failed_blocks
    assert list(library.entries_dict) == list(PAPERS)
    for entry in library.entries:
        paper = PAPERS[entry.key]
        read = {field.key: field.value.replace("{", "").replace("}", "") for field in entry.fields}
        kind, venue = KINDS[paper.kind]
        assert entry.entry_type == kind
        assert read["author"] == " and ".join(paper.authors).replace("{", "").replace("}", "")
        assert read["title"] == paper.title
        assert read.get(venue, "") == paper.venue
        assert read["year"] == str(paper.year)
        assert read.get("eprint", "") == paper.arxiv
        assert read["url"].replace("\xa0", "~") in (paper.link, paper.url)  # LaTeX's ~ is a space


def test_an_unknown_key_shows_the_nearest():
    with pytest.raises(CogError, match="lin1998information"):
        find_paper("lin1998informatoin", PAPERS)
