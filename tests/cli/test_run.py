"""`cog run`: a plan in a file is the command that has the same options."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path

import click
import pandas as pd
import pytest
from click.testing import CliRunner

from cog.cli.evaluate import evaluate
from cog.cli.main import main
from cog.cli.plan_file import given_values, keys_of, plan_text, read_plan, words_of
from cog.cli.run import run
from cog.errors import CogError
from cog.models.zoo import read_zoo
from tests.support.runs import draw_images

KEYS = keys_of(evaluate)


def typed(option: click.Option) -> list[str]:
    """Words that give an option another value than its default."""
    name = option.opts[0]
    if option.is_flag:
        return [option.secondary_opts[0] if option.default is True else name]
    value = "7" if isinstance(option.type, click.IntRange) else 'a "b"/ü\x7f\t=c'
    return [name, value] * (2 if option.multiple else 1)


def cog(*words) -> str:
    """What a command prints."""
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    return done.stdout


def cog_error(*words) -> CogError:
    with pytest.raises(CogError) as caught:
        main([str(word) for word in words], standalone_mode=False)
    return caught.value


@pytest.mark.parametrize("key", KEYS)
def test_every_option_of_evaluate_is_a_key_and_comes_back_from_its_plan(key, tmp_path):
    option = KEYS[key]
    words = [*typed(option), *([] if key == "model" else ["--model", "dino"])]
    given = given_values(run.make_context("run", list(words)), evaluate)
    assert given.keys() == {key, "model"}
    plan = tmp_path / "plan.toml"
    plan.write_text(plan_text(given, evaluate), "utf-8")
    found = read_plan(plan, evaluate)
    assert found == given
    wanted = evaluate.make_context("evaluate", list(words)).params
    assert evaluate.make_context("evaluate", words_of(found, evaluate)).params == wanted
    assert wanted[option.name] != option.default


def test_how_one_command_runs_is_typed():
    plain = {each.name for each in evaluate.params}
    assert plain - {option.name for option in KEYS.values()} == {"dry_run", "worker"}
    assert {each.name for each in run.params} == plain | {"plans", "shown"}


def test_lists_tables_and_single_values_are_what_one_would_type(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text('model = "dino"\nshots = ["all", 1]\nseeds = 22\n[dataset]\n"a" = "b"\n')
    assert words_of(read_plan(plan, evaluate), evaluate) == [
        "--model=dino", "--shots=all,1", "--seeds=22", "--dataset=a=b",
    ]  # fmt: skip


def test_paths_of_a_home_are_what_a_shell_makes_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    plan = tmp_path / "plan.toml"
    plan.write_bytes(
        b'\xef\xbb\xbfmodel = ["~/my.py:load", "dino"]\r\nimages = "~/a"\r\nout = "~"\r\n'
    )
    values = read_plan(plan, evaluate)
    assert words_of(values, evaluate) == [
        "--model=/home/ada/my.py:load", "--model=dino", "--images=/home/ada/a", "--out=/home/ada",
    ]  # fmt: skip
    assert 'images = "~/a"' in plan_text(values, evaluate)


@pytest.mark.parametrize(
    ("text", "said"),
    {
        'modell = "dino"': "unknown key of the plan {}: 'modell'\nnearest: model",
        'model = "dino"\nshots = "0"': "{}: shots cannot be '0'\ngive a list such as all,1,2,4",
        'model = "dino"\nprobe = "knnn"': "{}: unknown probe 'knnn'\nnearest: knn",
        'model = "dino"\ntest-per-class = 0': "{}: Invalid value for '--test-per-class': 0 is not",
        'model = "dino"\ncontrols = "yes"': "{}: controls: expected true or false, found 'yes'",
        "model = 3": "{}: model: expected a text or a list of texts, found 3",
        "dataset = { a = 3 }": "{}: dataset: expected a text or a list of texts, or a table",
        "suite = { a = 'b' }": "{}: suite: expected a text or a list of texts, found",
        "out = ['a', 'b']": "{}: out: expected a text or a number, found",
        "shots = [true]": "{}: shots: expected a list of texts or numbers, found",
        'worker = "1/2"': "{}: worker is no part of a plan\ntype cog run {} --worker",
        'solver = "sgd"': "{}: Missing option '--model'",
        'model = "dinoo"': "{}: unknown model 'dinoo'\nnearest: dino",
        'model = "dino"\nsuite = "cogg"': "{}: unknown suite 'cogg'\nnearest: cog",
        'model = "dino"\nlog = "wandbb"': "{}: unknown tracker 'wandbb'\nnearest: wandb",
        '[dataset]\na = "b"\nseeds = [1]': "{}: seeds stands below [dataset], which makes it",
        '[test-set]\nin1k.v2 = "b"': "{}: test-set: expected a text or a list of texts",
        "model = [": "{} is no plan: ",
    }.items(),
)
def test_what_is_wrong_in_a_plan_is_said_with_its_file(text, said, tmp_path):
    plan, sound = tmp_path / "plan.toml", tmp_path / "sound.toml"
    plan.write_text(text)
    sound.write_text('model = "./none.py:load"')  # it is not begun before all are read
    assert str(cog_error("run", sound, plan)).startswith(said.replace("{}", str(plan)))


def test_plans_of_two_protocols_share_no_out(tmp_path):
    (tmp_path / "sub").mkdir()
    plans = [tmp_path / "cog.toml", tmp_path / "sub" / "knn.toml"]
    plans[0].write_text('model = "./none.py:load"\nimages = "."')
    for out, said in (("../runs/", "with one out"), ("runs", "no file none.py")):
        plans[1].write_text(f'model = "dino"\nprotocol = "dino-knn"\nout = "{out}"')
        with chdir(tmp_path):
            assert said in cog_error("run", "cog.toml", "sub/knn.toml").what


def test_what_stops_a_plan_later_is_said_with_its_file(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text('model = "./none.py:load"\nimages = "."')
    assert str(cog_error("run", plan)).startswith(f"{plan}: no file none.py")


def test_a_plan_is_asked_for():
    assert cog_error("run").what == "expected a plan, found none"
    assert cog_error("run", "--print", "a", "b").what == "expected one plan, found 2"
    for words in (["--dry-run"], ["--worker", "0/2"]):
        said = cog_error("run", "--print", "--model", "dino", *words).what
        assert said == f"{words[0]} is no part of a plan"
    with pytest.raises(click.UsageError, match="Missing option '--model'") as caught:
        main(["run", "--print"], standalone_mode=False)
    assert caught.value.ctx.command_path.endswith("run")
    assert "none.toml cannot be read (No such file" in cog_error("run", "none.toml").what


def test_what_is_printed_is_the_plan_of_the_command(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(cog("run", "--print", "--model", "dino", "--suite", "cog", "--shots", "all,1"))
    assert read_plan(plan, evaluate) == {"model": ["dino"], "suite": ["cog"], "shots": "all,1"}
    with chdir(tmp_path):
        again = cog("run", "--print", "plan.toml")
    assert again == plan.read_text()
    assert '\n# solver = "sgd"\n' in again
    assert '\nshots = "2"\n' in cog("run", "--print", plan, "--shots", "2")


def test_what_is_typed_elsewhere_keeps_its_path(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "cog").mkdir()
    plan = tmp_path / "sub" / "plan.toml"
    plan.write_text('model = "dino"\nimages = "here"')
    with chdir(tmp_path):
        shown = cog("run", "--print", plan, "--images", "photos", "--out", "s3://b/r")
        said = cog_error("run", plan, "--dataset", "a=photos")
        assert f'images = "{tmp_path}/photos"\n' in shown
        assert 'out = "s3://b/r"\n' in shown
        assert said.hint == f"give --dataset a={tmp_path}/photos"
        assert 'suite = ["cog"]' in cog("run", "--print", plan, "--suite", "cog")
        assert shown.startswith(f"# Paths are relative to {tmp_path}/sub.\n")
    with chdir(plan.parent):
        assert '\nimages = "photos"\n' in cog("run", "--print", plan, "--images", "photos")


def test_plans_share_one_out_as_commands_do_and_have_paths_from_their_folder(tmp_path, plug_in):
    papers = tmp_path / "papers"
    for part in ("train", "test"):
        draw_images(papers / "own" / part, ("a", "b"), 3, spread=0.2)
    common = 'probe = ["ncm"]\nseeds = [22]\ndevice = "cpu"\nout = "runs"\n[dataset]\nown = "own"\n'
    for name, function in (("one", "load"), ("two", "another")):
        (papers / f"{name}.toml").write_text(
            f"model = {json.dumps(f'{plug_in}:{function}')}\n{common}"
        )
    with chdir(tmp_path):
        said = cog("run", papers / "one.toml", "papers/two.toml")
    assert f"{papers / 'runs'}" in said.splitlines()[-1]
    table = (papers / "runs" / "results.csv").read_bytes()
    assert pd.read_csv(papers / "runs" / "results.csv")["model"].nunique() == 2
    cells = {path: path.stat().st_mtime_ns for path in papers.glob("runs/*/cells/*.json")}
    assert len(cells) == 2
    with chdir(papers):
        words = ["--probe", "ncm", "--seeds", "22", "--device", "cpu", "--dataset", "own=own"]
        cog("evaluate", "--model", f"{plug_in}:load", *words)
    assert {path: path.stat().st_mtime_ns for path in cells} == cells  # it found them done
    assert (papers / "runs" / "results.csv").read_bytes() == table


def test_the_plan_of_the_paper_has_its_31_models():
    plan = read_plan(Path(__file__).parents[2] / "examples" / "paper.toml", evaluate)
    assert sorted(plan["model"]) == sorted(row.name for row in read_zoo().values() if row.benchmark)
