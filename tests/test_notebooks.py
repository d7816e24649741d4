"""The notebooks of examples/: they run, and what they show is what their code gives."""

from __future__ import annotations

import ast
import os
import re

import nbformat
import pytest

import cog
from tools.run_notebooks import NOTEBOOKS, run

LARGEST = 400_000  # bytes of a notebook with its outputs
ROUNDING = {"levels.ipynb": 1e-3, "your_model.ipynb": 8}
"""how far a number may be from the one shown: a network that learns on another processor, or with
another version of torch, has a few images more or fewer right"""

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell):
    """What a code cell shows as text, without its spaces, and where it has figures."""
    for output in cell.outputs:
        text = output.get("text") or output.data.get("text/plain", "")
        yield " ".join(text.replace("\\", "").split())
        yield "figure" if "image/png" in output.get("data", {}) else "no figure"


def same_but_for_rounding(shown, found, rounding):
    numbers = [
        [float(each.replace(",", "")) for each in NUMBER.findall(text)] for text in (shown, found)
    ]
    words = [NUMBER.sub("#", text) for text in (shown, found)]
    return words[0] == words[1] and numbers[1] == pytest.approx(numbers[0], abs=rounding)


def test_there_are_two():
    assert {path.name for path in NOTEBOOKS} == set(ROUNDING)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_sound_and_shows_its_outputs(path):
    assert path.stat().st_size < LARGEST
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert sum("image/png" in each.get("data", {}) for cell in cells for each in cell.outputs) >= 3
    assert not [each for cell in cells for each in cell.outputs if each.output_type == "error"]
    assert not re.search(r"/(?:home|root|tmp|work)/", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_needs_public_names_alone(path):
    source = "\n".join(cell.source for cell in code_cells(nbformat.read(path, as_version=4)))
    nodes = list(ast.walk(ast.parse(source)))
    imported = [
        name
        for node in nodes
        for name in (
            [each.name for each in node.names] if isinstance(node, ast.Import)
            else [node.module] if isinstance(node, ast.ImportFrom)
            else []
        )
    ]  # fmt: skip
    assert [name for name in imported if name.split(".")[0] == "cog"] == ["cog"]
    used = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "cog"
    }
    assert len(used) >= 5
    assert used <= set(cog.__all__)


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_shows_what_its_code_gives(path):
    shown, found = code_cells(nbformat.read(path, as_version=4)), code_cells(run(path))
    for before, now in zip(shown, found, strict=True):
        for old, new in zip(texts(before), texts(now), strict=True):
            assert same_but_for_rounding(old, new, ROUNDING[path.name]), (old, new)


@pytest.mark.long
def test_the_notebook_takes_drawings_too():
    if not (pictures := os.environ.get("COG_IMAGES")):
        pytest.skip("COG_IMAGES names no folder of images by wnid")
    (path,) = (path for path in NOTEBOOKS if path.name == "your_model.ipynb")
    cells = code_cells(run(path, pictures))
    printed = "\n".join(text for cell in cells for text in texts(cell))
    assert "seen: animal" in printed
    assert "runs/report.html" in printed
