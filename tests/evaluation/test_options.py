"""The options of a run: the dataclasses, `cog.evaluate` and the command line name the same ones."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, asdict, fields
from pathlib import Path

import pytest

import cog
from cog.cli.evaluate import evaluate
from cog.datasets.dataset import DatasetOptions
from cog.errors import CogError
from cog.evaluation.models import ModelOptions, load_models
from cog.evaluation.options import LISTS, PATHS, read_list, read_options
from cog.evaluation.protocols.table import fixed_options
from cog.features.settings import Extraction
from cog.models.options import LoadOptions
from cog.probes.settings import Probing
from cog.recipe import OPTIONS, Recipe

ARGUMENTS = {
    name: argument.default for name, argument in inspect.signature(cog.evaluate).parameters.items()
}
CLICK = evaluate.make_context("evaluate", ["--model", "dino"]).params
"""what the command line gives where nothing else is typed"""
FIELDS = {
    field.name: field.default
    for kind in (LoadOptions, DatasetOptions, Extraction, Probing)
    for field in fields(kind)
    if field.name not in ("protocols", "left_out")  # which suites fill
}
OF_PROTOCOLS = {"solver", *fixed_options()}
"""what a protocol may fix: None, in Python, is its value or else the default"""
ELSEWHERE = {
    "model",
    "name",
    "levels",
    "out",
    "discard_features",
    "keep_heads",
    "controls",
    "protocol",
    "log",
}
"""arguments and options that no dataclass holds"""


def test_every_option_is_in_a_dataclass_in_the_signature_and_on_the_command_line():
    assert FIELDS.keys().isdisjoint(OPTIONS)  # each option has one home
    options = FIELDS.keys() | set(OPTIONS) | ELSEWHERE
    assert ARGUMENTS.keys() == options | {"recipe", "progress"}
    assert CLICK.keys() == options | {"dry_run", "worker"}


@pytest.mark.parametrize("name", FIELDS)
def test_the_three_have_the_same_default(name):
    default = FIELDS[name]
    if default is MISSING:
        assert ARGUMENTS[name] is inspect.Parameter.empty
        assert next(option for option in evaluate.params if option.name == name).required
        return
    assert ARGUMENTS[name] == (None if name in OF_PROTOCOLS else default)
    assert read_options([name], CLICK).get(name, default) == default


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_the_recipe_have_its_default(name):
    assert CLICK[name] == getattr(Recipe, name)
    assert ARGUMENTS[name] is None  # the recipe's, which the caller may give


def test_the_recipe_is_hashed_with_the_option_that_went_and_takes_no_other_value():
    """So that results of version 0.1 that were made without it are still done."""
    assert asdict(Recipe())["sgd_early_stop"] is False
    with pytest.raises(TypeError, match="sgd_early_stop"):
        Recipe(sgd_early_stop=True)


def test_every_argument_is_documented():
    text = inspect.getdoc(cog.evaluate).split("Args:")[1].split("Returns:")[0]
    documented = [line.split(":")[0].strip() for line in text.splitlines() if line[:5].strip()]
    assert documented == list(ARGUMENTS)


def test_an_unknown_argument_is_pythons_own_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'picture_size'"):
        cog.evaluate("dino", images="photos", picture_size=3)


@pytest.mark.parametrize("option", [option for option in evaluate.params if option.is_flag])
def test_boolean_options_have_both_forms(option):
    assert option.secondary_opts == [f"--no-{option.opts[0].removeprefix('--')}"]


def test_lists_come_as_text_or_as_values():
    assert read_list("only", "L1, L5,L1,") == read_list("only", ["L1", "L5"]) == ("L1", "L5")
    assert read_list("shots", "all,1,2") == read_list("shots", (None, 1, 2)) == (None, 1, 2)
    assert read_list("seeds", "22,37") == read_list("seeds", [22, 37]) == (22, 37)
    assert read_list("only", ()) == ()


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("only", ""),
        ("probes", ","),
        ("seeds", "22,x"),
        ("seeds", 22),
        ("shots", "0"),
        ("shots", (2, -1)),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_with_an_example(option, given):
    with pytest.raises(CogError) as caught:
        read_list(option, given)
    assert caught.value.what == f"{option} cannot be {given!r}"
    assert "such as" in caught.value.hint


def test_paths_come_as_text_or_as_paths():
    given = dict.fromkeys(PATHS, "here")
    assert read_options(PATHS, given) == dict.fromkeys(PATHS, Path("here"))
    assert read_options(LISTS, dict.fromkeys(LISTS)) == {}


@pytest.mark.parametrize("pretrained", [False, True])
def test_a_run_says_which_models_are_untrained(tmp_path, pretrained):
    (tmp_path / "own.py").write_text(
        "import cog, torch\n"
        "def load():\n"
        "    return cog.Model(torch.nn.Flatten(), preprocess=cog.Preprocess(8, 8), name='own')\n"
    )
    said = []
    options = ModelOptions((f"{tmp_path}/own.py:load",), LoadOptions(pretrained=pretrained))
    load_models(options, Extraction(), said.append)
    assert any("own: untrained" in line for line in said) is not pretrained
