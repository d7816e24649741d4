"""Retrieval in `cog evaluate`: one row a dataset, whatever the shots and seeds, and its files."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

import cog
from cog.evaluation.verify.verify import verify
from cog.features.store.store import FeatureStore
from cog.probes.settings import Probing
from cog.recipe import control_of
from cog.results.columns import KEY
from tests.support.runs import draw_images

OPTIONS = {"seeds": "22,37", "shots": "2,all", "device": "cpu", "probes": "ncm,retrieval"}
ALONE = "c"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Three classes of five training and four test images, but one of `ALONE`."""
    root = tmp_path_factory.mktemp("source")
    draw_images(root / "train", ("a", "b", ALONE), 5)
    draw_images(root / "test", ("a", "b", ALONE), 4, spread=0.4)
    for path in sorted((root / "test" / ALONE).iterdir())[1:]:
        path.unlink()
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory, source, plug_in) -> Path:
    out = tmp_path_factory.mktemp("retrieval") / "runs"
    cog.evaluate(f"{plug_in}:load", datasets={"own": source}, out=out, controls=True, **OPTIONS)
    return out


def rows_of(runs: Path) -> pd.DataFrame:
    rows = pd.read_csv(runs / "results.csv")
    return rows[rows["probe"] == "retrieval"].set_index("model")


def test_it_is_among_the_default_probes():
    assert "retrieval" in Probing.probes


def test_a_model_has_one_row_of_all_images_and_the_first_seed(runs):
    rows = rows_of(runs)
    assert rows.index.is_unique
    assert "colours" in rows.index
    assert set(zip(rows["shots"], rows["seed"], rows["solver"], strict=True)) == {
        ("all", 22, "exact")
    }


def test_shuffled_training_labels_are_no_control_of_it(runs):
    controls = {control_of(name) for name in rows_of(runs).index}
    assert controls == {"", "random-features", "untrained", "raw-pixels"}


def test_top1_is_that_of_the_nearest_other_image_and_one_alone_is_left_out(runs):
    row = rows_of(runs).loc["colours"]
    x, y = FeatureStore.open(runs / "colours" / "features" / "own-test.zarr").read()
    x, kept = normalize(x.astype(float)), y != 2
    right = [
        KNeighborsClassifier(1).fit(x[others], y[others]).predict(x[[one]])[0] == y[one]
        for one in range(len(y))
        if kept[one] and len(others := [other for other in range(len(y)) if other != one])
    ]
    assert row["top1"] == pytest.approx(100 * sum(right) / len(right))
    assert row["r_precision"] > 0
    assert row["map"] > 0
    assert (row["n_alone"], row["n_test"], row["n_train"]) == (1, 9, 0)


def test_other_probes_have_none_of_its_columns(runs):
    rows = pd.read_csv(runs / "results.csv")
    others = rows[rows["probe"] == "ncm"]
    assert len(others)
    assert others[["map", "r_precision", "n_alone"]].isna().all(axis=None)
    cell = json.loads((runs / "colours" / "cells" / "own--ncm-exact--all--22.json").read_text())
    assert not {"map", "r_precision", "n_alone"} & set(cell["row"])


def test_a_class_of_one_image_has_no_accuracy(runs):
    path = runs / "colours" / "classes" / "own--retrieval-exact--all--22.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["wnid"], row["n_test"]) for row in rows] == [("a", "4"), ("b", "4"), ("c", "1")]
    assert [bool(row["top1"]) for row in rows] == [True, True, False]


def test_cog_verify_finds_it_sound_and_a_changed_accuracy_not(runs, tmp_path):
    proof = verify(runs)
    assert not proof.faults
    assert not [note for note in proof.notes if "predictions" in note]  # it makes none
    copy = shutil.copytree(runs, tmp_path / "runs")
    path = copy / "colours" / "cells" / "own--retrieval-exact--all--22.json"
    cell = json.loads(path.read_text())
    cell["row"]["top5"] /= 2
    path.write_text(json.dumps(cell, indent=1) + "\n")
    said = [str(finding) for finding in verify(copy).faults]
    assert any("top5" in line and path.name in line for line in said)


def test_cog_compare_counts_the_images_that_are_asked(runs):
    from cog.results.paired import Pairs, read_run

    run = read_run(runs, lambda _: None)
    table = run.table[(run.table["probe"] == "retrieval") & (run.table["model"] == "colours")]
    (key,) = table[list(KEY)].itertuples(index=False)
    found = Pairs(run, run, {}, lambda _: None).discordant(tuple(key))
    assert (found.first, found.second, found.images) == (0, 0, 8)


def test_where_no_class_has_two_test_images_it_is_left_out_and_that_is_said(
    source, plug_in, tmp_path
):
    from cog.evaluation.plan import plan_from

    root = shutil.copytree(source, tmp_path / "source")
    for name in ("a", "b"):
        for path in sorted((root / "test" / name).iterdir())[1:]:
            path.unlink()
    said: list[str] = []
    options = {"model": f"{plug_in}:load", "datasets": {"own": root}, "out": tmp_path / "runs"}
    plan = plan_from(options | OPTIONS, said.append)
    assert {cell.probe for cell in plan.cells} == {"ncm"}
    assert "own: retrieval is left out: no class has two test images" in said
