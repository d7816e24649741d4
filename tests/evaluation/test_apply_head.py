"""`cog probe --apply HEAD --test FEATURES`: the heads that fits have left, on any features."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import cog
from cog.cli.main import main
from cog.features.store.store import FeatureStore
from cog.probes.head import read_head
from tests.evaluation.test_test_sets import OPTIONS
from tests.support.colour_images import COLOURS, draw_colours, draw_own, quarters

PROBES = ("logreg-lbfgs", "ncm-exact", "ridge-exact")
SAME = ("top1", "top5", "mean_class", "top1_low", "top1_high", "n_train", "n_test", "dim", "shots")


def probe(*words: object) -> list[dict]:
    done = CliRunner().invoke(main, ["probe", *map(str, words), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refused(*words: object) -> str:
    """What the error says, with its hint."""
    with pytest.raises(cog.CogError) as caught:
        CliRunner().invoke(main, ["probe", *map(str, words)], catch_exceptions=False,
                           standalone_mode=False)  # fmt: skip
    return f"{caught.value.what}\n{caught.value.hint}"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """A dataset of 12 colours and a test set of four of them: the folder of the model run, rows."""
    root = tmp_path_factory.mktemp("apply")
    same = {name: name for name in COLOURS}
    draw_own(root, same, 12, 5)
    draw_colours(root / "four", {name: name for name in ("c01", "c04", "c05", "c10")}, 5, 120, 3)
    table = cog.evaluate(
        quarters(),
        datasets={"own": root / "own"},
        test_sets={"own/four": root / "four"},
        out=root / "runs",
        norm="standard",
        **OPTIONS | {"probes": "logreg,ncm,ridge"},
    )
    return root / "runs" / "quarters", table


def head(run, fit: str) -> Path:
    return run[0] / "heads" / f"own--{fit}--all--22.safetensors"


def row(run, fit: str, test_set: str) -> pd.Series:
    table = run[1][run[1]["test_set"] == test_set].set_index("probe")
    return table.loc[fit.partition("-")[0]]


@pytest.mark.parametrize("form", ["store", "export"])
@pytest.mark.parametrize(("test_set", "name"), [("", "own"), ("four", "own@four")])
def test_a_kept_head_gives_the_row_of_its_cell(run, tmp_path, test_set, name, form):
    features = run[0] / "features" / f"{name}-test.zarr"
    if form == "export":
        done = CliRunner().invoke(
            main, ["export", str(features), "--out", str(tmp_path / "X_Y.pth")]
        )
        assert done.exit_code == 0, done.output
        features = tmp_path / "X_Y.pth"
        keys = set(torch.load(features, weights_only=True))
        assert keys == {"X", "Y", "name", *(["classes"] if test_set else [])}
    for fit in PROBES:
        (found,) = probe("--apply", head(run, fit), "--test", features)
        wanted = row(run, fit, test_set)
        assert {key: found[key] for key in SAME} == wanted[list(SAME)].to_dict()
        assert (found["n_classes"], found["n_fit_classes"]) == (4 if test_set else 12, 12)
        assert found.get("norm", "l2") == (wanted["norm"] or "l2")
    assert 20 < wanted["top1"] < 100


def test_the_store_of_another_split_tells_no_names(run, tmp_path, monkeypatch):
    features = tmp_path / "runs" / "quarters" / "features"
    shutil.copytree(run[0] / "features" / "own@four-test.zarr", features / "own@four-test.zarr")
    shutil.copytree(run[0].parent / "splits", tmp_path / "runs" / "splits")
    monkeypatch.chdir(features)
    (found,) = probe("--apply", head(run, PROBES[0]), "--test", "own@four-test.zarr")
    assert found["top1"] == row(run, PROBES[0], "four")["top1"]  # by name, from here too
    lines = (tmp_path / "runs" / "splits" / "test" / "own@four.txt").read_text().splitlines()
    changed = "".join(f"{line}\n" for line in lines[1:])
    (tmp_path / "runs" / "splits" / "test" / "own@four.txt").write_text(changed)
    (other,) = probe("--apply", head(run, PROBES[0]), "--test", "own@four-test.zarr")
    assert other["top1"] < found["top1"]  # labels 0…3 are taken for the first four classes


def test_labels_without_names_count_the_classes_of_the_head(run, tmp_path):
    x, y = FeatureStore.open(run[0] / "features" / "own@four-test.zarr").read()
    labels = np.array([1, 4, 5, 10])[y]
    np.savez(tmp_path / "four.npz", X=x, Y=labels)
    (found,) = probe("--apply", head(run, PROBES[0]), "--test", tmp_path / "four.npz")
    assert found["top1"] == row(run, PROBES[0], "four")["top1"]
    np.savez(tmp_path / "names.npz", X=x, Y=3 - y, classes=["c10", "c05", "c04", "c01"])
    (named,) = probe("--apply", head(run, PROBES[0]), "--test", tmp_path / "names.npz")
    assert named["top1"] == found["top1"]


def test_heads_of_cog_probe_are_applied_by_label(run, tmp_path):
    x, y = FeatureStore.open(run[0] / "features" / "own-train.zarr").read()
    own, far = np.arange(len(y)) % 2 == 0, 3 + 2**57 * y
    np.savez(tmp_path / "a.npz", X=x[own], Y=far[own])
    np.savez(tmp_path / "b.npz", X=x[~own], Y=far[~own])
    np.savez(tmp_path / "some.npz", X=x[~own & (y > 8)], Y=far[~own & (y > 8)])
    ends = "--probe", "ncm,knn", "--seeds", "22", "--heads", tmp_path / "heads"
    fitted = probe("--train", tmp_path / "a.npz", "--test", tmp_path / "b.npz", *ends)
    (kept,) = (tmp_path / "heads").iterdir()
    assert kept.name == "ncm-exact--all--22.safetensors"
    (found,) = probe("--apply", kept, "--test", tmp_path / "b.npz")
    assert {key: found[key] for key in SAME} == {key: fitted[0][key] for key in SAME}
    (some,) = probe("--apply", kept, "--test", tmp_path / "some.npz")
    assert (some["n_classes"], some["n_fit_classes"]) == (3, 12)
    assert some["top1"] >= found["top1"]


def test_a_class_without_images_does_not_make_a_head_forget_names(run, tmp_path):
    """Its labels 0 and 2 are a and c, which another file numbers otherwise."""
    x, y = FeatureStore.open(run[0] / "features" / "own-train.zarr").read()
    own = (y == 0) | (y == 2)
    np.savez(tmp_path / "a.npz", X=x[own], Y=y[own], classes=["a", "b", "c"])
    ends = "--probe", "ncm", "--seeds", "22", "--heads", tmp_path / "heads"
    (fitted,) = probe("--train", tmp_path / "a.npz", "--test", tmp_path / "a.npz", *ends)
    (kept,) = (tmp_path / "heads").iterdir()
    assert read_head(kept.read_bytes())[0].classes == ("a", "c")
    np.savez(tmp_path / "c.npz", X=x[own], Y=(y[own] == 0) * 1, classes=["c", "a"])
    (found,) = probe("--apply", kept, "--test", tmp_path / "c.npz")
    assert found["top1"] == fitted["top1"] > 60


def test_sets_that_tell_names_are_fitted_by_name(run):
    """Label 0 of the test set is c01, which is label 1 of the training images."""
    ends = "--probe", "ncm", "--seeds", "22"
    features = run[0] / "features"
    (found,) = probe(
        "--train", features / "own-train.zarr", "--test", features / "own@four-test.zarr", *ends
    )
    assert found["n_classes"] == 12
    assert found["top1"] > 20


def test_refusals(run, tmp_path):
    ncm, store = head(run, "ncm-exact"), run[0] / "features" / "own-test.zarr"
    x, y = FeatureStore.open(store).read()
    np.savez(tmp_path / "wide.npz", X=np.hstack([x, x]), Y=y)
    text = refused("--apply", ncm, "--test", tmp_path / "wide.npz")
    assert "expected features of 12 numbers, as the head of quarters takes, found 24" in text
    np.savez(tmp_path / "more.npz", X=x, Y=y + 3)
    text = refused("--apply", ncm, "--test", tmp_path / "more.npz")
    assert "3 of 12 classes of more are none of the head's 12: label 12, label 13, label 14" in text
    np.savez(tmp_path / "other.npz", X=x, Y=y * 0, classes=["cat"])
    assert "none of the head's 12: cat; it has c00" in refused(
        "--apply", ncm, "--test", tmp_path / "other.npz"
    )
    np.savez(tmp_path / "few.npz", X=x, Y=y, classes=["cat"])
    assert "expected classes" in refused("--apply", ncm, "--test", tmp_path / "few.npz")
    assert "runs/NAME/heads/" in refused("--apply", tmp_path / "none", "--test", store)
    (tmp_path / "no.safetensors").write_bytes(ncm.read_bytes()[:200])
    assert "it is no head" in refused("--apply", tmp_path / "no.safetensors", "--test", store)
    assert "either" in refused("--test", store)
    assert "either" in refused("--test", store, "--train", store, "--apply", ncm)
    text = refused("--apply", ncm, "--test", store, "--shots", "1", "--heads", "there")
    assert "leave out --shots, --heads" in text


def test_names_of_classes_survive_in_a_head(run):
    kept, _ = read_head(head(run, "ncm-exact").read_bytes())
    assert kept.classes == tuple(COLOURS)
    names = tuple(f"größe {number}" for number in range(30_000))
    from cog.probes.head import Head, head_bytes

    layer = np.zeros((30_000, 3), np.float32)
    data = head_bytes(Head(layer, True, classes=names), {})
    assert len(data) < layer.nbytes + sum(len(name.encode()) + 1 for name in names) + 500
    assert read_head(data)[0].classes == names
