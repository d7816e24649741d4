"""The documents: their blocks run or parse, their commands exist, their maps are the disk."""

from __future__ import annotations

import configparser
import doctest
import os
import re
import subprocess
import tomllib
from operator import attrgetter
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cog.cli.main import main
from tests.support.doc_blocks import (
    PAGES,
    blocks,
    parse,
    prompts,
    run_page,
    typed_commands,
    unknown_names,
)  # fmt: skip
from tests.support.labelled_images import found
from tests.test_architecture import GROUND, ROWS
from tools.make_file_map import file_map
from tools.site.commands import commands

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

LANGUAGES = ("console", "python", "pycon", "text", "toml", "json", "csv", "bash", "bibtex", "yaml")
EXTRAS = ("pytorch_lightning", "transformers", "accelerate")  # what Python blocks import of extras
NAME_OF = attrgetter("name")
WITH_PYTHON = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]
WITH_EXAMPLES = [page for page in PAGES if ">>> " in page.read_text(encoding="utf-8")]
RUN = [
    pytest.param(
        page,
        id=page.name,
        marks=[pytest.mark.long] if any("run long" in block.mark for block in blocks(page)) else [],
    )
    for page in PAGES
    if any(block.runs for block in blocks(page))
]


@pytest.mark.parametrize(("path", "command"), list(commands(main, "cog")), ids=str)
def test_every_command_has_help_with_an_example(path, command):
    shown = CliRunner().invoke(command, ["--help"])
    assert shown.exit_code == 0
    assert "Example" in shown.output
    assert f"{path} " in shown.output or f"{path}\n" in shown.output


@pytest.mark.parametrize("page", PAGES, ids=NAME_OF)
def test_every_block_says_whether_it_is_run(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block}: what is the block, {LANGUAGES}?"
        if block.language == "console":
            assert block.mark, f"{block}: <!-- run --> or <!-- needs … -->"
            assert prompts(block.text), f"{block}: a block of commands without $"
        elif block.language == "python":
            assert not block.mark.startswith("needs"), f"{block}: Python runs"
        else:
            assert not re.search(r"^\$ ", block.text, re.MULTILINE), f"{block}: is it ```console?"


@pytest.mark.parametrize("page", PAGES, ids=NAME_OF)
def test_the_commands_of_the_documents_parse(page):
    shown = [block for block in blocks(page) if block.language == "console"]
    for block in shown:
        for line, _ in prompts(block.text):
            for words in typed_commands(line):
                if words[0] in ("cog", "imagenet-cog"):
                    try:
                        parse(words)
                    except click.ClickException as error:
                        pytest.fail(f"{block}: {line}: {error.format_message()}")


@pytest.mark.parametrize("page", WITH_PYTHON, ids=NAME_OF)
def test_python_that_is_not_run_compiles_and_uses_names_that_are_there(page):
    for block in blocks(page):
        if block.language == "python" and not block.runs:
            assert [*unknown_names(block.text)] == [], block


@pytest.mark.filterwarnings("default")  # of the libraries that a page uses
@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_the_documents_run(page, tmp_path, monkeypatch):
    wants_images = any("COG_IMAGES" in block.text for block in blocks(page) if block.runs)
    if wants_images and "COG_IMAGES" not in os.environ:
        pytest.skip("COG_IMAGES is not set")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        run_page(page, tmp_path)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        pytest.skip(f"{error.name} is not installed")


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=NAME_OF)
def test_the_examples_of_the_documents_run(page):
    done = doctest.testfile(str(page), module_relative=False)
    assert done.attempted
    assert done.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=NAME_OF)
def test_toml_of_the_documents_is_toml(page):
    for block in blocks(page):
        if block.language == "toml":
            assert tomllib.loads(block.text), block


def test_one_s_own_images_need_no_wnid(tmp_path, monkeypatch):
    """The script of README makes the digits, and its command takes them as they lie there."""
    monkeypatch.chdir(tmp_path)
    (script,) = [block for block in blocks(ROOT / "README.md") if block.language == "python"]
    exec(script.text, {})
    dataset = found("digits")
    assert [len(images) for images in dataset.lists] == [1297, 500]
    assert len(dataset.split.train.classes) == 10
    assert "--dataset digits=digits\n" in README


def test_the_readme_is_short_and_its_links_work_on_pypi():
    assert len(README.splitlines()) <= 150
    targets = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=[\"']?([^\"' >]+)", README)
    assert len(targets) > 15
    assert [one or two for one, two in targets if not (one or two).startswith("https://")] == []


def test_the_picture_of_the_page_is_small():
    picture = ROOT / "examples" / "demo" / "report.png"
    assert f"/main/{picture.relative_to(ROOT)})" in README
    assert 10_000 < picture.stat().st_size <= 300_000


def test_the_demo_s_table_is_that_of_the_picture_s_run():
    """README and Start show the same numbers, in the form in which the demo prints them."""
    start = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    table = README.split("```text\n", 1)[1].split("```")[0]
    assert table in start
    title, head, *rows = table.splitlines()
    assert title == "logreg-sgd, all images: top-1 in %"
    assert head.split() == ["model", "in1k", *(f"cog_l{level}" for level in range(1, 6))]
    assert [row.split()[0] for row in rows] == ["demo-trained", "demo-untrained"]


def test_the_lock_has_a_hash_for_every_package_and_every_requirement():
    lock = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z0-9][\w.-]*==)", lock, flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = re.findall(r"^[\w-]+", setup["options"]["install_requires"], re.MULTILINE)
    locked = {entry.partition("==")[0] for entry in entries}
    assert {name.lower().replace("_", "-") for name in wanted} <= locked


def test_the_page_of_differences_has_a_row_for_each_of_them():
    page = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*?) \|", page, re.MULTILINE)
    wanted = (
        "start and batches, trials, one to four images, fewer than N images, top-5, diverges, ±"
    )
    for words in f"{wanted}, features on disk, resizing, truncated".split(", "):
        assert any(words in row for row in rows), words
    options = re.findall(r"`(--[a-z-]+)", page)
    shown = CliRunner().invoke(main, ["evaluate", "--help-all"]).output
    assert [option for option in options if option not in shown] == []


def test_the_map_of_files_is_made_from_their_docstrings():
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert file_map() in document, "run python tools/make_file_map.py"


def test_the_map_of_folders_is_the_disk():
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(\w+)/` \|", document, re.MULTILINE)) | {"cog"}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no clone: git lists no files")
    folders = {name.partition("/")[0] for name in listed.stdout.splitlines() if "/" in name}
    assert named == {name for name in folders if not name.startswith(".")}
    packages = {path.parent.name for path in (ROOT / "cog").glob("*/__init__.py")}
    assert packages == set(re.findall(r"^### cog/(\w+)$", document, re.MULTILINE))


def test_the_rows_of_packages_are_those_of_the_test_of_imports():
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    above, ground = document.split("```text\n")[1].split("```")[0].split("\n\n")
    assert [set(row.split()) for row in above.splitlines()] == [set(row) for row in ROWS[:0:-1]]
    assert set(ground.split()) == set(GROUND)


def test_the_trials_on_the_page_of_trust_are_those_that_were_made():
    page, made = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("trust", "reliability"))
    total = re.findall(r"([0-9,]+)\s+trials", page)
    trials = re.findall(r"^\| [^|]+ \| ([0-9,]+) \|", page, re.MULTILINE)
    assert trials == re.findall(
        r"^\| [^|]+ \| [^|]+ \| ([0-9,]+) \| [0-9]+ \|$", made, re.MULTILINE
    )
    assert total == re.findall(r"([0-9,]+) trials in", made)


def test_addresses_of_the_repository_lead_to_files_that_are_there():
    """Where links have to be absolute, as on PyPI: they name this repository's own files."""
    found = []
    for name in ("README.md", "setup.cfg", "CITATION.cff"):
        text = (ROOT / name).read_text(encoding="utf-8")
        found += re.findall(r"github\.com/[\w-]+/imagenet-cog/(?:blob|tree)/main/([^)#\s]+)", text)
        found += re.findall(r"githubusercontent\.com/[\w-]+/imagenet-cog/main/([^)#\s]+)", text)
    assert "CHANGELOG.md" in found
    assert [path for path in found if not (ROOT / path).exists()] == []
