"""Controls: marked rows beside a model's, at chance or at what no training gives, never ranked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import cog
import cog.evaluation.estimate
import cog.features.feeder.part
from cog.evaluation.controls import CHANGES, controlled
from cog.features.model_run import ModelRun
from cog.features.store.store import FeatureStore
from cog.probes.data import ProbeData, ProbeSettings
from cog.probes.table import PROBES
from cog.recipe import CONTROL_FAMILY, CONTROLS, Recipe, control_name, control_of
from cog.results.controls import findings_of_controls, models_only
from cog.results.summary import ranking, summary, wide, with_ranks
from cog.results.table import tidy
from tests.support.result_rows import made_rows
from tests.support.runs import call_cog, draw_images

OF_COLOURS = tuple(control_name("colours", name) for name in CONTROLS[:3])
RAW = control_name("images", "raw-pixels")


@pytest.fixture(scope="module")
def images(tmp_path_factory, wnids) -> Path:
    return draw_images(tmp_path_factory.mktemp("controls"), wnids, 12, spread=0.05)


@pytest.fixture(scope="module")
def options(images, levels_folder):
    return {
        "images": images, "levels": levels_folder, "test_per_class": 4, "min_train": 4,
        "probes": "knn,ncm", "seeds": "22", "device": "cpu", "only": "L1",
    }  # fmt: skip


@pytest.fixture(scope="module")
def plain(options, plug_in, tmp_path_factory) -> Path:
    """Results without controls."""
    out = tmp_path_factory.mktemp("plain") / "runs"
    cog.evaluate(f"{plug_in}:load", out=out, **options)
    return out


@pytest.fixture(scope="module")
def runs(options, plug_in, tmp_path_factory) -> Path:
    """Results with controls; every image is decoded once."""
    out = tmp_path_factory.mktemp("controlled") / "runs"
    decoded = []
    original = cog.features.feeder.part.decode_for
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            cog.features.feeder.part, "decode_for",
            lambda *arguments: decoded.append(1) or original(*arguments),
        )  # fmt: skip
        cog.evaluate(f"{plug_in}:load", out=out, controls=True, **options)
    assert len(decoded) == 3 * 12
    return out


def table_of(runs: Path) -> pd.DataFrame:
    return pd.read_csv(runs / "results.csv").drop(columns=["seconds"])


def test_each_model_has_its_controls_as_marked_rows(runs):
    table = table_of(runs)
    assert set(table["model"]) == {"colours", *OF_COLOURS, RAW}
    assert (table.groupby("model").size() == 2).all()
    marked = table["family"] == CONTROL_FAMILY
    assert set(table.loc[marked, "model"]) == {*OF_COLOURS, RAW}
    dim = table.drop_duplicates("model").set_index("model")["dim"]
    assert dim[RAW] == 3 * 32 * 32
    assert set(dim[[*OF_COLOURS]]) == {dim["colours"]}
    for name in OF_COLOURS:
        row = json.loads(next((runs / name / "cells").iterdir()).read_text())["row"]
        assert row["control"] == control_of(name)
        assert json.loads((runs / name / "run.json").read_text())["control"] == control_of(name)


def test_what_is_without_controls_stays_equal_to_the_byte(plain, runs):
    own = [path for path in plain.rglob("*") if path.is_file()]
    assert own
    for path in own:
        before, after = path.read_bytes(), (runs / path.relative_to(plain)).read_bytes()
        if "cells" in path.parts:
            before, after = (json.loads(each) for each in (before, after))
            before["row"]["seconds"] = after["row"]["seconds"] = 0
        # these have hashes of cells with their seconds
        sealed = {"ranks", "predictions", "mistakes.json"} & {*path.parts}
        if path.name not in ("results.csv", "run.json") and not sealed:
            assert before == after, path
    alone = models_only(table_of(runs))
    assert alone.to_csv() == table_of(plain).to_csv()


def test_only_raw_pixels_and_fresh_weights_have_features_of_their_own(runs):
    own = {path.parents[1].name for path in runs.glob("*/features/*.zarr")}
    assert own == {"colours", control_name("colours", "untrained"), RAW}


def test_they_are_taken_over_and_proved(runs, options, plug_in):
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*/cells/*")}
    cog.evaluate(f"{plug_in}:load", out=runs, controls=True, **options)
    assert {path: path.stat().st_mtime_ns for path in runs.glob("*/cells/*")} == before
    proof = cog.verify(runs, options["levels"])
    assert proof.faults == ()
    assert proof.checked["cells proved by their ranks"] == 10


def test_a_run_without_them_gets_them_later(plain, options, plug_in, tmp_path):
    out = shutil.copytree(plain, tmp_path / "runs")
    table = cog.evaluate(f"{plug_in}:load", out=out, controls=True, **options)
    assert set(table["model"]) == {"colours", *OF_COLOURS, RAW}
    kept = cog.evaluate(f"{plug_in}:load", out=out, **options)
    assert set(kept["model"]) == {"colours"}


def test_the_command_line_has_them_and_the_dry_run_counts_them(
    options, plug_in, tmp_path, monkeypatch
):
    monkeypatch.setattr(cog.evaluation.estimate, "SECONDS", 0.01)
    arguments = [
        "--model", f"{plug_in}:load", "--images", options["images"], "--levels", options["levels"],
        "--only", "L1", "--test-per-class", 4, "--min-train", 4, "--device", "cpu", "--controls",
    ]  # fmt: skip
    probes = ["--probe", "ncm", "--seeds", "22"]
    done = call_cog("evaluate", *arguments, *probes, "--dry-run", cwd=tmp_path)
    assert "cells: 0 of 5 done" in done.stdout
    assert "decoded once for 3 models" in done.stdout
    done = call_cog("extract", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 6  # three networks, training and test images
    done = call_cog("evaluate", *arguments, *probes, "--discard-features", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "NAME+CONTROL is a control" in done.stdout
    assert not list((tmp_path / "runs").glob("*/features/*.zarr"))


class Fixed(torch.nn.Module):
    """A network that learns nothing: there is nothing to draw anew."""

    def forward(self, x):
        return x.mean(3).flatten(1)


class Alone(torch.nn.Linear):
    """A network that cannot be copied."""

    def __deepcopy__(self, memo):
        raise RuntimeError("no copies")

    def forward(self, x):
        return super().forward(x.mean(2).flatten(1))


class Stubborn(torch.nn.Module):
    """A network that cannot be drawn anew."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(48, 3))

    def reset_parameters(self, how):
        raise AssertionError

    def forward(self, x):
        return x.mean(2).flatten(1) @ self.weight


class Unsteady(torch.nn.Linear):
    """A network that gives other features each time."""

    def forward(self, x):
        return super().forward(x.mean(2).flatten(1)) + torch.rand(1)


class Vanishing(torch.nn.Linear):
    """A network whose fresh features vanish in float16, or are too large for it."""

    size = 1e-12

    def reset_parameters(self):
        super().reset_parameters()
        if hasattr(self, "trained"):
            self.weight.mul_(self.size)
            self.bias.mul_(self.size)
        self.trained = True

    def forward(self, x):
        return super().forward(x.mean(2).flatten(1))


class Exploding(Vanishing):
    size = 1e12


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Fixed(), "drawing its weights anew changes nothing"),
        (Alone(48, 3), "its network cannot be copied (RuntimeError: no copies)"),
        (Stubborn(), "the network, a Stubborn, cannot be drawn anew: TypeError: "),
        (Unsteady(48, 3), "with fresh weights it fails the check 'determinism'"),
    ],
    ids=["no weights", "no copy", "no reset", "not the same twice"],
)  # fmt: skip
def test_where_no_untrained_network_can_be_made_it_is_said(network, why, options, tmp_path):
    from cog.evaluation.plan import plan_from

    model = cog.Model(network, preprocess=cog.Preprocess(resize=16, crop=16), name="mine")
    said: list[str] = []
    plan = plan_from({"model": model, "out": tmp_path, "controls": True, **options}, said.append)
    names = [model_run.model.name for model_run in plan.model_runs]
    assert control_name("mine", "untrained") not in names
    assert set(names) == {"mine", "mine+shuffled-labels", "mine+random-features", RAW}
    (line,) = [line for line in said if "no control `untrained`" in line]
    assert why in line


@pytest.mark.parametrize("network", [Vanishing, Exploding])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_fresh_features_of_any_size_are_kept(network, dtype, options, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = cog.Model(network(48, 3), preprocess=cog.Preprocess(resize=16, crop=16), name="m")
    table = cog.evaluate(model, out=tmp_path, controls=True, dtype=dtype, **options)
    store = FeatureStore.open(tmp_path / "m+untrained" / "features" / "cog_l1-train.zarr")
    x, _ = store.read()
    assert 0.01 < float(np.abs(x).max()) < 100
    assert "m+untrained" in set(table["model"])


def test_the_folder_of_a_control_of_another_model_is_refused(runs, options, plug_in, tmp_path):
    out = shutil.copytree(runs, tmp_path / "runs")
    shutil.rmtree(out / "colours")
    shutil.rmtree(out / OF_COLOURS[2])
    with pytest.raises(cog.CogError, match=r"colours\+shuffled-labels holds another model"):
        cog.evaluate(f"{plug_in}:other", out=out, name="colours", controls=True, **options)


def test_an_untrained_model_is_its_own_control(options, plug_in, tmp_path):
    from cog.evaluation.plan import plan_from

    said: list[str] = []
    given = {"model": f"{plug_in}:load", "pretrained": False, "out": tmp_path, "controls": True}
    plan_from(given | options, said.append)
    assert "colours: no control `untrained`: the model is untrained itself" in said


@pytest.mark.parametrize("given", ["timm:resnet10t", "torchvision:squeezenet1_1"])
def test_a_network_by_name_is_made_anew_with_its_preprocessing(given, tmp_path, options):
    """Its weights are never fetched for it."""
    from cog.evaluation.controls import _untrained
    from cog.evaluation.models import ModelOptions
    from cog.models.options import LoadOptions

    trained = cog.load_model(given, pretrained=False)
    with torch.no_grad():
        for parameter in trained.network.parameters():
            parameter.mul_(1.5)
    run = ModelRun(tmp_path, trained, trained.fingerprint)
    loading = ModelOptions((given,), LoadOptions(weights=tmp_path / "none.pth"))
    assert _untrained(run, given, loading, "tf32", pytest.fail) is not None  # on a CPU too
    fresh = _untrained(run, given, loading, "fp32", pytest.fail)
    assert fresh.name == control_name(trained.name, "untrained")
    assert fresh.preprocess == trained.preprocess
    assert fresh.seen_data == ""
    untrained, x = cog.load_model(given, pretrained=False), torch.rand(1, 3, 64, 64)
    assert torch.equal(fresh.embed(x), untrained.embed(x) * fresh.network.factor)


def clusters(n_classes: int, per_class: int, dim: int = 8) -> ProbeData:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(n_classes, dim))
    y = np.repeat(np.arange(n_classes), per_class)
    x = (centres[y] + 0.1 * rng.normal(size=(len(y), dim))).astype(np.float16)
    return ProbeData(x[::2], y[::2], x[1::2], y[1::2], n_classes)


@pytest.mark.parametrize("control", CHANGES)
def test_they_give_chance_where_the_features_say_all(control):
    data = clusters(n_classes=100, per_class=20)
    changed = controlled(data, control, "cog_l1")
    settings = ProbeSettings("exact", None, 22, Recipe(), "cpu")
    top1 = [PROBES["ncm"].fit(each, settings, lambda *_: None).top1 for each in (data, changed)]
    assert top1[0] > 95
    assert top1[1] < 1 + 4 * np.sqrt(99 / 100)  # chance is 1 %: 100 clusters, each right or wrong
    again = controlled(data, control, "cog_l1")
    assert np.array_equal(again.train_x, changed.train_x)
    assert np.array_equal(again.train_y, changed.train_y)


@pytest.mark.parametrize("control", CHANGES)
def test_each_dataset_has_a_draw_of_its_own(control):
    data = clusters(5, 10)
    one, other = (controlled(data, control, dataset) for dataset in ("cog_l1", "cog_l2"))
    changed = [name for name in ("train_x", "train_y", "test_x") if np.any(
        getattr(one, name) != getattr(other, name))]  # fmt: skip
    assert changed == (["train_y"] if control == "shuffled-labels" else ["train_x", "test_x"])


def test_labels_are_permuted_and_noise_has_the_shape_and_type_of_features():
    data = clusters(5, 10)
    shuffled, noise = (controlled(data, name, "cog_l1") for name in CHANGES)
    assert shuffled.train_x is data.train_x
    assert not np.array_equal(shuffled.train_y, data.train_y)
    assert np.array_equal(np.sort(shuffled.train_y), np.sort(data.train_y))
    assert np.array_equal(shuffled.test_y, data.test_y)
    assert noise.train_x.shape == data.train_x.shape
    assert noise.test_x.dtype == data.test_x.dtype
    assert abs(float(noise.train_x.std()) - 1) < 0.2
    assert controlled(data, "", "cog_l1") is data


def test_no_model_can_have_the_name_of_a_control():
    network = torch.nn.Flatten()
    model = cog.Model(network, preprocess=cog.Preprocess(), name="dino+untrained")
    assert control_of(model.name) == ""


class TestResults:
    """Rows of two models and their controls, as tables and pages show them."""

    def rows(self, **changes: float):
        models = made_rows(["a", "b"], datasets=["in1k", "cog_l1", "cog_l2"], seeds=(22, 37))
        rows = list(models)
        for row in models:
            for control, top1 in {
                "shuffled-labels": 0.12, "random-features": 0.1, "untrained": 9.0, **changes,
            }.items():  # fmt: skip
                of = "images" if control == "raw-pixels" else row["model"]
                new = row | {
                    "model": control_name(of, control), "family": CONTROL_FAMILY, "top1": top1,
                    "top5": top1, "mean_class": top1, "top1_low": top1 * 0.9,
                    "top1_high": top1 * 1.1,
                }  # fmt: skip
                rows.append(new)
        own = pd.DataFrame(rows).drop_duplicates(["model", "dataset", "seed"], ignore_index=True)
        return tidy(own.to_dict("records"))

    def test_they_have_no_rank_and_no_mean_and_change_none(self):
        table = self.rows(untrained=99.0)
        alone = models_only(table)
        assert set(alone["model"]) == {"a", "b"}
        ranked = with_ranks(summary(table))
        assert ranked[ranked["family"] == CONTROL_FAMILY]["rank"].isna().all()
        of_models = ranked[ranked["family"] != CONTROL_FAMILY].reset_index(drop=True)
        pd.testing.assert_frame_equal(of_models, with_ranks(summary(alone)))
        shown = wide(table).set_index("model")
        assert shown.loc[["a", "b"], "rank"].tolist() == wide(alone)["rank"].tolist()
        assert shown.loc["a+untrained", ["levels", "rank"]].isna().all()
        assert shown["complete"].all()
        assert set(ranking(summary(alone))["model"]) == {"a", "b"}

    def test_views_compare_and_page_leave_them_out(self, tmp_path):
        from cog.csv_text import table_as_csv
        from cog.levels.files import read_levels
        from cog.report.page_data import read_page_data

        (tmp_path / "all.csv").write_text(table_as_csv(self.rows()))
        (tmp_path / "models.csv").write_text(table_as_csv(models_only(self.rows())))
        for view in ("--ranking", "--drop"):
            printed = [
                call_cog("results", f"{name}.csv", view, cwd=tmp_path).stdout
                for name in ("all", "models")
            ]
            assert printed[0] == printed[1]
        done = call_cog("compare", "all.csv", "models.csv", cwd=tmp_path)
        assert (done.returncode, "only in" in done.stdout) == (0, False)
        data = read_page_data(tmp_path / "all.csv", read_levels())
        assert set(data.results["model"]) == {"a", "b"}

    def test_sound_controls_of_living_models_say_nothing(self):
        assert findings_of_controls(self.rows()) == []
        assert findings_of_controls(models_only(self.rows())) == []

    @pytest.mark.parametrize("control", ["shuffled-labels", "random-features"])
    def test_a_leak_is_said(self, control, tmp_path):
        found = findings_of_controls(self.rows(**{control: 3.0}))
        assert len(found) == 6  # two models, three datasets
        assert found[0].startswith(f"leak: a+{control} has 3.00 % on in1k (logreg-sgd, all images)")
        assert "chance is 0.10 %" in found[0]

    def test_a_dead_model_is_said_in_one_line_with_its_best_control(self):
        found = findings_of_controls(self.rows(**{"untrained": 9.0, "raw-pixels": 99.5}))
        assert len(found) == 2
        start = "not above a control by more than noise: a, logreg-sgd, all images: in1k "
        assert found[0].startswith(start)
        assert found[0].count("raw-pixels 99.50 %") == 3
        assert [found[0].count(name) for name in ("in1k", "cog_l1", "cog_l2")] == [1, 1, 1]

    def test_each_dataset_is_named_once_whichever_control_is_best(self):
        table = self.rows(**{"untrained": 99.0, "raw-pixels": 0.2})
        raw = table["model"] == RAW
        table.loc[raw & (table["dataset"] == "cog_l2"), ["top1", "top1_low", "top1_high"]] = 99.9
        found = findings_of_controls(table)
        for line in found:
            counts = [line.count(name) for name in ("in1k", "cog_l1", "cog_l2", "raw-pixels")]
            assert counts == [1, 1, 1, 1]

    def test_few_classes_raise_no_false_alarm(self):
        """All images of one of three classes may be right by chance under shuffled labels."""
        table = self.rows(**{"shuffled-labels": 67.0, "untrained": 9.0})
        table["n_classes"] = 3
        assert not [line for line in findings_of_controls(table) if line.startswith("leak")]

    def test_tables_for_people_say_what_they_are(self, tmp_path):
        from cog.csv_text import table_as_csv

        (tmp_path / "all.csv").write_text(table_as_csv(self.rows(**{"random-features": 3.0})))
        done = call_cog("results", "all.csv", "--format", "markdown", cwd=tmp_path)
        assert "NAME+CONTROL is a control, no model" in done.stdout
        assert "leak: a+random-features" in done.stderr
