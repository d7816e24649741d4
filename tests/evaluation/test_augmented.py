"""`--probe augmented --views A` from end to end: views are made once, and are always the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as by_tensors

import cog
import cog.evaluation.estimate
from cog.cli.main import main
from cog.errors import CogError
from cog.features.exchange import read_features
from cog.features.settings import Extraction
from cog.features.store.store import FeatureStore
from cog.images.views import draw_view
from cog.results.files import read_results
from cog.results.mixing import refuse_mixed
from tests.support.colour_images import COLOURS, draw_own, quarters

NAMES = dict(zip(("a", "b", "c"), COLOURS, strict=False))
VIEWED = "own-train+views3.zarr"


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    return draw_own(tmp_path_factory.mktemp("images"), NAMES, train=12, test=4)


def evaluate(own: Path, out: Path, **more: Any):
    how: dict[str, Any] = {"probes": "augmented", "views": 3, "seeds": "22", "norm": "none"}
    how |= {"device": "cpu", "batch_size": 10, "chunk_rows": 7, "max_train": 12}
    return cog.evaluate(quarters(), datasets={"own": own}, out=out, **how | more)


@pytest.fixture(scope="module")
def run(own: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    evaluate(own, out)
    return out


def features(out: Path, name: str = VIEWED) -> FeatureStore:
    return FeatureStore.open(out / "quarters" / "features" / name)


def test_a_row_has_the_centre_crop_and_the_views_of_its_image(run: Path, own: Path) -> None:
    x, _ = features(run).read()
    assert x.shape == (36, 4 * 12)
    assert features(run, "own-test.zarr").read()[0].shape == (12, 12)
    kept = (run / "splits" / "train" / "own.txt").read_text().splitlines()
    model = quarters()
    for row, line in enumerate(kept):
        path = line.split()[0]
        image = torch.tensor(np.array(Image.open(own / "train" / path))).permute(2, 0, 1)
        crops = [model.preprocess.pixels(image)]
        for number in range(3):
            view = draw_view(path, number, 6, 6)
            box = view.top, view.left, view.height, view.width, [6, 6], InterpolationMode.BICUBIC
            crop = by_tensors.resized_crop(image, *box)
            crops.append(by_tensors.horizontal_flip(crop) if view.flipped else crop)
        expected = model.embed(model.preprocess.normalise(torch.stack(crops))).flatten().numpy()
        np.testing.assert_allclose(x[row], expected, atol=2e-3)
    assert len(np.unique(x.reshape(36, 4, 12), axis=1)) == 36


def test_the_row_of_results_counts_images(run: Path, own: Path) -> None:
    (row,) = evaluate(own, run).to_dict("records")
    assert row["probe"] == "augmented"
    assert (row["n_train"], row["n_validation"], row["n_test"], row["dim"]) == (36, 6, 12, 12)
    assert row["views"] == "3"
    assert row["feature_bytes"] == (36 * 4 + 12) * 12 * 2
    assert row["seed_decides"] == "validation split, start, batches, views"
    assert row["top1"] > 60


@pytest.mark.parametrize("feed", ["threads", pytest.param("processes", marks=pytest.mark.long)])
def test_a_chunk_made_again_has_the_same_bytes(run: Path, own: Path, tmp_path, feed) -> None:
    """After a kill, and by other workers."""
    again = shutil.copytree(run, tmp_path / "runs")
    features(again).forget_chunk(2)
    shutil.rmtree(again / "quarters" / "cells")
    evaluate(own, again, feed=feed, workers=2)
    assert np.array_equal(features(again).read()[0], features(run).read()[0])


def test_more_views_and_other_batches_leave_the_first_views(run: Path, own: Path, tmp_path) -> None:
    evaluate(own, tmp_path / "other", chunk_rows=36, batch_size=4, views=2)
    found = features(tmp_path / "other", "own-train+views2.zarr").read()[0]
    np.testing.assert_allclose(found, features(run).read()[0][:, :36], atol=1e-3)


def test_results_of_other_numbers_of_views_share_no_table(run: Path, own: Path, tmp_path) -> None:
    evaluate(own, tmp_path / "two", views=2)
    both = pd.concat([read_results(run), read_results(tmp_path / "two")])
    with pytest.raises(CogError, match=r"views differs: 2 \(quarters\), 3"):
        refuse_mixed(both)


def test_views_are_in_the_fingerprint_of_training_images_alone(run: Path) -> None:
    views = {"count": 3, "area": [0.08, 1.0], "ratio": [0.75, 4 / 3], "flipped": 0.5}
    assert features(run).fingerprint["views"] == views
    assert "views" not in features(run, "own-test.zarr").fingerprint


def test_results_are_verified_with_and_without_their_features(run: Path, tmp_path, capsys) -> None:
    runs = shutil.copytree(run, tmp_path / "runs")
    main(["verify", str(runs)], standalone_mode=False)
    shutil.rmtree(runs / "quarters" / "features")
    main(["verify", str(runs)], standalone_mode=False)
    assert "expected" not in capsys.readouterr().out


def test_the_dry_run_says_disk_and_memory(own, plug_in, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(cog.evaluation.estimate, "SECONDS", 0.01)
    words = ["evaluate", "--model", f"{plug_in}:load", "--dataset", f"own={own}", "--probe",
             "augmented", "--views", "7", "--out", str(tmp_path / "runs"), "--dry-run"]  # fmt: skip
    main(words, standalone_mode=False)
    printed = capsys.readouterr().out
    dim = cog.load_model(f"{plug_in}:load").dim
    size = (36 * 8 + 12) * dim * 2
    shown = f"{size} bytes" if size < 1000 else f"{size / 1000:.1f} kB"
    assert f"features: {shown} to write" in printed
    assert f"memory: {shown} of features that a fit holds" in printed


def test_a_test_set_is_scored_by_the_head(run: Path, own: Path, tmp_path) -> None:
    runs = shutil.copytree(run, tmp_path / "runs")
    rows = evaluate(own, runs, test_sets={"own/again": own / "test"})
    assert rows["test_set"].fillna("").tolist() == ["", "again"]
    assert rows["top1"].nunique() == 1


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"probes": "knn"}, "--views is for the probe augmented alone"),
        ({"probes": "augmented,knn"}, "take different features"),
        ({"resize_on": "device"}, "on the CPU alone"),
        ({"batch_size": 3}, "4 crops, found --batch-size 3"),
        ({"views": 64}, "views from 0 to 63, found 64"),
        ({"refit_shots": "2", "test_sets": {"own/x": "x"}}, "no augmented views"),
    ],
)
def test_what_has_no_views_is_refused(own: Path, tmp_path, options, what) -> None:
    with pytest.raises(CogError, match=what):
        evaluate(own, tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()


def test_views_are_not_taken_for_one_vector(run: Path, own: Path) -> None:
    with pytest.raises(CogError, match="found those of 4 crops"):
        read_features(run / "quarters" / "features" / VIEWED)
    tested = read_features(run / "quarters" / "features" / "own-test.zarr")
    from cog.evaluation.probing import probe_features
    from cog.probes.settings import Probing
    from cog.recipe import Recipe

    rows = probe_features(tested, tested, Probing(probes=("augmented",)), Recipe(), "cpu")
    with pytest.raises(CogError, match="augmented takes the views of --views"):
        next(rows)


def test_without_the_probe_nothing_has_views() -> None:
    assert Extraction().views_of("train") == 0
    assert Extraction(views=5).views_of("test") == 0
