"""`cog evaluate --suite`: each set by its own protocol, and what is missing stops the run."""

from __future__ import annotations

import json
import shutil
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cog.cli.main import main
from cog.datasets.dataset import DatasetOptions, Named
from cog.datasets.suites.at_root import needed, with_suites
from cog.datasets.suites.suite import read_suite
from cog.errors import CogError
from cog.evaluation.verify.verify import verify
from cog.hashes import short_hash
from cog.results.mixing import refuse_mixed
from cog.results.suites import read_suites
from tests.support.runs import draw_images

SUITE = """
about = "two sets of one kind, and one that is elsewhere"
[protocols.small]
about = "L-BFGS on features as they are"
solver = "lbfgs"
norm = "none"
c = [0.01, 1]
[sets.birds]
source = "birds"
protocol = "small"
metric = "mean_class"
[sets.fish]
source = "fish"
[sets.lost]
source = "lost"
[test_sets."fish/drawn"]
source = "drawn"
[test_sets."lost/drawn"]
source = "drawn"
[test_sets."fish/gone"]
source = "gone"
"""
LEFT_OUT = {"three": ("fish/gone", "lost", "lost/drawn")}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    for name in ("birds", "fish"):
        for part in ("train", "test"):
            draw_images(root / name / part, ("a", "b", "c"), 6, spread=0.2)
    draw_images(root / "drawn", ("a", "b", "c"), 4, spread=0.4)
    (root / "three.toml").write_text(SUITE)
    return root


@pytest.fixture(scope="module")
def runs(root, plug_in):
    words = ["--suite", root / "three.toml", "--data", root, "--allow-missing", "--seeds", "22"]
    command = ["evaluate", "--model", f"{plug_in}:load", "--probe", "ridge,logreg", *words]
    main([str(word) for word in [*command, "--out", root / "runs"]], standalone_mode=False)
    return root / "runs"


def test_each_set_is_evaluated_by_its_protocol(runs):
    rows = pd.read_csv(runs / "results.csv", keep_default_na=False)
    solvers = {(row.dataset, row.probe): row.solver for row in rows.itertuples()}
    assert solvers[("birds", "logreg")] == "lbfgs"
    assert solvers[("fish", "logreg")] == "sgd"
    assert set(rows.loc[rows["dataset"] == "birds", "norm"]) == {"none"}
    assert set(rows.loc[rows["dataset"] == "birds", "metric"]) == {"mean_class"}
    cell = json.loads((runs / "colours/cells/birds--logreg-lbfgs--all--22.json").read_text())
    tried = [trial["wd"] for trial in cell["trials"]]
    wanted = 1 / (np.array([1e-2, 10**-1.5, 1e-1, 10**-0.5, 1]) * 18)  # 1 / (C · n)
    np.testing.assert_allclose(tried, wanted[: len(tried)])
    recipes = json.loads((runs / "colours/run.json").read_text())["recipes"]
    assert list(recipes) == ["birds"]
    assert cell["hashes"]["recipe_hash"] == short_hash(recipes["birds"])
    assert not verify(runs).faults


def test_means_say_what_the_run_left_out_and_joined(runs):
    done = CliRunner().invoke(main, ["results", str(runs), "--wide"])
    table = pd.read_csv(StringIO(done.stdout), keep_default_na=False).set_index("probe")
    assert set(table["partial"]) == {"domains tasks"}
    assert set(table["mixed"]) == {"tasks"}
    assert "fish/gone, lost, lost/drawn of the suite three were missing" in done.stderr
    assert "birds by lbfgs, norm none: L-BFGS on features as they are; fish by sgd" in done.stderr
    assert read_suites(runs).left_out == LEFT_OUT


def test_sets_of_other_protocols_stand_in_one_table_but_not_two_of_one_set(runs):
    rows = pd.read_csv(runs / "results.csv", keep_default_na=False)
    refuse_mixed(rows)
    other = rows[rows["dataset"] == "birds"].assign(model="m", recipe_hash="other")
    with pytest.raises(CogError, match="recipe_hash of birds differs"):
        refuse_mixed(pd.concat([rows, other], ignore_index=True))


def options(root, *suites, **more):
    return DatasetOptions(suites=tuple(map(str, suites)), data=root, **more)


def test_missing_sets_stop_the_run_with_their_list(root):
    with pytest.raises(CogError) as error:
        with_suites(options(root, root / "three.toml"))
    assert f"missing in {root}: fish/gone: gone; lost: lost" in error.value.what
    assert "--allow-missing" in error.value.hint
    found, notes = with_suites(options(root, root / "three.toml", allow_missing=True))
    assert [each.name for each in found.datasets] == ["birds", "fish"]
    named = ", ".join(LEFT_OUT["three"])
    assert f"3 of 6 sets are missing ({named}): means over its sets are partial" in notes[0]
    assert found.test_sets == (Named("fish/drawn", str(root / "drawn")),)
    assert found.left_out == tuple(("three", name) for name in LEFT_OUT["three"])


def test_only_and_dataset_decide_which_sets_there_must_be(root):
    suite = root / "three.toml"
    gone = Named("fish/gone", "/elsewhere")
    found, notes = with_suites(options(root, suite, only=("Fish",), test_sets=(gone,)))
    assert ([each.name for each in found.datasets], found.protocols, notes) == (["fish"], (), ())
    assert found.test_sets == (gone, Named("fish/drawn", str(root / "drawn")))
    lost = (Named("lost", "/elsewhere"),)
    found, notes = with_suites(options(root, suite, datasets=lost, test_sets=(gone,)))
    assert [each.name for each in found.datasets] == ["lost", "birds", "fish"]
    assert [each.name for each in found.test_sets] == ["fish/gone", "fish/drawn", "lost/drawn"]
    assert not notes


def test_a_set_may_be_a_pattern_of_files_and_begin_as_levels_do(root, tmp_path):
    (tmp_path / "own.toml").write_text(
        'about = ""\n[sets.cog_own]\nsource = "x-*.tar"\n[sets.other]\nsource = "gone"\n'
    )
    (tmp_path / "x-1.tar").touch()
    found, _ = with_suites(options(tmp_path, tmp_path / "own.toml", only=("cog_own",)))
    assert found.datasets == (Named("cog_own", str(tmp_path / "x-*.tar")),)


def test_two_suites_may_share_a_set_but_not_under_two_protocols(root):
    twin, other = root / "twin.toml", root / "other.toml"
    shutil.copy(root / "three.toml", twin)
    found, _ = with_suites(options(root, root / "three.toml", twin, only=("birds",)))
    assert len(found.datasets) == 1
    other.write_text(SUITE.replace("c = [0.01, 1]", "c = [0.01, 2]"))
    with pytest.raises(CogError, match="other protocols for birds"):
        with_suites(options(root, twin, other, only=("birds",)))


def test_the_benchmark_s_own_sets_become_its_options(root):
    for name in ("imagenet/train", "imagenet/val"):
        (root / name).mkdir(parents=True)
    found, _ = with_suites(options(root, "cog", images=root / "elsewhere"))
    assert (found.in1k, found.images, found.datasets) == (
        root / "imagenet", root / "elsewhere", ()
    )  # fmt: skip
    levels, _ = with_suites(options(root, "cog", only=("in1k",)))
    assert (levels.in1k, levels.images) == (root / "imagenet", None)


def test_shift_takes_the_published_folders_and_lists(tmp_path):
    suite = read_suite("shift")
    for each in suite.every.values():
        for path in map(tmp_path.joinpath, needed(each)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if path.suffix in (".txt", ".json") else path.mkdir(exist_ok=True)
    found, notes = with_suites(options(tmp_path, "shift"))
    assert (found.in1k, notes, found.left_out) == (tmp_path / "imagenet", (), ())
    assert found.datasets == (Named("real", f"{tmp_path}/domainnet/real_train.txt"),)
    assert {each.name for each in found.test_sets} == set(suite.test_sets)
    assert dict(found.test_sets)["in1k/real"] == f"{tmp_path}/reassessed-imagenet/real.json"
    assert dict(found.test_sets)["real/sketch"] == f"{tmp_path}/domainnet/sketch_test.txt"
    (tmp_path / "domainnet/real_test.txt").unlink()
    with pytest.raises(CogError, match=r"real: domainnet/real_test\.txt"):
        with_suites(options(tmp_path, "shift"))
    found, (note,) = with_suites(options(tmp_path, "shift", allow_missing=True))
    assert "6 of 12 sets are missing (real, real/clipart, real/infograph" in note
    assert not found.datasets
    assert len(found.test_sets) == 5


@pytest.mark.parametrize(
    ("given", "said"), [({"suites": ("cog",)}, "needs the folder"), ({"data": "x"}, "give --suite")]
)
def test_suite_and_data_go_together(given, said):
    with pytest.raises(CogError, match=said):
        with_suites(DatasetOptions(**given))
