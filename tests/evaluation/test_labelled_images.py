"""`cog evaluate --dataset`: from labelled images of any kind to rows of results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.datasets import load_digits

import cog
from cog.cli.main import main
from cog.errors import CogError
from cog.evaluation.verify.verify import verify
from cog.progress import Silent
from tests.support.runs import draw_images

OPTIONS = {"probes": "knn,ncm", "seeds": "22", "device": "cpu"}
NAMES = ["zéro", "one, 1", "two", "three", "four", "five", "six", "seven", "eight", "=nine"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """scikit-learn's digits as folders of PNGs: 1,200 train, 597 test."""
    root = tmp_path_factory.mktemp("digits")
    pixels, labels = load_digits(return_X_y=True)
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        folder = root / ("train" if number < 1200 else "test") / NAMES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image.reshape(8, 8) * 15.9).astype(np.uint8)).save(
            folder / f"{number}.png"
        )
    return root


@pytest.fixture(scope="module")
def pixels() -> cog.Model:
    """A model whose features are the 64 pixels of a digit."""
    import torch

    class Grey(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(1).flatten(1)

    preprocess = cog.Preprocess(resize=8, crop=8, mean=(0, 0, 0), std=(1, 1, 1))
    return cog.Model(Grey(), preprocess=preprocess, name="pixels")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, digits, pixels) -> tuple[Path, pd.DataFrame]:
    """A run of the digits alone."""
    out = tmp_path_factory.mktemp("own") / "runs"
    return out, cog.evaluate(pixels, datasets={"digits": digits}, out=out, **OPTIONS)


def test_digits_become_rows(runs):
    out, table = runs
    assert table["dataset"].unique().tolist() == ["digits"]
    row = table.set_index("probe").loc["knn"]
    assert (row["n_classes"], row["n_train"], row["n_test"]) == (10, 1200, 597)
    assert (row["metric"], row["split"], bool(row["complete"])) == ("top1", "train/test", True)
    assert row["top1"] > 90  # nearest neighbours know digits; chance is 10
    assert row["levels_hash"] == ""
    written = pd.read_csv(out / "results.csv")
    assert written["metric"].tolist() == ["top1", "top1"]


def test_accuracies_are_those_of_the_labels(runs, digits, pixels):
    """Nearest centroid, from the files anew."""
    means, x, y = [], [], []
    for label, name in enumerate(sorted(NAMES)):
        part = {
            which: np.stack(
                [np.asarray(Image.open(file)).ravel() for file in (digits / which / name).iterdir()]
            ).astype(float)
            for which in ("train", "test")
        }
        unit = part["train"] / np.linalg.norm(part["train"], axis=1, keepdims=True)
        means.append(unit.mean(0) / np.linalg.norm(unit.mean(0)))
        x.append(part["test"])
        y += [label] * len(part["test"])
    hits = (np.concatenate(x) @ np.stack(means).T).argmax(1) == y
    ncm = runs[1].set_index("probe").loc["ncm"]
    assert ncm["top1"] == pytest.approx(100 * hits.mean(), abs=0.4)  # features are float16


def test_names_of_classes_are_kept(runs):
    out, _ = runs
    names = (out / "splits" / "names" / "digits.txt").read_text().splitlines()
    assert names == sorted(NAMES)
    cell = next((out / "pixels" / "classes").glob("digits--knn*"))
    assert len(cell.read_text().splitlines()) == 11


def test_again_takes_everything_over(runs, digits, pixels):
    out, table = runs
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = cog.evaluate(pixels, datasets={"digits": digits}, out=out, **OPTIONS)
    pd.testing.assert_frame_equal(again, table)
    kept = [path for path in before if path.name not in ("results.csv",)]
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)


def test_cog_verify_proves_the_run(runs):
    proof = verify(runs[0])
    assert not proof.faults
    assert proof.checked["cells proved by their ranks"] == 2


def test_other_images_under_the_name_are_refused(runs, tmp_path, pixels):
    for part in ("train", "test"):
        draw_images(tmp_path / part, ("a", "b"), 3)
    with pytest.raises(CogError, match="another split of digits"):
        cog.evaluate(pixels, datasets={"digits": tmp_path}, out=runs[0], **OPTIONS)


def test_beside_levels_the_cells_of_levels_are_the_same_to_the_byte(
    tmp_path, images, levels_folder, plug_in, digits
):
    options = {
        "model": f"{plug_in}:load", "images": images, "levels": levels_folder,
        "test_per_class": 4, "min_train": 4, **OPTIONS,
    }  # fmt: skip
    alone = cog.evaluate(out=tmp_path / "alone", **options)
    both = cog.evaluate(out=tmp_path / "both", datasets={"digits": digits}, **options)
    assert both["dataset"].unique().tolist() == ["cog_l1", "cog_l2", "digits"]

    def cells(out: str) -> dict[str, str]:
        folder = tmp_path / out / "colours" / "cells"
        texts = {path.name: json.loads(path.read_text()) for path in folder.glob("cog_*")}
        for cell in texts.values():
            cell["row"].pop("seconds")
        return texts

    assert cells("alone") == cells("both")
    assert "metric" not in json.dumps(cells("alone"))
    shown = [column for column in alone if column != "seconds"]
    of_levels = both[both["dataset"] != "digits"].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_levels[shown], alone[shown])


def test_the_command_line_takes_datasets_and_a_dry_run_lists_them(tmp_path, digits, plug_in):
    words = ["evaluate", "--model", f"{plug_in}:load", "--dataset", f"digits={digits}",
             "--device", "cpu", "--out", str(tmp_path / "runs")]  # fmt: skip
    shown = CliRunner().invoke(main, [*words, "--dry-run"], catch_exceptions=False).output
    line = next(line for line in shown.splitlines() if "digits" in line)
    assert {"train/test", "1,200", "597"} <= set(line.split())
    assert "in1k is left out" not in shown
    with pytest.raises(CogError, match="no name and value") as caught:
        CliRunner().invoke(main, [*words, "--dataset", "digits"], catch_exceptions=False)
    assert "NAME=VALUE" in caught.value.hint


def test_an_empty_file_is_an_unreadable_image(tmp_path, digits, pixels):
    root = tmp_path / "digits"
    shutil.copytree(digits, root)
    next((root / "test" / "two").iterdir()).write_bytes(b"")
    table = cog.evaluate(
        pixels, datasets={"digits": root}, out=tmp_path / "runs", **{**OPTIONS, "probes": "ncm"}
    )
    assert table["n_unreadable"].tolist() == [1]
    assert table["n_test"].tolist() == [596]


def test_images_that_train_and_test_are_said_and_no_others(tmp_path, digits, pixels):
    """Under other names, and a link among them; all 1,797 digits differ from each other."""

    class Listener(Silent):
        def __init__(self) -> None:
            self.said: list[str] = []

        def notify(self, text: str) -> None:
            self.said.append(text)

    root, listener = tmp_path / "digits", Listener()
    shutil.copytree(digits, root)
    given = {**OPTIONS, "probes": "ncm", "progress": listener}
    cog.evaluate(pixels, datasets={"digits": root}, out=tmp_path / "sound", **given)
    assert not any("training images too" in line for line in listener.said)
    for number, file in enumerate(sorted((root / "train" / "two").iterdir())[:2]):
        copied = root / "test" / "seven" / f"new-{number}.png"
        copied.symlink_to(file) if number else shutil.copy(file, copied)
    again = {"digits/again": root / "test"}
    cog.evaluate(pixels, datasets={"digits": root}, test_sets=again, out=tmp_path / "runs", **given)
    lines = [line for line in listener.said if "training images too" in line]
    assert [line.partition(" are ")[0] for line in lines] == [
        f"{name}: 2 of 599 test images" for name in ("digits", "digits/again")
    ]
    assert "seven/new-0.png of the test part is two/" in lines[0]


def test_levels_without_images_name_the_option(tmp_path, pixels, digits):
    with pytest.raises(CogError, match="asked for without its images") as caught:
        cog.evaluate(pixels, datasets={"digits": digits}, only="L1,digits", out=tmp_path)
    assert "--images ROOT" in caught.value.hint


def test_a_metric_that_is_not_top1_is_in_rows_and_hashes(tmp_path, pixels, digits):
    given = {**OPTIONS, "probes": "ncm", "datasets": {"digits": digits}, "out": tmp_path}
    first = cog.evaluate(pixels, **given)
    second = cog.evaluate(pixels, metrics={"digits": "mean_class"}, **given)
    assert (first["metric"].item(), second["metric"].item()) == ("top1", "mean_class")
    assert second["mean_class"].item() == first["mean_class"].item()
    assert not verify(tmp_path).faults


def test_one_training_image_a_class_is_refused_before_features_where_probes_validate(
    tmp_path, pixels
):
    for part in ("train", "test"):
        draw_images(tmp_path / "own" / part, ("a", "b"), 1)
    given = {**OPTIONS, "datasets": {"own": tmp_path / "own"}, "out": tmp_path / "runs"}
    with pytest.raises(CogError, match="own: no class has two training images, and knn"):
        cog.evaluate(pixels, **given)
    assert not (tmp_path / "runs").exists()
    assert len(cog.evaluate(pixels, **{**given, "probes": "ncm"})) == 1
