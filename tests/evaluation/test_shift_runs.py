"""Runs with further test sets from end to end: what is fitted, what is kept, what a kill leaves."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cog
from cog.evaluation.verify.verify import verify
from cog.features.store.store import FeatureStore
from cog.probes.head import read_head
from cog.probes.table import PROBES
from cog.wordnet.concept_lists import read_wnids
from tests.support.colour_images import COLOURS, draw_colours, draw_own, quarters

WNIDS = sorted(read_wnids("in1k"))[:12]
COLOUR_OF = dict(zip(WNIDS, COLOURS, strict=True))
SOME = (WNIDS[2], WNIDS[10], WNIDS[11])
FAST = cog.Recipe(trials=2, epochs=3, trials_per_round=2)
OPTIONS = {"seeds": "22", "device": "cpu", "recipe": FAST}
HEADED = OPTIONS | {"probes": "ncm,ridge,logreg"}


@pytest.fixture(scope="module")
def model() -> cog.Model:
    return quarters()


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Twelve classes called by wnids; the test images once more in numbered folders, as of
    ImageNet-V2; and other images of three classes, as of ImageNet-R."""
    root = tmp_path_factory.mktemp("shift")
    draw_own(root, COLOUR_OF, 10, 4)
    numbers = {str(number): COLOUR_OF[wnid] for number, wnid in enumerate(WNIDS)}
    draw_colours(root / "v2", numbers, 4, 90, 2)
    draw_colours(root / "r", {wnid: COLOUR_OF[wnid] for wnid in SOME}, 5, 140, 3)
    return root


@pytest.fixture
def fits(monkeypatch) -> Counter[str]:
    """How often each probe is fitted."""
    counts: Counter[str] = Counter()

    def counted(name: str, fit):
        def count(*args):
            counts[name] += 1
            return fit(*args)

        return count

    for name, probe in PROBES.items():
        monkeypatch.setitem(PROBES, name, replace(probe, fit=counted(name, probe.fit)))
    return counts


def run(model: cog.Model, images: Path, out: Path, *sets: str, **options) -> pd.DataFrame:
    test_sets = {f"own/{name}": images / name for name in sets}
    return cog.evaluate(
        model, datasets={"own": images / "own"}, test_sets=test_sets, out=out, **options
    )


def numbers(table: pd.DataFrame, test_set: str, column: str = "top1") -> dict[object, float]:
    own = table[table["test_set"] == test_set]
    return own.set_index(["model", "probe", "shots"])[column].to_dict()


def test_every_default_probe_is_scored_on_numbered_folders(model, images, tmp_path):
    table = run(model, images, tmp_path, "v2", "r", **OPTIONS)
    own = numbers(table, "")
    assert {probe for _, probe, _ in own} == {"logreg", "knn", "ncm", "retrieval"}
    assert numbers(table, "v2") == own  # the same images; "10" and "11" come before "2" as text
    assert min(own.values()) > 20  # of 8 by chance
    assert {probe for _, probe, _ in numbers(table, "r")} == {"logreg", "ncm", "retrieval"}
    assert set(table.loc[table["test_set"] == "r", "n_classes"]) == {3}
    assert verify(tmp_path).faults == ()


def test_answers_are_sought_among_the_classes_that_a_test_set_has(model, images, tmp_path):
    table = run(model, images, tmp_path, "r", **HEADED)
    x, y = FeatureStore.open(tmp_path / "quarters/features/own@r-test.zarr").read()
    unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    ones = np.ones((len(x), 1))
    among = [WNIDS.index(wnid) for wnid in SOME]
    for (_, probe, _), top1 in numbers(table, "r").items():
        (file,) = tmp_path.glob(f"quarters/heads/own--{probe}-*")
        layer = read_head(file.read_bytes())[0].layer.astype(np.float64)
        outputs = np.hstack([unit, ones]) @ layer.T
        assert top1 == pytest.approx(100 * (outputs[:, among].argmax(1) == y).mean())
        (kept,) = tmp_path.glob(f"quarters/classes/own@r--{probe}-*")
        assert pd.read_csv(kept)["wnid"].tolist() == list(SOME)


def test_a_test_set_added_later_fits_nothing_and_extracts_nothing_else(
    model, images, tmp_path, fits
):
    first = run(model, images, tmp_path, shots="all,2", **HEADED)
    assert fits == {"ncm": 2, "ridge": 2, "logreg": 2}
    shutil.rmtree(tmp_path / "quarters" / "features")
    fits.clear()
    table = run(model, images, tmp_path, "v2", "r", shots="all,2", **HEADED)
    assert not fits
    stores = {path.name for path in tmp_path.glob("*/features/*")}
    assert stores == {"own@v2-test.zarr", "own@r-test.zarr"}
    for column in ("top1", "top5", "mean_class", "n_train", "n_validation"):
        assert numbers(table, "v2", column) == numbers(first, "", column)
    assert set(numbers(table, "r", "n_train").values()) == {120, 24}
    assert verify(tmp_path).faults == ()


def test_without_heads_test_sets_are_scored_by_fits_of_their_own(model, images, tmp_path, fits):
    given = HEADED | {"probes": "ncm,ridge"}
    table = run(model, images, tmp_path, "v2", keep_heads=False, **given)
    assert not [*tmp_path.glob("*/heads/*")]
    assert fits == {"ncm": 2, "ridge": 2}
    assert numbers(table, "v2") == numbers(table, "")
    fits.clear()
    run(model, images, tmp_path, "v2", "r", keep_heads=True, **given)
    assert fits == {"ncm": 1, "ridge": 1}  # there was no head yet, and r leaves one
    assert len([*tmp_path.glob("*/heads/*")]) == 2
    assert verify(tmp_path).faults == ()


def test_a_kill_between_a_head_and_its_cell_loses_nothing(model, images, tmp_path, fits):
    given = HEADED | {"probes": "ncm,ridge"}
    run(model, images, tmp_path, "v2", "r", **given)
    heads = {path: path.read_bytes() for path in tmp_path.glob("*/heads/*")}
    rows = {}
    for name in ("own--ncm-exact", "own@v2--ncm-exact", "own@r--ridge-exact"):
        (cell,) = tmp_path.glob(f"*/cells/{name}*")
        rows[cell] = json.loads(cell.read_text())["row"]
        cell.unlink()  # what a kill before it leaves: the head and the files beside are there
    fits.clear()
    run(model, images, tmp_path, "v2", "r", **given)
    assert fits == {"ncm": 1}  # the dataset's own cell; the test sets have their heads
    assert heads == {path: path.read_bytes() for path in tmp_path.glob("*/heads/*")}
    for cell, row in rows.items():
        assert json.loads(cell.read_text())["row"] | {"seconds": 0} == row | {"seconds": 0}
    assert verify(tmp_path).faults == ()
    fits.clear()
    run(model, images, tmp_path, "v2", "r", **given)
    assert not fits


def test_a_damaged_head_is_fitted_again(model, images, tmp_path, fits):
    given = HEADED | {"probes": "ncm"}
    run(model, images, tmp_path, **given)
    (head,) = tmp_path.glob("*/heads/*")
    before = head.read_bytes()
    head.write_bytes(before[:100])
    fits.clear()
    table = run(model, images, tmp_path, "v2", **given)
    assert fits == {"ncm": 1}
    assert head.read_bytes() == before
    assert numbers(table, "v2") == numbers(table, "")


def test_another_recipe_takes_no_head_of_the_first(model, images, tmp_path, fits):
    given = HEADED | {"probes": "ridge"}
    run(model, images, tmp_path, **given)
    (head,) = tmp_path.glob("*/heads/*")
    before = head.read_bytes()
    fits.clear()
    other = given | {"recipe": cog.Recipe(ridge_penalties=(1.0,))}
    table = run(model, images, tmp_path, "v2", **other)
    assert fits == {"ridge": 1}
    assert head.read_bytes() != before
    assert numbers(table, "v2") == numbers(table, "")
    assert verify(tmp_path).faults == ()


def test_controls_are_scored_by_heads_of_their_own(model, images, tmp_path, fits):
    given = HEADED | {"probes": "ncm,knn", "controls": True}
    table = run(model, images, tmp_path, "v2", "r", **given)
    models = {name for name, *_ in numbers(table, "r")}
    assert models == {
        "quarters", "quarters+shuffled-labels", "quarters+random-features", "images+raw-pixels",
    }  # fmt: skip
    assert fits == {"ncm": 4, "knn": 8}  # own and v2; r has some classes alone
    own, v2 = numbers(table, ""), numbers(table, "v2")
    for (name, probe, shots), top1 in own.items():
        if name != "quarters+random-features":  # noise is drawn anew for each dataset
            assert v2[name, probe, shots] == top1
    for table_of_set in (own, v2):
        real = table_of_set["quarters", "ncm", "all"]
        assert real > 20
        for control in ("shuffled-labels", "random-features"):
            # chance is 8 %; 22 % is four standard errors of 48 images more
            assert table_of_set[f"quarters+{control}", "ncm", "all"] < min(real, 25)
    head = "heads/own--ncm-exact--all--22.safetensors"
    layers = [read_head((tmp_path / name / head).read_bytes())[0].layer for name in
              ("quarters", "quarters+shuffled-labels")]  # fmt: skip
    assert not np.array_equal(*layers)
    assert verify(tmp_path).faults == ()
