"""The demo: the whole program on drawn pictures, within its time, with what it promises."""

from __future__ import annotations

import time

import pandas as pd
import pytest
from conftest import run_cog


@pytest.mark.long
def test_the_demo_gives_six_datasets_for_two_models(tmp_path):
    start = time.perf_counter()
    done = run_cog("demo", "--out", "here", cwd=tmp_path)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    assert "synthetic" in done.stderr
    table = pd.read_csv(tmp_path / "here" / "results.csv")
    top1 = table.pivot_table(index="dataset", columns="model", values="top1")
    assert list(top1.index) == ["cog_l1", "cog_l2", "cog_l3", "cog_l4", "cog_l5", "in1k"]
    assert (top1["demo-trained"] > top1["demo-untrained"] + 10).all(), top1
    assert seconds < 90
