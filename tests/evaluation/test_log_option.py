"""`--log`: the rows of a run go to a tracker, those of an earlier run too."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

import cog
import cog.evaluation.run
from cog.errors import CogError
from tests.support.runs import call_cog

RUN = {"test_per_class": 4, "min_train": 8, "probes": ("ncm",)}


@pytest.fixture
def told(monkeypatch):
    """What `logging_to` was asked for, and the rows that it got."""
    found: list = []

    @contextmanager
    def logging_to(names, runs, notify):
        found.append((tuple(names), runs))
        yield lambda row: found.append((row["dataset"], row["top1"]))

    monkeypatch.setattr(cog.evaluation.run, "logging_to", logging_to)
    return found


def test_rows_that_are_done_and_new_ones_are_handed_on(
    told, images, levels_folder, plug_in, tmp_path
):
    options = RUN | {"images": images, "levels": levels_folder, "out": tmp_path / "runs"}
    cog.evaluate(f"{plug_in}:load", only="L1", **options)
    assert told[0] == ((), tmp_path / "runs")
    assert len(told) == 2
    told.clear()
    table = cog.evaluate(f"{plug_in}:load", log="tensorboard,wandb", **options)
    assert told[0] == (("tensorboard", "wandb"), tmp_path / "runs")
    assert told[1:] == list(zip(table["dataset"], table["top1"], strict=True))
    assert len(table) == 2


def test_an_unknown_tracker_stops_before_features(images, levels_folder, plug_in, tmp_path):
    options = RUN | {"images": images, "levels": levels_folder, "out": tmp_path / "runs"}
    with pytest.raises(CogError, match="tensorbord"):
        cog.evaluate(f"{plug_in}:load", log="tensorbord", **options)
    assert not (tmp_path / "runs" / "colours" / "features").exists()


def test_a_worker_does_not_log(tmp_path):
    done = call_cog("evaluate", "--model", "a.py:b", "--images", "x", "--worker", "0/2",
                    "--log", "wandb", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 2
    assert "without --worker" in done.stderr
