"""`cog.similarity`: two concepts by their names, as the command line has them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import cog
from cog.cli.main import main


@pytest.mark.parametrize(
    ("a", "b", "options"),
    [
        ("dog", "cat", {}),
        ("okapi", "in1k", {}),
        ("unicorn", "horse", {}),  # which the corpus does not have
        ("dog.n.01", "n02121620", {"measure": "wup"}),
        ("dog", "cat", {"measure": "resnik", "subsumer": "most-informative", "corpus": "wordnet"}),
    ],
)
def test_it_is_what_the_command_says(a, b, options):
    names = {"corpus": "--ic", "measure": "--measure", "subsumer": "--subsumer"}
    words = [word for name, value in options.items() for word in (names[name], value)]
    said = json.loads(CliRunner().invoke(main, ["similarity", a, b, "--json", *words]).stdout)
    found = cog.similarity(a, b, **options)
    assert found.value == said["value"]
    assert (found.a, found.b) == (said["a"]["name"], said["b"]["name"])
    assert found.subsumer == said["subsumer"]["name"]
    assert found.formula == said["formula"]


def test_two_sets_and_unknown_names_are_refused():
    with pytest.raises(cog.CogError, match="sets of concepts"):
        cog.similarity("in1k", "in21k")
    with pytest.raises(cog.CogError, match="unknown measure"):
        cog.similarity("dog", "cat", measure="linn")
