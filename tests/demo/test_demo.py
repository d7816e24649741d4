"""The demo: the whole program on drawn images, in the time that it promises."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.support.processor_time import child_seconds
from tests.support.runs import run_cog

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def _form(table: str) -> str:
    """A table without its numbers, which other versions of libraries may move."""
    return re.sub(r" +[0-9.]+(?= |$)", " #", table, flags=re.MULTILINE)


@pytest.mark.long
def test_the_demo_gives_six_datasets_for_two_models(tmp_path):
    start = child_seconds()
    done = run_cog("demo", "--out", "here", cwd=tmp_path)
    seconds = child_seconds() - start
    assert done.returncode == 0, done.stderr
    assert "synthetic" in done.stderr
    table = pd.read_csv(tmp_path / "here" / "results.csv")
    top1 = table.pivot_table(index="dataset", columns="model", values="top1")
    assert list(top1.index) == ["cog_l1", "cog_l2", "cog_l3", "cog_l4", "cog_l5", "in1k"]
    assert (top1["demo-trained"] > top1["demo-untrained"] + 10).all(), top1
    assert _form(README.split("```text\n", 1)[1].split("```")[0]) in _form(done.stdout)
    assert seconds < 90  # the demo runs on one thread: on a quiet machine this is the wall time
