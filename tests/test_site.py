"""The site of the documentation: built strictly, whole, and nothing on it comes from elsewhere."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

import cog
from cog.cli.main import main
from cog.models.zoo import read_zoo
from tests.support.browser import opened
from tests.support.doc_blocks import PAGES, blocks
from tests.support.runs import HANGS_SECONDS
from tools.site.commands import command_reference, commands
from tools.site.linked_files import linked_files, turned
from tools.site.models import model_table
from tools.site.notebooks import notebook_page

ROOT = Path(__file__).parent.parent


class Page(HTMLParser):
    """What a page refers to, and which names it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.names |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a":
            self.links += [given["href"]] if given.get("href") else []
        elif given.get("rel") != "canonical":  # the address that the page itself shall have
            self.loaded += [given[key] for key in ("src", "href", "data") if given.get(key)]


BUILD = """
import socket, sys
def refused(*_): raise AssertionError("the build wants the network")
socket.socket.connect = socket.getaddrinfo = refused
from mkdocs.__main__ import cli
cli(sys.argv[1:], standalone_mode=False)
print(sorted({"torch", "torchvision", "pandas", "sklearn", "timm"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The site, built as `make docs` does, in a process that reaches no network."""
    pytest.importorskip("mkdocs", reason="pip install 'imagenet-cog[docs]'")
    pytest.importorskip("mkdocstrings", reason="pip install 'imagenet-cog[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-c", BUILD, "build", "--strict", "--site-dir", str(out)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HANGS_SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]", "docstrings are to be read without their libraries"
    return out


@pytest.fixture(scope="module")
def site(built) -> dict[str, Page]:
    """The pages of the site, by their path."""
    return {path.relative_to(built).as_posix(): Page(path) for path in built.rglob("*.html")}


def test_every_page_of_the_documents_is_built(site):
    assert {f"{path.stem}.html" for path in ROOT.glob("docs/*.md")} <= site.keys()
    assert len(site) > 30


def test_nothing_of_a_page_is_loaded_from_elsewhere(site):
    """A page may link to other sites; what it shows, and what its scripts ask for, is its own."""
    for name, page in site.items():
        assert [url for url in page.loaded if re.match(r"(https?:)?//", url)] == [], name
        styles = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
        assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", "".join(styles)), name
        # with these the theme's script would fetch from api.github.com and unpkg.com
        assert 'data-md-component="source"' not in page.text, name
        assert 'class="mermaid"' not in page.text, name


def test_links_within_the_site_lead_to_what_is_there(site, built):
    for name, page in site.items():
        if name == "404.html":  # its links are absolute: it is shown for any path
            continue
        for link in page.links:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", path):
                continue
            target = os.path.normpath(Path(name).parent / unquote(path)) if path else name
            assert (built / target).is_file(), f"{name}: {link}"
            if anchor and target in site:
                assert unquote(anchor) in site[target].names, f"{name}: {link}"


def test_files_of_the_repository_are_on_the_site(site):
    """Links from docs/ to other files are right in a checkout, and lead to a copy on the site."""
    files = linked_files()
    assert "examples/own_model.py" in files
    for path in files:
        assert (ROOT / path).is_file(), path
    link = "[one](../examples/monitor.py) [two](few_shot.md#x) [three](https://x.org/a.md)"
    assert turned(link, "docs", "docs") == link.replace(
        "../examples/monitor.py", "repository/examples/monitor.py.md"
    )
    code = "```python\nwords[0](name)\n```\n"
    assert turned(code + link + code, "docs", "docs").count("words[0](name)") == 2
    assert turned("[a](docs/api.md#n)", "", "docs/repository") == "[a](../api.md#n)"
    assert "def load(" in re.sub("<.*?>", "", site["repository/examples/own_model.py.html"].text)


def test_the_reference_has_every_command_with_every_option():
    sections = re.split(r"^###? (cog.*)$", command_reference(), flags=re.MULTILINE)[1:]
    described = dict(zip(sections[::2], sections[1::2], strict=True))
    every = dict(commands(main, "cog"))
    assert described.keys() == every.keys()
    for name, command in every.items():
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                names = (*option.opts, *option.secondary_opts)
                missing = [each for each in names if not shows(described[name], each)]
                assert missing == [], name


def shows(text: str, option: str) -> bool:
    return re.search(rf"{re.escape(option)}(?![\w-])", text) is not None


def test_the_table_of_models_has_every_model():
    rows = [line for line in model_table().splitlines() if line.startswith("| `")]
    zoo = read_zoo()
    assert [re.findall(r"`(.+?)`", row.split(" | ")[0])[0] for row in rows] == sorted(
        zoo, key=lambda name: not zoo[name].benchmark
    )
    assert all(row.count(" | ") == 9 for row in rows)


def public_names() -> set[str]:
    """What `cog` and cog.sklearn say is public, and what pages and examples take from `cog`."""
    sklearn = importlib.import_module("cog.sklearn")
    names = {f"cog.{name}" for name in cog.__all__}
    names |= {f"cog.sklearn.{name}" for name in sklearn.__all__}
    texts = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("examples/*.py"))]
    texts += [block.text for page in PAGES for block in blocks(page) if block.language == "python"]
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cog"):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    homes = {f"{home}.{name}": f"cog.{name}" for name, home in cog._HOMES.items()}
    return {homes.get(name, name) for name in names}


def test_the_python_page_has_every_public_name(site):
    shown = {name for name in site["api.html"].names if name.startswith("cog.")}
    assert public_names() - shown == set()


def test_the_python_page_shows_shapes_and_examples(site):
    """Of fields the comments behind them; examples are blocks, not links."""
    text = re.sub("<[^>]*>", "", site["api.html"].text)
    for shown in ("[k], the similarity", "Features of prepared images: float32[b, 3, h, w]"):
        assert shown in text
    assert "Keep the parameters" not in text
    assert '<span class="gp">' in site["api.html"].text


@pytest.mark.long
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_site_reads_in_a_browser(built, width, dark):
    """From the disk, on a phone too: silent, in the reader's colours, and no wider than it."""
    with opened(built / "index.html", width, dark) as page:
        for name in ("index", "levels", "model_table", "commands", "api"):
            page.goto((built / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert page.get_attribute("body", "data-md-color-scheme") == (
                "slate" if dark else "default"
            )


def test_an_example_of_a_docstring_is_a_block():
    pytest.importorskip("griffe", reason="pip install 'imagenet-cog[docs]'")
    fenced = importlib.import_module("tools.site.docstrings").fenced
    assert fenced("Adds.\n\n>>> [1 + 1]\n[2]\n\nFast.") == (
        "Adds.\n\n```pycon\n>>> [1 + 1]\n[2]\n```\n\nFast."
    )


def test_the_build_that_ships_is_strict():
    target = (ROOT / "Makefile").read_text().split("\ndocs: ")[1].split("\n\n")[0]
    assert "mkdocs build --strict" in target
    assert "make docs" in (ROOT / ".ci" / "run").read_text()
    assert " -q" not in target, "a quiet build counts no warnings: it is never refused"


def test_a_notebook_is_a_page():
    """What it says, does, prints and draws, in this order; tables without styles of their own."""
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["1\n"]},
        {"output_type": "display_data", "data": {"image/png": "iVBO\n", "text/plain": "Chart"}},
        {
            "output_type": "execute_result",
            "data": {"text/html": ["<style>p</style>\n", "<p>2</p>"]},
        },
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# One\n", "two"]},
        {"cell_type": "code", "source": ["print(1)"], "outputs": outputs},
    ]
    parts = notebook_page(json.dumps({"cells": cells})).split("\n\n")
    assert parts == [
        "# One\ntwo",
        "````python\nprint(1)\n````",
        "````text\n1\n````",
        "![what the code above draws](data:image/png;base64,iVBO)",
        "<p>2</p>\n",
    ]
