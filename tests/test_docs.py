"""The README: its map is the disk, its commands exist, its numbers are those of the code."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cog.cli.main import main
from cog.models.zoo import read_zoo
from tests.support.labelled_images import found
from tools.make_file_map import file_map
from tools.make_models_table import END, START, markdown_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(group: click.Group = main, path: str = "cog"):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        yield f"{path} {name}", command


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=str)
def test_every_command_has_help_with_an_example(path, command):
    shown = CliRunner().invoke(command, ["--help"])
    assert shown.exit_code == 0
    assert "Example" in shown.output
    assert f"{path} " in shown.output or f"{path}\n" in shown.output


@pytest.mark.parametrize("name", main.commands)
def test_every_command_is_in_the_readme(name):
    assert f"cog {name}" in README


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
def test_the_commands_of_the_documents_parse(path):
    lines = re.findall(r"^\$ (cog (?:.*\\\n)*.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) >= 4 or path.name != "README.md"
    for line in lines:
        words = shlex.split(line.replace("\\\n", " "))
        command = main
        while isinstance(command, click.Group):
            words = words[1:]
            command = command.commands[words[0]]
        context = command.make_context(words[0], words[1:], resilient_parsing=False)
        assert context.params


def test_one_s_own_images_need_no_wnid(tmp_path, monkeypatch):
    """The script of README makes the digits, and its command takes them as they lie there."""
    monkeypatch.chdir(tmp_path)
    script = README.split("### Try it on your own images")[1].split("```python\n")[1]
    exec(script.split("```")[0], {})
    command = next(line for line in README.splitlines() if "--dataset digits=digits" in line)
    words = shlex.split(command)[3:]
    (given,) = [words[at + 1] for at, word in enumerate(words) if word == "--dataset"]
    dataset = found(given.partition("=")[2])
    assert [len(images) for images in dataset.lists] == [1297, 500]
    assert len(dataset.split.train.classes) == 10
    assert f"digits: {dataset.split.notes[-1]}\n" in README


def test_the_map_is_the_disk():
    tree = README.split("```text\ncog/\n")[1].split("```")[0]
    named = set(re.findall(r"^ *([a-z_0-9]+/)", tree, re.MULTILINE))
    package = {path.parent.name + "/" for path in (ROOT / "cog").glob("*/__init__.py")}
    assert named == package | {"levels/", "tests/", "benchmarks/", "docs/", "examples/", "tools/"}
    ground = {path.name for path in (ROOT / "cog").glob("*.py") if not path.name.startswith("__")}
    assert ground <= set(tree.split())


def test_what_is_built_is_what_the_readme_shows(default_build):
    shown = README.split("$ cog build-levels\n")[1].split("built-levels\n")[0]
    assert shown in default_build[1]


def test_the_similarity_shown_is_the_one_computed():
    done = CliRunner().invoke(main, ["similarity", "dog", "cat"])
    assert README.split("$ cog similarity dog cat\n")[1].split("```")[0] == done.stdout


def test_the_table_of_models_is_made_from_zoo_csv():
    shown = README.split(START)[1].split(END)[0]
    assert shown == markdown_table()
    assert f"<summary>{len(read_zoo())} models</summary>" in README


@pytest.mark.parametrize(
    ("name", "examples"), [("architecture.md", 30), ("differences.md", 25), ("scikit_learn.md", 12)]
)
def test_the_examples_of_the_documents_run(name, examples):
    done = doctest.testfile(str(ROOT / "docs" / name), module_relative=False)
    assert done.attempted > examples
    assert done.failed == 0


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
