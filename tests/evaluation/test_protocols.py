"""Protocols by name: what they fix, what they refuse, and that their results stay apart."""

from __future__ import annotations

import inspect
import json
import shutil
from dataclasses import fields

import pandas as pd
import pytest
from click.testing import CliRunner

import cog
from cog.cli.main import main
from cog.cli.protocols import protocols
from cog.errors import CogError
from cog.evaluation.options import read_options
from cog.evaluation.protocols.fixing import with_protocol
from cog.evaluation.protocols.table import PROTOCOLS
from cog.evaluation.verify.verify import verify
from cog.models.zoo import read_zoo
from cog.probes.metrics import METRICS
from cog.probes.settings import Probing
from cog.probes.table import DINO_NEIGHBOURS, PROBES
from cog.recipe import NORMS, Recipe
from cog.results.files import read_results
from tests.support.runs import draw_images

ARGUMENTS = inspect.signature(cog.evaluate).parameters


@pytest.mark.parametrize("name", PROTOCOLS)
class TestEach:
    def test_says_where_it_is_from_and_what_is_not_as_there(self, name):
        protocol = PROTOCOLS[name]
        assert protocol.name == name
        assert protocol.about
        assert "github.com/" in protocol.source
        assert all(each.endswith(".") for each in protocol.differs)

    def test_published_numbers_are_of_models_probes_and_metrics_that_are_known(self, name):
        known = read_zoo()
        for each in PROTOCOLS[name].published:
            assert each.model in known
            assert each.metric in METRICS
            assert 0 < each.value < 100
            assert each.source
            assert each.probe in (*PROBES, "")

    def test_fixes_what_is_an_option_or_a_number_of_the_recipe(self, name):
        protocol = PROTOCOLS[name]
        assert {*protocol.options} <= {*ARGUMENTS}
        assert all(ARGUMENTS[option].default is None for option in protocol.options)
        for option, value in protocol.options.items():
            assert read_options((option,), protocol.options)[option] == value  # in its read form
        assert {*protocol.recipe} <= {each.name for each in fields(Recipe)} - {*protocol.options}
        fixed = with_protocol({"protocol": name})
        assert fixed["recipe"] == Recipe(protocol=name, **protocol.recipe)
        assert with_protocol(fixed) == fixed  # given as it has it, it is no contradiction

    def test_its_probes_are_fitted_by_its_solver(self, name):
        options = PROTOCOLS[name].options
        probing = Probing(**{key: options[key] for key in ("probes", "solver") if key in options})
        for probe, solver, *_ in probing.results():
            assert probe != "logreg" or solver == options.get("solver", "sgd")
        assert options.get("norm", "l2") in NORMS

    def test_is_shown(self, name):
        shown = CliRunner().invoke(protocols, ["show", name])
        assert shown.exit_code == 0
        assert PROTOCOLS[name].source in shown.output
        numbers = [str(each.value) for each in PROTOCOLS[name].published]
        assert all(number in shown.output for number in numbers or ["none could be sourced"])
        assert f"{name}: " in CliRunner().invoke(protocols, ["list"]).output


def test_the_default_fixes_nothing_and_is_no_part_of_what_is_recorded():
    assert (PROTOCOLS["cog"].options, PROTOCOLS["cog"].recipe) == ({}, {})
    assert "protocol" not in Recipe().recorded()
    assert Recipe(protocol="dino-knn").recorded()["protocol"] == "dino-knn"
    assert with_protocol({"solver": "lbfgs"}) == {"solver": "lbfgs", "recipe": Recipe()}


def test_what_contradicts_a_protocol_is_refused_and_named():
    with pytest.raises(CogError, match="expected probes knn-10,knn-20,knn-100,knn-200, found knn"):
        with_protocol({"protocol": "dino-knn", "probes": "knn"})
    with pytest.raises(CogError, match="expected shots all, found 1,all"):
        with_protocol({"protocol": "dino-knn", "shots": "1,all"})
    with pytest.raises(CogError, match=r"knn_temperature 0.07 in the recipe, found 0.1"):
        with_protocol({"protocol": "dino-knn", "recipe": Recipe(knn_temperature=0.1)})
    with pytest.raises(CogError, match="expected protocol dino-knn in the recipe, found other"):
        with_protocol({"protocol": "dino-knn", "recipe": Recipe(protocol="other")})
    with pytest.raises(CogError, match="unknown protocol 'dino'") as caught:
        with_protocol({"protocol": "dino"})
    assert "dino-knn" in caught.value.hint


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("protocols")
    for part in ("train", "test"):
        draw_images(root / "own" / part, ("a", "b", "c"), 6, spread=0.2)
    return root


@pytest.fixture(scope="module")
def evaluate(root, plug_in):
    """`cog evaluate` with more options."""

    def run(*more):
        words = ["--dataset", f"own={root / 'own'}", "--seeds", "22", "--device", "cpu"]
        command = ["evaluate", "--model", f"{plug_in}:load", *words, *more]
        main([str(word) for word in command], standalone_mode=False)

    return run


@pytest.fixture(scope="module")
def runs(root, evaluate):
    """Folders with results of two protocols."""
    evaluate("--probe", "knn", "--out", root / "ours")
    evaluate("--protocol", "dino-knn", "--out", root / "knn")
    return root


def test_each_k_has_its_rows_and_all_say_their_protocol(runs):
    rows = pd.read_csv(runs / "knn" / "results.csv")
    assert rows["probe"].tolist() == [f"knn-{k}" for k in sorted(DINO_NEIGHBOURS, key=str)]
    assert set(rows["protocol"]) == {"dino-knn-1"}
    assert rows["n_validation"].tolist() == [0] * 4
    run = json.loads((runs / "knn" / "colours" / "run.json").read_text())
    assert run["recipe"]["protocol"] == "dino-knn"
    assert set(pd.read_csv(runs / "ours" / "results.csv")["protocol"]) == {"cog-1"}
    assert (
        "protocol" not in json.loads((runs / "ours" / "colours" / "run.json").read_text())["recipe"]
    )
    for name in ("knn", "ours"):
        assert not verify(runs / name).faults


def test_the_command_line_tells_what_is_typed_from_what_is_the_default(runs, evaluate):
    with pytest.raises(CogError, match=r"expected probes .* found logreg,knn,ncm,retrieval"):
        evaluate("--protocol", "dino-knn", "--out", runs / "none",
                 "--probe", "logreg,knn,ncm,retrieval")  # fmt: skip
    assert not (runs / "none").exists()


@pytest.mark.parametrize(("out", "asked"), [("knn", "cog"), ("ours", "dino-knn")])
def test_a_folder_with_results_of_another_protocol_is_refused_before_work(
    runs, evaluate, out, asked, monkeypatch
):
    monkeypatch.setattr("cog.evaluation.plan.load_models", lambda *_: pytest.fail("work began"))
    with pytest.raises(CogError, match="never share a table"):
        evaluate("--protocol", asked, "--out", runs / out)


def test_results_of_two_protocols_share_no_table(runs, tmp_path):
    tables = [pd.read_csv(runs / name / "results.csv", dtype=str) for name in ("ours", "knn")]
    joined = tmp_path / "joined.csv"
    pd.concat(tables).to_csv(joined, index=False)
    for command in (["results"], ["report"]):
        with pytest.raises(CogError, match="of the protocols cog, dino-knn, which never share"):
            main([*command, str(joined)], standalone_mode=False)
    with pytest.raises(CogError, match="two runs: results of the protocols cog, dino-knn"):
        main(["compare", str(runs / "ours"), str(runs / "knn")], standalone_mode=False)
    assert len(read_results(joined, ["protocol=cog-1"])) == 1  # one of them may be chosen
    shutil.copytree(runs / "ours", tmp_path / "runs")
    shutil.copytree(runs / "knn" / "colours", tmp_path / "runs" / "other")
    with pytest.raises(CogError, match="of the protocols cog, dino-knn, which never share"):
        read_results(tmp_path / "runs")
    assert len(read_results(tmp_path / "runs", ["protocol=dino-knn-1"])) == 4


def test_features_of_one_protocol_may_be_taken_to_another(runs, evaluate, tmp_path, monkeypatch):
    """As docs/protocols.md says: copy the folder `features`; nothing is made again."""
    for part in ("features",):
        shutil.copytree(runs / "ours" / "colours" / part, tmp_path / "knn" / "colours" / part)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "knn").rglob("c/0/0")}
    evaluate("--protocol", "dino-knn", "--out", tmp_path / "knn")
    assert before
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "knn").rglob("c/0/0")}
    expected = pd.read_csv(runs / "knn" / "results.csv")["top1"].tolist()
    assert pd.read_csv(tmp_path / "knn" / "results.csv")["top1"].tolist() == expected


def test_features_alone_are_made_in_a_folder_of_any_protocol(runs, root, plug_in, tmp_path):
    """As they are the same in all; run.json stays that of the results."""
    out = shutil.copytree(runs / "knn", tmp_path / "knn")
    shutil.rmtree(out / "colours" / "features")
    words = ["extract", "--model", f"{plug_in}:load", "--dataset", f"own={root / 'own'}"]
    main([*map(str, words), "--device", "cpu", "--out", str(out)], standalone_mode=False)
    assert (out / "colours" / "features" / "own-train.zarr").is_dir()
    recipe = json.loads((out / "colours" / "run.json").read_text())["recipe"]
    assert recipe == json.loads((runs / "knn" / "colours" / "run.json").read_text())["recipe"]
    assert not verify(out).faults


LOGISTIC = ("trex-transfer", "dinov2-logreg", "mae-linear")


@pytest.mark.parametrize("name", LOGISTIC)
def test_a_run_by_a_protocol_is_proved(name, root, evaluate):
    evaluate("--protocol", name, "--out", root / name)
    (row,) = pd.read_csv(root / name / "results.csv", keep_default_na=False).to_dict("records")
    assert (row["protocol"], row["norm"]) == (f"{name}-1", "none")
    assert row["probe"] == PROTOCOLS[name].options["probes"][0]
    assert not verify(root / name).faults


def test_a_protocol_evaluates_all_sets_of_a_suite_and_says_so(tmp_path, root, evaluate, capsys):
    """Their split stays that of the suite."""
    shutil.copytree(root / "own" / "train", tmp_path / "data" / "drawn")
    (tmp_path / "one.toml").write_text(
        'about = "a set"\n[protocols.p]\nabout = "by lbfgs"\nsolver = "lbfgs"\nc = [1, 10]\n'
        'test_per_class = 2\n[sets.drawn]\nsource = "drawn"\nprotocol = "p"\n'
    )
    evaluate("--suite", tmp_path / "one.toml", "--data", tmp_path / "data", "--only", "drawn",
             "--protocol", "dino-knn", "--out", tmp_path / "runs")  # fmt: skip
    assert "drawn: evaluated by dino-knn, not as their suite says within cog" in (
        " ".join(capsys.readouterr().err.split())
    )
    rows = pd.read_csv(tmp_path / "runs" / "results.csv")
    assert set(rows["dataset"]) == {"drawn"}
    assert set(rows["protocol"]) == {"dino-knn-1"}
    assert set(rows["n_test"]) == {2 * 3}
    assert not verify(tmp_path / "runs").faults


def test_features_alone_are_probed_by_a_protocol(runs, capsys):
    stores = [
        str(runs / "ours/colours/features" / f"own-{part}.zarr") for part in ("train", "test")
    ]
    words = ["probe", "--train", stores[0], "--test", stores[1], "--device", "cpu", "--json"]
    main([*words, "--protocol", "dino-knn"], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)
    expected = pd.read_csv(runs / "knn" / "results.csv").set_index("probe")["top1"].to_dict()
    assert {row["probe"]: row["top1"] for row in rows} == expected
    assert {row["protocol"] for row in rows} == {"dino-knn-1"}
    main([*words, "--seeds", "22", "--probe", "ncm"], standalone_mode=False)
    assert "protocol" not in json.loads(capsys.readouterr().out)[0]
    with pytest.raises(CogError, match="found logreg"):
        main([*words, "--protocol", "dino-knn", "--probe", "logreg"], standalone_mode=False)
