"""`--probe attentive --tokens grid:N` from end to end."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

import cog
import cog.evaluation.estimate
from cog.cli.main import main
from cog.cli.terminal import Terminal
from cog.errors import CogError
from cog.features.exchange import read_features
from cog.features.store.store import FeatureStore
from cog.models.tokens import with_tokens
from cog.recipe import Recipe
from tests.support.colour_images import COLOURS, draw_own

NAMES = dict(zip(("a", "b", "c"), COLOURS, strict=False))
QUICK = replace(Recipe(), attentive_rates=(1e-3, 1e-2), attentive_least_steps=40)


def vit() -> cog.Model:
    torch.manual_seed(0)
    small = {"embed_dim": 24, "depth": 1, "num_heads": 2, "img_size": 16, "patch_size": 4}
    network = timm.models.VisionTransformer(**small, num_classes=0)
    return cog.Model(network, preprocess=cog.Preprocess(16, 16), name="vit")


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    return draw_own(tmp_path_factory.mktemp("images"), NAMES, train=12, test=4)


def evaluate(own: Path, out: Path, **more: Any):
    how: dict[str, Any] = {"probes": "attentive", "tokens": "grid:2", "seeds": "22"}
    how |= {"device": "cpu", "batch_size": 8, "max_train": 12, "recipe": QUICK}
    return cog.evaluate(more.pop("model", vit()), datasets={"own": own}, out=out, **how | more)


@pytest.fixture(scope="module")
def run(own: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    evaluate(own, out)
    return out


def test_a_store_has_the_tokens_of_each_image_in_float16(run: Path) -> None:
    store = FeatureStore.open(run / "vit-grid2" / "features" / "own-train.zarr")
    x, _ = store.read()
    assert (x.shape, x.dtype) == ((36, 4 * 24), np.float16)
    assert store.fingerprint["tokens"] == 4
    model = with_tokens(vit(), "grid:2")
    assert store.fingerprint["model"] == model.fingerprint


def test_the_row_and_what_is_done(run: Path, own: Path) -> None:
    (row,) = evaluate(own, run).to_dict("records")
    assert (row["probe"], row["solver"], row["dim"], row["n_train"]) == (
        "attentive",
        "adamw",
        96,
        36,
    )
    assert row["feature_bytes"] == 48 * 96 * 2
    assert row["lr"] in QUICK.attentive_rates
    assert row["top1"] > 60
    assert len(list((run / "vit-grid2" / "cells").iterdir())) == 1


def test_results_are_verified_with_and_without_their_features(run: Path, tmp_path, capsys) -> None:
    runs = shutil.copytree(run, tmp_path / "runs")
    main(["verify", str(runs)], standalone_mode=False)
    shutil.rmtree(runs / "vit-grid2" / "features")
    main(["verify", str(runs)], standalone_mode=False)
    assert "expected" not in capsys.readouterr().out


def test_disk_and_memory_are_said_beforehand(own: Path, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(cog.evaluation.estimate, "SECONDS", 0.01)
    from cog.evaluation.plan import plan_from

    options = {"model": vit(), "datasets": {"own": own}, "out": tmp_path, "probes": "attentive",
               "seeds": "22", "max_train": 12, "device": "cpu"}  # fmt: skip
    said: list[str] = []
    plan = plan_from(options, said.append)
    assert "vit-tokens: 16 tokens of each image, 3.69e-05 GB of features in float16" in said
    terminal = Terminal()
    terminal.plan(plan, cog.evaluation.estimate.ALL)
    printed = capsys.readouterr().out
    assert "features: 36.9 kB to write" in printed
    assert "memory: 36.9 kB of features that a fit holds" in printed


def test_a_test_set_is_scored_too(run: Path, own: Path, tmp_path) -> None:
    runs = shutil.copytree(run, tmp_path / "runs")
    rows = evaluate(own, runs, test_sets={"own/again": own / "test"})
    assert rows["test_set"].fillna("").tolist() == ["", "again"]
    assert rows["top1"].nunique() == 1


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"probes": "knn"}, "--tokens is for the probe attentive alone"),
        ({"probes": "attentive,augmented"}, "take different features"),
        ({"views": 3}, "views or tokens, not both"),
        ({"tokens": "grid:9"}, "a grid of at most 4 × 4"),
        ({"tokens": "49"}, "all or grid:N, found '49'"),
        ({"pool": "avg"}, "both --pool avg and --tokens grid:2 choose tokens"),
        ({"controls": True}, "controls have one vector an image"),
        (
            {"model": cog.Model(torch.nn.Flatten(), preprocess=cog.Preprocess(4, 4), name="flat")},
            "flat gives no tokens of patches",
        ),
    ],
)
def test_what_has_no_tokens_is_refused(own: Path, tmp_path, options, what) -> None:
    with pytest.raises(CogError, match=what):
        evaluate(own, tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()


def test_tokens_are_not_taken_for_one_vector(run: Path) -> None:
    with pytest.raises(CogError, match="expected one vector an image, found 4 tokens"):
        read_features(run / "vit-grid2" / "features" / "own-test.zarr")
