"""`--refit-shots LIST`: heads that are refitted on images of a test set's own domain."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

import cog
from cog.evaluation.applying import apply_head, read_named
from cog.evaluation.probing import probe_features
from cog.evaluation.verify.verify import verify
from cog.features.exchange import FeatureSet
from cog.features.store.store import FeatureStore
from cog.probes.settings import Probing
from cog.recipe import Recipe
from cog.results.axes import axis_means
from cog.results.summary import wide
from tests.support.colour_images import COLOURS, draw_own, quarters
from tests.support.colour_images import draw_colours as draw

SETTINGS = {"probes": "ncm,logreg,knn,retrieval", "solver": "lbfgs", "seeds": "22", "device": "cpu"}
SAME = {name: name for name in COLOURS}


@pytest.fixture(scope="module")
def model() -> cog.Model:
    """A model whose features are the mean colour of four quarters."""
    return quarters()


def negatives(root: Path) -> Path:
    """Makes the images below a folder negatives, another domain of the same classes."""
    for path in root.rglob("*.png"):
        ImageOps.invert(Image.open(path)).save(path)
    return root


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Colours, and their negatives: in two parts, in one, and in lists as DomainNet's."""
    root = tmp_path_factory.mktemp("domains")
    draw_own(root, SAME, 12, 4, 60)
    draw(root / "negatives" / "train", SAME, 10, 60, 3)
    draw(root / "negatives" / "test", SAME, 5, 60, 4)
    draw(root / "flat", SAME, 11, 60, 5)
    for part, count in (("train", 10), ("test", 5)):
        lines = [f"negatives/{part}/{name}/{number}.png {label}\n"
                 for label, name in enumerate(COLOURS) for number in range(count)]  # fmt: skip
        (root / f"dark_{part}.txt").write_text("".join(lines))
    negatives(root / "negatives")
    negatives(root / "flat")
    return root


def evaluate(model, images: Path, out: Path, refit_shots: str, **more: object) -> pd.DataFrame:
    sets = {"own/dark": images / "dark_test.txt", "own/flat": images / "flat"}
    return cog.evaluate(
        model,
        datasets={"own": images / "own"},
        test_sets=sets,
        refit_shots=refit_shots,
        out=out,
        **SETTINGS | more,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, images, model) -> tuple[Path, pd.DataFrame]:
    out = tmp_path_factory.mktemp("refits") / "runs"
    return out, evaluate(model, images, out, "3,all")


def one(table: pd.DataFrame, test_set: str, probe: str, shots: object) -> pd.Series:
    keys = ("test_set", "probe", "shots"), (test_set, probe, shots)
    (at,) = table[np.logical_and.reduce([table[k] == v for k, v in zip(*keys, strict=True)])].index
    return table.loc[at]


def listed(out: Path, part: str, name: str) -> list[tuple[str, int]]:
    """The images of a split, as it is recorded, with their labels."""
    lines = (out / "splits" / part / f"{name}.txt").read_text().splitlines()
    return [(line.rpartition(" ")[0], int(line.rpartition(" ")[2])) for line in lines]


def of_lines(out: Path, lines: list[tuple[str, int]], store: str, of: list[tuple[str, int]]):
    """Features and labels of the lines of a split; `of`: the lines of the store."""
    x, _ = FeatureStore.open(out / "quarters" / "features" / f"{store}.zarr").read()
    rows = [path for path, _ in of]
    at = [rows.index(path) for path, _ in lines]
    return x[at], np.array([label for _, label in lines])


def parts(out: Path, test_set: str) -> tuple[FeatureSet, FeatureSet]:
    """The features that a refit learns from, and those that test it, by the recorded lists."""
    trains, tests = (listed(out, part, f"own@{test_set}+refit") for part in ("train", "test"))
    whole = listed(out, "test", f"own@{test_set}")
    if test_set == "flat":
        train = of_lines(out, trains, "own@flat-test", whole)
    else:
        train = of_lines(out, trains, f"own@{test_set}+refit-train", trains)
    test = of_lines(out, tests, f"own@{test_set}-test", whole)
    return FeatureSet(*train, "train"), FeatureSet(*test, "test")


@pytest.mark.parametrize("test_set", ["dark", "flat"])
def test_a_refit_is_a_probe_on_the_images_that_are_recorded(run, test_set):
    out, table = run
    train, test = parts(out, test_set)
    assert len(train.y) == {"dark": 120, "flat": 60}[test_set]
    assert len(test.y) == {"dark": 60, "flat": 72}[test_set]
    probing = Probing(("ncm", "logreg", "knn"), "lbfgs", (3, None), seeds=(22,))
    for wanted in probe_features(train, test, probing, Recipe(), "cpu"):
        found = one(table, f"{test_set}+refit", wanted["probe"], wanted["shots"])
        names = ["top1", "top5", "top1_low", "n_train", "n_validation", "n_test", "n_classes"]
        assert found[names].to_dict() == {name: wanted[name] for name in names}


@pytest.mark.parametrize("test_set", ["dark", "flat"])
def test_it_agrees_with_scikit_learn(run, test_set):
    """The nearest mean of unit features, by cosine."""
    from sklearn.neighbors import NearestCentroid
    from sklearn.preprocessing import normalize

    out, table = run
    train, test = parts(out, test_set)
    fitted = NearestCentroid().fit(normalize(train.x.astype(np.float64)), train.y)
    outputs = normalize(test.x.astype(np.float64)) @ normalize(fitted.centroids_).T
    right = 100 * (outputs.argmax(1) == test.y).mean()
    assert one(table, f"{test_set}+refit", "ncm", "all")["top1"] == pytest.approx(right)


def test_no_image_trains_and_tests(run):
    out, _ = run
    trains, tests = (listed(out, part, "own@flat+refit") for part in ("train", "test"))
    assert not {*trains} & {*tests}
    assert {*trains} | {*tests} == {*listed(out, "test", "own@flat")}
    assert np.bincount([label for _, label in trains]).tolist() == [5] * 12
    same = listed(out, "test", "own@dark+refit")
    assert same == listed(out, "test", "own@dark")


def test_a_refitted_head_beats_that_of_the_source_domain(run):
    _, table = run
    for test_set in ("dark", "flat"):
        source = one(table, test_set, "logreg", "all")["top1"]
        few = one(table, f"{test_set}+refit", "logreg", 3)["top1"]
        full = one(table, f"{test_set}+refit", "logreg", "all")["top1"]
        assert source < 30 < 50 < few
        assert few - 10 < full
    own = table[table["test_set"].str.endswith("+refit")]
    assert set(own["dataset"]) == {"own"}
    assert set(own["probe"]) == {"ncm", "logreg", "knn"}  # retrieval fits nothing
    assert set(own["split"]) == {"refit on its training part", "refit on a half"}


def test_images_are_decoded_once(run):
    out, _ = run
    names = {path.name for path in (out / "quarters" / "features").iterdir()}
    assert names == {
        "own-train.zarr", "own-test.zarr", "own@dark-test.zarr", "own@flat-test.zarr",
        "own@dark+refit-train.zarr",
    }  # fmt: skip
    heads = {path.name for path in (out / "quarters" / "heads").iterdir()}
    assert "own@flat+refit--logreg-lbfgs--3--22.safetensors" in heads
    assert "own--logreg-lbfgs--3--22.safetensors" not in heads


def test_it_is_said_where_a_refitted_head_meets_its_own_images(run):
    folder, said = run[0] / "quarters", []
    for fit, note in (("own@flat+refit", True), ("own", False)):
        head = folder / "heads" / f"{fit}--ncm-exact--all--22.safetensors"
        test = read_named(folder / "features" / "own@flat-test.zarr")
        _, row = apply_head(head, test, "cpu", said.append)
        assert row["n_test"] == 132
        text = "some images of own@flat-test may have trained this head"
        assert any(line.startswith(text) for line in said) == note
        said.clear()


def test_more_shots_keep_what_is_done(run, images, model):
    out, table = run
    before = {path: path.stat().st_mtime_ns for path in out.rglob("cells/*.json")}
    again = evaluate(model, images, out, "3,4,all")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(again) == len(table) + 2 * 3
    assert not verify(out).faults


def test_cog_verify_sees_another_draw(run):
    out, _ = run
    assert not verify(out).faults
    file = out / "splits" / "train" / "own@flat+refit.txt"
    before = file.read_text()
    file.write_text("".join(before.splitlines(keepends=True)[1:]))
    faults = {fault.file for fault in verify(out).faults}
    file.write_text(before)
    assert any("own@flat+refit" in where for where in faults)
    assert not any("own@dark" in where for where in faults)


def test_features_that_were_removed_are_made_again(tmp_path, images, model):
    probes = {"probes": "ncm", "discard_features": True}
    first = evaluate(model, images, tmp_path, "3", **probes)
    second = evaluate(model, images, tmp_path, "3,all", **probes)
    both = second.merge(first, on=["test_set", "shots", "top1"])
    assert len(both) == len(first) == 5
    assert len(second) == 7
    assert not list(tmp_path.glob("*/features/*.zarr"))
    assert not verify(tmp_path).faults


def test_a_class_without_images_to_refit_on_is_left_out_if_asked(tmp_path, images, model):
    few = tmp_path / "few"
    shutil.copytree(images / "negatives", few)
    shutil.rmtree(few / "train" / "c03")
    options = {
        "model": model, "datasets": {"own": images / "own"}, "test_sets": {"own/few": few},
        "refit_shots": "all", "out": tmp_path / "runs", **SETTINGS, "probes": "ncm",
    }  # fmt: skip
    with pytest.raises(cog.CogError, match="own/few: 1 of 12 classes have no images to refit"):
        cog.evaluate(**options)
    table = cog.evaluate(**options, allow_missing=True).set_index("test_set")
    assert table["n_classes"].to_dict() == {"": 12, "few": 12, "few+refit": 11}
    assert table["n_test"].to_dict() == {"": 48, "few": 60, "few+refit": 55}
    assert table["complete"].to_dict() == {"": True, "few": True, "few+refit": False}
    assert not verify(tmp_path / "runs").faults


def test_views_have_refits_apart(run):
    _, table = run
    means = axis_means(table.assign(dataset=table["dataset"] + np.where(
        table["test_set"] == "", "", "/" + table["test_set"]), test_set=""))  # fmt: skip
    row = means.loc["logreg", "lbfgs", "all", "quarters"]
    assert (row["domains_sets"], row["refits_sets"]) == (2, 2)
    assert row["domains"] < 30 < row["refits"]
    few = means.loc["logreg", "lbfgs", 3, "quarters"]
    assert (few["domains_sets"], few["refits_sets"], few["partial"]) == (0, 2, "")
    assert {"own/dark", "own/dark+refit"} <= set(wide(table).columns)


def test_too_few_images_are_refused_or_said(tmp_path, images, model):
    with pytest.raises(cog.CogError) as caught:
        evaluate(model, images, tmp_path, "9")
    assert "own/dark+refit: no class has 9 images to refit a head on beside" in caught.value.what
    assert "at most --refit-shots 8" in caught.value.hint
    few = draw(tmp_path / "few", SAME, 6, 60, 5)
    for path in [*(few / "c03").iterdir()][:5]:
        path.unlink()
    said: list[str] = []
    options = {
        "model": model, "datasets": {"own": images / "own"}, "test_sets": {"own/few": few},
        "refit_shots": "2", "out": tmp_path / "runs", **SETTINGS,
    }  # fmt: skip
    from cog.evaluation.plan import plan_from

    with pytest.raises(cog.CogError, match=r"1 of 12 classes have no images to refit .*: c03"):
        plan_from(options)
    plan_from(options | {"allow_missing": True}, said.append)
    assert any("1 classes without images to refit on are left out" in line for line in said)
    (few / "c03").rename(tmp_path / "gone")
    (few / "c05" / "0.png").unlink()
    (few / "c05" / "1.png").unlink()
    plan_from(options, said.append)
    assert any("1 of 11 classes have fewer than 2 images to refit on" in line for line in said)
    assert any(line.endswith("(the fewest 1): they give what they have: c05") for line in said)
    with pytest.raises(cog.CogError, match="there is none"):
        plan_from(options | {"test_sets": ()})
