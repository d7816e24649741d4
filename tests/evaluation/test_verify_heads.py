"""`cog verify` on the heads that fits have left: damaged, of another fit, or placing otherwise."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cog
from cog.evaluation.verify.heads import rank_bounds
from cog.evaluation.verify.verify import verify
from cog.probes.data import ProbeData
from cog.probes.head import Head, head_bytes, read_head
from cog.results.files import read_results
from cog.results.mixing import refuse_mixed
from tests.support.colour_images import COLOURS, draw_colours, draw_own, quarters

NCM = "quarters/heads/own--ncm-exact--all--22.safetensors"
RIDGE = "quarters/heads/own--ridge-exact--2--22.safetensors"


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A run with heads of few and of all images, a test set of four classes, and controls."""
    root = tmp_path_factory.mktemp("heads")
    same = {name: name for name in COLOURS}
    draw_own(root, same, 8, 4)
    draw_colours(root / "four", {name: name for name in ("c01", "c04", "c05", "c10")}, 5, 120, 3)
    cog.evaluate(
        quarters(), datasets={"own": root / "own"}, test_sets={"own/four": root / "four"},
        probes="ncm,ridge", shots="all,2", seeds="22", device="cpu", controls=True,
        out=root / "runs",
    )  # fmt: skip
    return root / "runs"


def test_a_head_is_not_held_to_what_an_earlier_recipe_gave(tmp_path):
    """The dataset is fitted again without norm; its test set still has the result of the other."""
    same = {name: name for name in COLOURS}
    draw_own(tmp_path, same, 8, 4)
    draw_colours(tmp_path / "other", same, 5, 120, 3)
    options = {
        "datasets": {"own": tmp_path / "own"}, "probes": "logreg", "solver": "lbfgs",
        "seeds": "22", "device": "cpu", "out": tmp_path / "runs",
    }  # fmt: skip
    cog.evaluate(quarters(), test_sets={"own/other": tmp_path / "other"}, **options)
    cog.evaluate(quarters(), norm="none", **options)
    assert verify(tmp_path / "runs").faults == ()
    results = read_results(tmp_path / "runs")
    assert results["recipe_hash"].nunique() == 2
    with pytest.raises(cog.CogError, match="recipe_hash of own and its test sets differs"):
        refuse_mixed(results)
    cog.evaluate(quarters(), test_sets={"own/other": tmp_path / "other"}, norm="none", **options)
    refuse_mixed(read_results(tmp_path / "runs"))


@pytest.fixture
def runs(sound, tmp_path) -> Path:
    return shutil.copytree(sound, tmp_path / "runs")


def faults(runs: Path) -> list[tuple[str, str]]:
    return [
        (fault.file.removeprefix(f"{runs}/"), f"{fault.expected} | {fault.found}")
        for fault in verify(runs).faults
    ]


def change(file: Path, head: Head | None = None, **about: str) -> None:
    """Write a head again, with another layer or with other texts."""
    kept, known = read_head(file.read_bytes())
    file.write_bytes(head_bytes(head or kept, known | about))


def test_heads_of_models_and_controls_are_sound(sound):
    proof = verify(sound)
    assert proof.faults == ()
    models = {path.parent.parent.name for path in sound.glob("*/heads/*")}
    assert models == {
        "quarters", "quarters+shuffled-labels", "quarters+random-features", "images+raw-pixels",
    }  # fmt: skip
    assert proof.checked["heads"] == len(models) * 4
    heads = {path.read_bytes() for path in sound.glob("*/heads/*ncm*--all--*")}
    assert len(heads) == len(models)


@pytest.mark.parametrize("size", [0, 40, -1])
def test_a_head_that_is_cut_short_is_found(size, runs):
    file = runs / NCM
    file.write_bytes(file.read_bytes()[:size])
    ((name, text),) = faults(runs)
    assert name == NCM
    assert "the head of a fit" in text


def test_a_head_of_another_fit_is_found(runs):
    change(runs / NCM, fit="0123456789abcdef")
    ((name, text),) = faults(runs)
    assert (name, text.endswith("| 0123456789abcdef")) == (NCM, True)


def test_the_head_of_a_control_is_no_head_of_the_model(runs):
    control = runs / NCM.replace("quarters/", "quarters+shuffled-labels/")
    shutil.copy(control, runs / NCM)
    ((name, text),) = faults(runs)
    assert name == NCM
    assert "quarters+shuffled-labels" in text
    change(runs / NCM, model="quarters")  # its fit tells it still
    assert "the fit" in faults(runs)[0][1]


def test_another_layer_is_found_by_the_ranks_of_all_that_it_gave(runs):
    head, _ = read_head((runs / NCM).read_bytes())
    change(runs / NCM, replace(head, layer=np.roll(head.layer, 1, axis=0)))
    found = faults(runs)
    assert {name for name, _ in found} == {NCM}
    files = [text.split(" has | ")[0].rpartition("/")[2] for _, text in found]
    assert sorted(files) == ["own--ncm-exact--all--22.json", "own@four--ncm-exact--all--22.json"]


def test_without_training_features_fits_are_proved_by_run_json(runs):
    shutil.rmtree(runs / "quarters" / "features")
    proof = verify(runs)
    assert proof.faults == ()
    change(runs / RIDGE, fit="0123456789abcdef")
    assert [name for name, _ in faults(runs)] == [RIDGE]


def test_what_a_head_tells_of_its_fit_is_that_of_the_cell(runs):
    text = read_head((runs / RIDGE).read_bytes())[1]["result"]
    change(runs / RIDGE, result=text.replace('"n_train": 24', '"n_train": 25'))
    ((name, found),) = faults(runs)
    assert name == RIDGE
    assert "n_train 24" in found


@pytest.mark.parametrize("said", ["3", "[]", '{"lr": "much"}', '{"lr": null}'])
def test_a_head_that_tells_nonsense_of_its_fit_is_found(said, runs):
    text = read_head((runs / RIDGE).read_bytes())[1]["result"]
    known = {**json.loads(text), "hyper": json.loads(said)}
    change(runs / RIDGE, result=said if said == "3" else json.dumps(known))
    ((name, found),) = faults(runs)
    assert name == RIDGE
    assert "the head of a fit" in found


def test_a_head_without_its_cell_is_found(runs):
    (runs / "quarters" / "cells" / "own--ncm-exact--all--22.json").unlink()
    assert any("heads/own--ncm" in text for _, text in faults(runs))


def test_equal_outputs_may_have_either_rank_and_others_may_not():
    rng = np.random.default_rng(0)
    layer = rng.normal(size=(6, 5)).astype(np.float32)
    layer[3] = layer[1]
    layer[5, -1] = -np.inf
    x = rng.normal(size=(40, 4)).astype(np.float32)
    y = rng.integers(0, 6, 40)
    data = ProbeData(x[:0], y[:0], x, y, 6)
    lowest, highest = rank_bounds(Head(layer, False), data, np.arange(6))
    outputs = np.c_[x, np.ones(40)].astype(np.float64) @ layer.T.astype(np.float64)
    outputs[:, 5] = -np.inf
    own = outputs[np.arange(40), y][:, None]
    assert lowest.tolist() == (outputs > own + 1e-9).sum(1).tolist()
    equal = np.isin(y, (1, 3))
    assert (highest - lowest).tolist() == equal.astype(int).tolist()


@pytest.mark.parametrize("norm", ["none", "standard"])
def test_heads_of_features_of_any_norm_are_sound(norm, sound, tmp_path):
    root = sound.parent
    table = cog.evaluate(
        quarters(), datasets={"own": root / "own"}, test_sets={"own/four": root / "four"},
        probes="logreg,ridge", solver="lbfgs", seeds="22", device="cpu", norm=norm, out=tmp_path,
    )  # fmt: skip
    assert len(table) == 4
    assert verify(tmp_path).faults == ()
    (file,) = tmp_path.glob("*/heads/own--ridge-*")
    head, _ = read_head(file.read_bytes())
    change(file, replace(head, layer=-head.layer))
    assert {name for name, _ in faults(tmp_path)} == {str(file.relative_to(tmp_path))}
