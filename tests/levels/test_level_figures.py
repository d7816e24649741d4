"""The figures of docs/levels.md are those that the program makes now."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tools.make_level_figures import FIGURES, MAKE


@pytest.mark.parametrize("name", MAKE)
def test_a_figure_is_what_its_script_makes(name):
    made = MAKE[name]()
    assert ElementTree.fromstring(made).tag.endswith("svg")
    shown = (FIGURES / name).read_text(encoding="utf-8")
    assert shown == made, "run python tools/make_level_figures.py"
