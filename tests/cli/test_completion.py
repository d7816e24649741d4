"""Completion in a shell, and the two names of the program."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, CompletionItem

from cog.__main__ import start
from cog.cli.main import main
from cog.datasets.suites.suite import suite_names
from cog.evaluation.protocols.table import PROTOCOLS
from cog.features.feeder.feeding import FEEDS, RESIZED_ON
from cog.features.precision import PRECISIONS
from cog.features.settings import EXECUTORS
from cog.images.decoding import DECODERS
from cog.images.truncated import TRUNCATED
from cog.levels.recipe import SPACINGS
from cog.models.zoo import read_zoo
from cog.probes.settings import VALIDATIONS
from cog.probes.table import PROBES
from cog.recipe import FEW_SHOT_DRAWS, NORMS, PRODUCTS
from cog.results.trackers.table import TRACKERS
from cog.wordnet.measures import MEASURES, SUBSUMERS
from tests.support.runs import HANGS_SECONDS, call_cog

ROOT = Path(__file__).parent.parent.parent


def items(*words: str) -> list[CompletionItem]:
    """What completes the last of some words after `cog`."""
    *before, typed = words
    completing = BashComplete(main, {}, "cog", "_COG_COMPLETE")
    return completing.get_completions(before, typed)


def completed(*words: str) -> list[str]:
    assert {item.type for item in items(*words)} <= {"plain"}
    return [item.value for item in items(*words)]


EVALUATE = {
    "--probe": PROBES, "--precision": PRECISIONS, "--protocol": PROTOCOLS, "--suite": suite_names(),
    "--decoder": DECODERS, "--resize-on": RESIZED_ON, "--truncated": TRUNCATED, "--feed": FEEDS,
    "--executor": EXECUTORS, "--shots-validation": VALIDATIONS, "--norm": NORMS, "--log": TRACKERS,
    "--few-shot-draw": FEW_SHOT_DRAWS, "--products": PRODUCTS, "--dtype": ("float16", "float32"),
    "--only": ("in1k", "L1", "L2", "L3", "L4", "L5"), "--solver": ("sgd", "lbfgs", "exact"),
}  # fmt: skip


@pytest.mark.parametrize("option", EVALUATE)
def test_an_option_completes_all_names_that_it_takes(option):
    found = completed("evaluate", option, "")
    assert {*found} >= {*EVALUATE[option]}
    assert option == "--solver" or [*found] == [*EVALUATE[option]]


def test_names_of_models_of_the_table_and_the_forms_of_others():
    found = completed("evaluate", "--model", "")
    assert {*read_zoo(), "dino", "timm:", "hf:"} <= {*found}
    assert completed("models", "download", "sup_resnet5") == ["sup_resnet50"]
    assert completed("models", "check", "torchv") == ["torchvision:"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("ev",), ["evaluate"]),
        (("evaluate", "--help-"), ["--help-all"]),
        (("evaluate", "--probe", "knn,lo"), ["knn,logreg"]),
        (("evaluate", "--probe", "knn,kn"), ["knn,knn-10", "knn,knn-20", "knn,knn-100",
                                             "knn,knn-200"]),
        (("evaluate", "--dataset", "Birds=b", "--only", "L1,B"), ["L1,Birds"]),
        (("protocols", "show", "dino-"), ["dino-knn"]),
        (("suites", "show", "tra"), ["transfer"]),
        (("cite", "--model", "dino_vits1"), ["dino_vits16"]),
        (("cite", "--protocol", "trex"), ["trex-transfer"]),
        (("cite", "--suite", "tra"), ["transfer"]),
        (("levels", "show", "L"), ["L1", "L2", "L3", "L4", "L5"]),
        (("similarity", "dog", "cat", "--measure", "l"), ["lin", "lch"]),
        (("build-levels", "--spacing", ""), [*SPACINGS]),
        (("build-levels", "--subsumer", ""), [*SUBSUMERS]),
        (("build-levels", "--measure", ""), [*MEASURES]),
    ],
)  # fmt: skip
def test_what_completes(words, found):
    assert completed(*words) == found


def test_levels_are_those_of_the_folder_that_is_typed(levels_folder):
    words = "evaluate", "--levels", str(levels_folder), "--only", "L"
    assert completed(*words) == ["L1", "L2"]
    assert completed("levels", "show", "--levels", str(levels_folder), "") == ["L1", "L2"]


def test_a_folder_without_levels_completes_nothing_and_says_nothing(tmp_path, capfd):
    assert completed("evaluate", "--levels", str(tmp_path), "--only", "L") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "--images", "/da"), ("evaluate", "--out", "ru"), ("results", "ru"),
        ("store", "verify", "ru"), ("run", "pl"), ("probe", "--train", "ru"), ("verify", "ru"),
        ("cite", "ru"), ("report", "--levels", "my"), ("verify", "--levels", "my"),
        ("evaluate", "--model", "./my"), ("evaluate", "--suite", "mine.t"), ("compare", "a", "b"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_paths_are_left_to_the_shell(words):
    assert [(item.type, item.value) for item in items(*words)] == [("file", words[-1])]


COMPLETE = """
eval "$(_COG_COMPLETE=bash_source cog)"
eval "$(_IMAGENET_COG_COMPLETE=bash_source imagenet-cog)"
complete -p cog imagenet-cog
COMP_WORDS=(cog evaluate --probe knn,lo); COMP_CWORD=3
_cog_completion cog; echo "${COMPREPLY[@]}"
COMP_WORDS=(imagenet-cog evaluate --precision b); COMP_CWORD=3; COMPREPLY=()
_imagenet_cog_completion imagenet-cog; echo "${COMPREPLY[@]}"
"""


def test_bash_completes_by_both_names_without_torch(tmp_path):
    """The line of docs/commands.md is sourced; each Tab is a process that never imports torch."""
    for name in ("cog", "imagenet-cog"):
        program = tmp_path / name
        program.write_text(
            f"#!{sys.executable}\nimport sys\nsys.modules['torch'] = None\n"
            "from cog.__main__ import start\nstart()\n"
        )
        program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", COMPLETE], cwd=tmp_path, capture_output=True, text=True,
        timeout=HANGS_SECONDS, env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _cog_completion cog",
        "complete -o nosort -F _imagenet_cog_completion imagenet-cog",
        "knn,logreg",
        "bf16",
    ]
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert COMPLETE.splitlines()[1] in page


def test_both_names_are_one_program():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    lines = setup["options.entry_points"]["console_scripts"].strip().splitlines()
    scripts = dict(line.split(" = ") for line in lines if not line.startswith("#"))
    assert scripts.keys() == {"cog", "imagenet-cog"}
    for name, value in scripts.items():
        assert EntryPoint(name, value, "console_scripts").load() is start


@pytest.mark.parametrize("name", ["cog", "imagenet-cog"])
def test_usage_and_errors_name_the_program_that_was_typed(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)  # a script's, not pytest's
    shown = call_cog("evaluate", "--help", cwd=tmp_path, program=f"/usr/bin/{name}")
    assert shown.stdout.startswith(f"Usage: {name} evaluate ")
    refused = call_cog("evaluate", "--imagse", "x", cwd=tmp_path, program=f"/usr/bin/{name}")
    assert refused.returncode == 2
    assert f"see `{name} evaluate --help`" in refused.stderr
